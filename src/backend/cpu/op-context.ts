/** What the ops of one thread work with: the shared words, the batch, the kernels, and this thread's share. */
import { CONTROL, OPS, share } from "./commands.js";
import type { Kernels } from "./kernels.js";
import type { RunJob } from "./worker.js";

/** Bytes of weights that stay in a core's cache while several rows of the batch use them. */
export const BLOCK_BYTES = 128 << 10;

export class OpContext {
  readonly words: Int32Array;
  readonly floats: Float32Array;
  rows = 0;
  /** rows whose logits are wanted */
  outputs = 0;
  readonly #times: Float64Array;

  constructor(
    readonly job: RunJob,
    readonly kernels: Kernels,
  ) {
    this.words = new Int32Array(job.memory.buffer);
    this.floats = new Float32Array(job.memory.buffer);
    this.#times = new Float64Array(job.memory.buffer, job.control + CONTROL.times, OPS.length);
  }

  begin(): void {
    const batch = (this.job.control + CONTROL.batch) / 4;
    this.rows = this.words[batch];
    this.outputs = this.words[batch + 1];
  }

  addTime(op: number, ms: number): void {
    this.#times[op] += ms;
    this.words[(this.job.control + CONTROL.calls) / 4 + op]++;
  }

  /** This thread's [begin, end) of `count`. */
  share(count: number): [begin: number, end: number] {
    return share(count, this.job.thread, this.job.threads);
  }

  position(row: number): number {
    return this.words[this.job.batch.positions / 4 + row];
  }
  slot(row: number): number {
    return this.words[this.job.batch.slots / 4 + row];
  }
  token(row: number): number {
    return this.words[this.job.batch.tokens / 4 + row];
  }
  outputRow(j: number): number {
    return this.words[this.job.batch.outputs / 4 + j];
  }
}

/** Runs one command, whose arguments begin at word `at`. */
export type Op = (t: OpContext, at: number) => void;
