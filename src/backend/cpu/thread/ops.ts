/**
 * What is done for one share of each recorded op: its part of the rows (or of the matrix's rows), by calls of kernels.
 * Arguments are read by the names of commands.ts, one by one, since a copy of the words takes longer than a small op.
 * Addresses above 2 GiB are negative in int32; WebAssembly takes them so, and sums of them wrap as they should.
 */

import type { Offsets } from "../../record.js";
import { ACTIVATIONS, COMMANDS, DENSE_TYPES, type Dense, type OpName } from "../commands.js";
import { HALF } from "../kernels.js";
import { attend, attendSplit, combine, ropeStore } from "./attention.js";
import { BLOCK_BYTES, type Op, type OpContext } from "./context.js";
import { best, headPack } from "./output-head.js";
import { ternary } from "./ternary.js";

const EMBED = COMMANDS.embed.at;
const NORM = COMMANDS.normQuantize.at;
const QUANTIZE = COMMANDS.quantize.at;
const HEADS = COMMANDS.normHeads.at;
const LINEAR = COMMANDS.linear.at;
const GATE = COMMANDS.gate.at;
const OUTPUTS = COMMANDS.normOutputs.at;
const LOGITS = COMMANDS.logits.at;

/** Rows of floats, what becomes of them, and room for one decoded row of a table. */
interface Multiplied {
  readonly x: number; // (rows, columns) float32
  readonly rows: number;
  readonly out: number; // (rows, rows of the table) float32
  readonly row: number;
}

/** out = table . x for this share of the table's rows; its words stand at `table`, from word `at` on. */
function multiplyTable(t: OpContext, at: number, table: Offsets<Dense>, { x, rows, out, row }: Multiplied): void {
  const w = t.words;
  const [address, rowBytes] = [w[at + table.address], w[at + table.rowBytes]];
  const [width, outputs] = [w[at + table.columns], w[at + table.rows]];
  const type = DENSE_TYPES[w[at + table.type]];
  const [begin, end] = t.share(outputs);
  const step = type === "F16" ? Math.ceil(BLOCK_BYTES / rowBytes) : 1;
  for (let output = begin; output < end; output += step) {
    const count = Math.min(step, end - output);
    const from = address + output * rowBytes;
    if (step === 1) t.kernels[`decode${type}`](from, row, width);
    for (let j = 0; j < rows; j++) {
      const [input, to] = [x + 4 * j * width, out + 4 * (j * outputs + output)];
      if (step === 1) t.floats[to >>> 2] = t.kernels.dotF32(row, input, width);
      else t.kernels.logitsF16(from, input, to, width, count, ...HALF);
    }
  }
}

/** One matrix of `linear`. */
function multiplyMatrix(t: OpContext, at: number, x: number, row: number): void {
  const w = t.words;
  const { table, out: outAt, addTo, factor } = LINEAR.matrices.at;
  const [out, sum, by, outputs] = [w[at + outAt], w[at + addTo], t.float(at, factor), w[at + table.rows]];
  multiplyTable(t, at, table, { x, rows: t.rows, out, row });
  if (by === 1 && sum === 0) return;
  const [begin, end] = t.share(outputs);
  for (let j = 0; j < t.rows; j++) {
    const to = 4 * (j * outputs + begin);
    t.kernels.scaleFloats(out + to, out + to, sum === 0 ? 0 : sum + to, end - begin, by);
  }
}

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

  linear(t, at) {
    const w = t.words;
    const x = w[at + LINEAR.x];
    const row = t.scratch(at, LINEAR.scratch);
    const { first, words, count } = LINEAR.matrices;
    for (let i = 0; i < w[at + count]; i++) multiplyMatrix(t, at + first + i * words, x, row);
  },

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

  logits(t, at) {
    const w = t.words;
    const [x, rows, out] = [w[at + LOGITS.x], w[at + LOGITS.rows], w[at + LOGITS.out]];
    multiplyTable(t, at, LOGITS.table, { x, rows, out, row: t.scratch(at, LOGITS.scratch) });
  },

  headPack,
  best,
};
