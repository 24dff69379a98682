/**
 * What is done for one share of each recorded op: its part of the rows (or of the matrix's rows), by calls of kernels.
 * Arguments stand in the record in the order in which cpu.ts writes them; ops of every layer read them one by one, since a
 * copy of the words takes longer than a small op. Addresses above 2 GiB are negative in int32;
 * WebAssembly takes them so, and sums of them wrap as they should.
 */

import { DENSE_TYPES, type OpName } from "../commands.js";
import { HALF } from "../kernels.js";
import { attend, attendSplit, combine, ropeStore } from "./attention.js";
import { BLOCK_BYTES, type Op } from "./context.js";
import { best, headPack } from "./output-head.js";
import { ternary } from "./ternary.js";

export const EXECUTE: Readonly<Record<OpName, Op>> = {
  embed(t, at) {
    const [out, table, type, rowBytes, width] = t.words.subarray(at, at + 5);
    const decode = t.kernels[`decode${DENSE_TYPES[type]}`];
    const [begin, end] = t.share(t.rows);
    for (let row = begin; row < end; row++) decode(table + t.token(row) * rowBytes, out + 4 * row * width, width);
  },

  normQuantize(t, at) {
    const w = t.words;
    const [weight, width, eps] = [w[at + 1], w[at + 6], t.floats[at + 7]];
    const [begin, end] = t.share(t.rows);
    for (let row = begin; row < end; row++) {
      const i = row * width;
      const [x, normed, q] = [w[at] + 4 * i, w[at + 2] + 4 * i, w[at + 3] + i];
      t.kernels.normQuantize(x, weight, normed, q, w[at + 4] + 4 * row, w[at + 5] + 4 * row, width, eps);
    }
  },

  ternary,

  ropeStore,

  attend,
  attendSplit,
  combine,

  gate(t, at) {
    const w = t.words;
    const kernel = w[at + 4] === 1 ? t.kernels.gateSilu : t.kernels.gateRelu2;
    const count = t.rows * w[at + 3];
    const [first, last] = t.share(Math.ceil(count / 16)); // lines of 16 elements
    const [from, n] = [64 * first, Math.min(16 * last, count) - 16 * first];
    kernel(w[at] + from, w[at + 1] + from, w[at + 2] + from, n);
  },

  normOutputs(t, at) {
    const [x, weight, out, width] = t.words.subarray(at, at + 4);
    const eps = t.floats[at + 4];
    const [begin, end] = t.share(t.outputs);
    for (let j = begin; j < end; j++) {
      t.kernels.norm(x + 4 * t.outputRow(j) * width, weight, out + 4 * j * width, width, eps);
    }
  },

  logits(t, at) {
    const [x, table, type, rowBytes, width, vocabulary, out, scratch, scratchBytes] = t.words.subarray(at, at + 9);
    const [begin, end] = t.share(vocabulary);
    const row = scratch + t.job.thread * scratchBytes;
    const step = DENSE_TYPES[type] === "F16" ? Math.ceil(BLOCK_BYTES / rowBytes) : 1;
    for (let token = begin; token < end; token += step) {
      const count = Math.min(step, end - token);
      const from = table + token * rowBytes;
      if (step === 1) t.kernels[`decode${DENSE_TYPES[type]}`](from, row, width);
      for (let j = 0; j < t.outputs; j++) {
        const [input, to] = [x + 4 * j * width, out + 4 * (j * vocabulary + token)];
        if (step === 1) t.floats[to >>> 2] = t.kernels.dotF32(row, input, width);
        else t.kernels.logitsF16(from, input, to, width, count, ...HALF);
      }
    }
  },

  headPack,
  best,
};
