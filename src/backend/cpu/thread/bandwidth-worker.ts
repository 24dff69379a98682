/** One thread of the measurement of the roof. */
import { instantiate } from "../kernels.js";

export interface ReadJob {
  readonly module: WebAssembly.Module;
  /** its first page is for the threads to meet */
  readonly memory: WebAssembly.Memory;
  readonly threads: number;
  readonly address: number;
  readonly bytes: number;
  readonly repetitions: number;
}

const MEETING = [0, 64, 128, 192] as const; // count, generation, sleepers, failed: a cache line each
const SPINS = 200_000;

/** Milliseconds of each round, after one that is not counted. */
export default function readRounds({ module, memory, threads, address, bytes, repetitions }: ReadJob): number[] {
  const { read, barrier } = instantiate(module, memory);
  const meet = () => barrier(...MEETING, threads, SPINS);
  const times = Array.from({ length: 1 + repetitions }, () => {
    meet();
    const start = performance.now();
    read(address, bytes);
    meet();
    return performance.now() - start;
  });
  return times.slice(1);
}
