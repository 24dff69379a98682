/**
 * What is done for one share of each recorded op: its part of the rows (or of the matrix's rows), by calls of kernels.
 * Arguments are read by the names of commands.ts, one by one, since a copy of the words takes longer than a small op.
 * Addresses above 2 GiB are negative in int32; WebAssembly takes them so, and sums of them wrap as they should.
 */

import { ACTIVATIONS, COMMANDS, DENSE_TYPES, type OpName } from "../commands.js";
import { attend, attendSplit, combine, ropeStore } from "./attention.js";
import type { Op } from "./context.js";
import { fixedPoint, linear, logits } from "./dense.js";
import { best, headPack } from "./output-head.js";
import { ternary } from "./ternary.js";

const EMBED = COMMANDS.embed.at;
const NORM = COMMANDS.normQuantize.at;
const QUANTIZE = COMMANDS.quantize.at;
const HEADS = COMMANDS.normHeads.at;
const GATE = COMMANDS.gate.at;
const OUTPUTS = COMMANDS.normOutputs.at;

export const EXECUTE: Readonly<Record<OpName, Op>> = {
  embed(t, at) {
    const w = t.words;
    const [table, rowBytes] = [w[at + EMBED.table.address], w[at + EMBED.table.rowBytes]];
    const [out, width] = [w[at + EMBED.out], w[at + EMBED.table.columns]];
    const decode = t.kernels[`decode${DENSE_TYPES[w[at + EMBED.table.type]]}`];
    const [begin, end] = t.share(t.rows);
    for (let row = begin; row < end; row++) decode(table + t.token(row) * rowBytes, out + 4 * row * width, width);
  },

  normQuantize(t, at) {
    const w = t.words;
    const [x, weight, normed, values] = [w[at + NORM.x], w[at + NORM.weight], w[at + NORM.normed], w[at + NORM.values]];
    const [scales, sums, width] = [w[at + NORM.scales], w[at + NORM.sums], w[at + NORM.width]];
    const eps = t.float(at, NORM.eps);
    const { normQuantize } = t.kernels;
    const [begin, end] = t.share(t.rows);
    for (let row = begin; row < end; row++) {
      const i = row * width;
      normQuantize(x + 4 * i, weight, normed + 4 * i, values + i, scales + 4 * row, sums + 4 * row, width, eps);
    }
  },

  quantize(t, at) {
    const w = t.words;
    const [x, normed, values] = [w[at + QUANTIZE.x], w[at + QUANTIZE.normed], w[at + QUANTIZE.values]];
    const [scales, sums, width] = [w[at + QUANTIZE.scales], w[at + QUANTIZE.sums], w[at + QUANTIZE.width]];
    const [begin, end] = t.share(t.rows);
    for (let row = begin; row < end; row++) {
      const i = row * width;
      t.kernels.quantize(x + 4 * i, normed + 4 * i, values + i, scales + 4 * row, sums + 4 * row, width);
    }
  },

  normHeads(t, at) {
    const w = t.words;
    const [x, weight, width, headDim] = [
      w[at + HEADS.x],
      w[at + HEADS.weight],
      w[at + HEADS.width],
      w[at + HEADS.headDim],
    ];
    const eps = t.float(at, HEADS.eps);
    const [begin, end] = t.share(t.rows);
    for (let head = x + 4 * begin * width; head < x + 4 * end * width; head += 4 * headDim) {
      t.kernels.norm(head, weight, head, headDim, eps);
    }
  },

  fixedPoint,
  linear,
  ternary,

  ropeStore,

  attend,
  attendSplit,
  combine,

  gate(t, at) {
    const w = t.words;
    const kernel = ACTIVATIONS[w[at + GATE.activation]] === "silu" ? t.kernels.gateSilu : t.kernels.gateRelu2;
    const count = t.rows * w[at + GATE.width];
    const [first, last] = t.share(Math.ceil(count / 16)); // lines of 16 elements
    const [from, n] = [64 * first, Math.min(16 * last, count) - 16 * first];
    kernel(w[at + GATE.gate] + from, w[at + GATE.up] + from, w[at + GATE.out] + from, n);
  },

  normOutputs(t, at) {
    const w = t.words;
    const [x, weight, out] = [w[at + OUTPUTS.x], w[at + OUTPUTS.weight], w[at + OUTPUTS.out]];
    const [width, eps] = [w[at + OUTPUTS.width], t.float(at, OUTPUTS.eps)];
    const [begin, end] = t.share(t.outputs);
    for (let j = begin; j < end; j++) {
      t.kernels.norm(x + 4 * t.outputRow(j) * width, weight, out + 4 * j * width, width, eps);
    }
  },

  logits,
  headPack,
  best,
};
