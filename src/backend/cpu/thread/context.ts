/** What the ops of one thread work with: the shared words, the batch, the kernels, and this thread's share. */

import { type FloatAt, type Offsets, readFloat, type Words } from "../../record.js";
import type { DotForm } from "../choice/forms.js";
import { type Scratch, share } from "../commands.js";
import { CONTROL } from "../control.js";
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
  readonly memory: Words;
  /** the views of `memory` */
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
    this.memory = { i32: this.words, f32: this.floats };
  }

  begin(part: number, parts: number): void {
    this.part = part;
    this.parts = parts;
    this.rows = this.words[(this.job.control + CONTROL.rows) / 4];
    this.outputs = this.words[(this.job.control + CONTROL.outputs) / 4];
  }

  /** A float argument of the command whose arguments begin at word `at`. */
  float(at: number, offset: FloatAt): number {
    return readFloat(this.floats, at, offset);
  }

  /** [begin, end) of `count` that belongs to this share. */
  share(count: number): [begin: number, end: number] {
    return share(count, this.part, this.parts);
  }

  /** Address of this thread's part of a command's scratch. */
  scratch(at: number, { address, bytes }: Offsets<Scratch>): number {
    return this.words[at + address] + this.job.thread * this.words[at + bytes];
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
