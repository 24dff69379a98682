/**
 * The thread of the process that proves V8 flags: runs the kernels that were compiled under them beside those of the baseline
 * binary, compiled as V8 does by itself, and answers whether all results are the same bytes.
 */
import { parentPort, workerData } from "node:worker_threads";
import { Exercise, type Shape } from "./exercise.js";
import type { DotForm } from "./forms.js";

export interface ProofJob {
  /** compiled under the flags */
  readonly module: WebAssembly.Module;
  readonly forms: readonly DotForm[];
  readonly baseline: WebAssembly.Module;
}

interface Round {
  readonly shape: Shape;
  readonly rounds: number;
  /** of all kernels, between two comparisons */
  readonly times: number;
}

/** Large enough for every path of a kernel; then 21,000 calls of each form of the dot, 7,000 and more of every kernel. */
const ROUNDS: readonly Round[] = [
  { shape: { columns: 768, groups: 6, tile: 64, heads: 5, headDim: 64, positions: 100 }, rounds: 20, times: 1 },
  { shape: { columns: 256, groups: 1, tile: 32, heads: 4, headDim: 16, positions: 8 }, rounds: 7, times: 1000 },
];

function isSame({ module, forms, baseline }: ProofJob): boolean {
  return ROUNDS.every(({ shape, rounds, times }) => {
    const expected = new Exercise(baseline, "ternaryDotBaseline", shape);
    const tried = forms.map((form) => new Exercise(module, form, shape));
    for (let round = 0; round < rounds; round++) {
      for (const exercise of [expected, ...tried]) exercise.run(times);
      if (tried.some(({ bytes }) => Buffer.compare(bytes, expected.bytes) !== 0)) return false;
    }
    return true;
  });
}

parentPort?.postMessage(isSame(workerData as ProofJob));
