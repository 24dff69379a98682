/** What the ops of one thread work with: the shared words, the batch, the kernels, and this thread's share. */
import type { DotForm } from "../choice/forms.js";
import { CONTROL, share } from "../commands.js";
import type { Kernels } from "../kernels.js";
import type { BoardPlace } from "../op-board.js";

/** Bytes of weights that stay in a core's cache while several rows of the batch use them. */
export const BLOCK_BYTES = 128 << 10;

/** What a thread gets to run recorded ops. */
export interface RunJob extends BoardPlace {
  readonly kind: "run";
  readonly module: WebAssembly.Module;
  readonly dot: DotForm;
  readonly record: number;
  /** addresses of the batch's arrays */
  readonly batch: { tokens: number; slots: number; positions: number; outputs: number };
  readonly thread: number;
}

export class OpContext {
  readonly words: Int32Array;
  readonly floats: Float32Array;
  rows = 0;
  /** rows whose logits are requested */
  outputs = 0;
  /** the share of the op to be computed, of how many */
  part = 0;
  parts = 1;

  constructor(
    readonly job: RunJob,
    readonly kernels: Kernels,
  ) {
    this.words = new Int32Array(job.memory.buffer);
    this.floats = new Float32Array(job.memory.buffer);
  }

  begin(part: number, parts: number): void {
    this.part = part;
    this.parts = parts;
    const batch = (this.job.control + CONTROL.batch) / 4;
    this.rows = this.words[batch];
    this.outputs = this.words[batch + 1];
  }

  /** [begin, end) of `count` that belongs to this share. */
  share(count: number): [begin: number, end: number] {
    return share(count, this.part, this.parts);
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
