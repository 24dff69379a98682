/**
 * What a thread does for each recorded op: its static share of the rows (or of the matrix's rows), by calls of kernels.
 * Arguments stand in the record in the order in which cpu.ts writes them. Addresses above 2 GiB are negative in int32;
 * WebAssembly takes them so, and sums of them wrap as they should.
 */
import { CHUNK, DENSE_TYPES, type OpName } from "./commands.js";
import { best, headPack } from "./head.js";
import { HALF } from "./kernels.js";
import { BLOCK_BYTES, type Op, type OpContext } from "./op-context.js";
import { ternary } from "./ternary.js";

export const EXECUTE: Readonly<Record<OpName, Op>> = {
  embed(t, at) {
    const [out, table, type, rowBytes, width] = t.words.subarray(at, at + 5);
    const decode = t.kernels[`decode${DENSE_TYPES[type]}`];
    const [begin, end] = t.share(t.rows);
    for (let row = begin; row < end; row++) decode(table + t.token(row) * rowBytes, out + 4 * row * width, width);
  },

  normQuantize(t, at) {
    const [x, weight, normed, q, scales, sums, width] = t.words.subarray(at, at + 7);
    const eps = t.floats[at + 7];
    const [begin, end] = t.share(t.rows);
    for (let row = begin; row < end; row++) {
      const i = row * width;
      const [scale, sum] = [scales + 4 * row, sums + 4 * row];
      t.kernels.normQuantize(x + 4 * i, weight, normed + 4 * i, q + i, scale, sum, width, eps);
    }
  },

  ternary,

  ropeStore(t, at) {
    const [q, k, v, heads, kvHeads, headDim, keys, values, positions, table] = t.words.subarray(at, at + 10);
    const headBytes = 4 * headDim;
    const [begin, end] = t.share(t.rows);
    for (let row = begin; row < end; row++) {
      const position = t.position(row);
      const angles = table + position * headBytes;
      t.kernels.rope(q + row * heads * headBytes, angles, heads, headDim);
      t.kernels.rope(k + row * kvHeads * headBytes, angles, kvHeads, headDim);
      for (let head = 0; head < kvHeads; head++) {
        const from = (row * kvHeads + head) * headBytes;
        const to = (t.slot(row) * kvHeads + head) * positions * headBytes;
        t.kernels.storeKey(k + from, keys + to, position, headDim);
        t.kernels.storeValue(v + from, values + to, position, headDim, 32 * positions);
      }
    }
  },

  // a unit is (row, key-value head); many units: each thread does whole ones
  attend(t, at) {
    const a = attention(t, at);
    const partials = a.scratch + t.job.thread * a.unitBytes;
    const [begin, end] = t.share(t.rows * a.kvHeads);
    for (let unit = begin; unit < end; unit++) {
      const chunks = chunksOf(t, a, unit);
      for (let chunk = 0; chunk < chunks; chunk++) attendChunk(t, a, { unit, chunk, partials });
      combine(t, a, unit, partials);
    }
  },

  // few units: threads share their chunks, and `combine` follows behind a barrier
  attendSplit(t, at) {
    const a = attention(t, at);
    const units = t.rows * a.kvHeads;
    let total = 0;
    for (let unit = 0; unit < units; unit++) total += chunksOf(t, a, unit);
    const [begin, end] = t.share(total);
    for (let unit = 0, first = 0; unit < units; unit++) {
      const chunks = chunksOf(t, a, unit);
      const partials = a.scratch + unit * a.unitBytes;
      const last = Math.min(chunks, end - first);
      for (let chunk = Math.max(0, begin - first); chunk < last; chunk++) attendChunk(t, a, { unit, chunk, partials });
      first += chunks;
    }
  },

  combine(t, at) {
    const a = attention(t, at);
    const [begin, end] = t.share(t.rows * a.kvHeads);
    for (let unit = begin; unit < end; unit++) combine(t, a, unit, a.scratch + unit * a.unitBytes);
  },

  gate(t, at) {
    const [gate, up, out, width, silu] = t.words.subarray(at, at + 5);
    const kernel = silu === 1 ? t.kernels.gateSilu : t.kernels.gateRelu2;
    const [begin, end] = t.share((t.rows * width) / 16);
    const from = 64 * begin;
    kernel(gate + from, up + from, out + from, 16 * (end - begin));
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

/** Floats of one head's partial result: its max, its sum, two unused, headDim of the mix. */
export const partialFloats = (headDim: number) => headDim + 4;

function attention(t: OpContext, at: number) {
  const [q, out, heads, kvHeads, headDim, keys, values, positions, scratch, unitBytes, scores] = t.words.subarray(
    at,
    at + 11,
  );
  const group = heads / kvHeads;
  return {
    q,
    out,
    /** query heads that share one key-value head */
    group,
    kvHeads,
    headDim,
    keys,
    values,
    positions,
    scratch,
    /** bytes of all partials of one unit */
    unitBytes,
    scores: scores + t.job.thread * group * CHUNK * 4,
    chunkBytes: group * partialFloats(headDim) * 4,
  };
}
type Attention = ReturnType<typeof attention>;

function chunksOf(t: OpContext, a: Attention, unit: number): number {
  return Math.floor(t.position(Math.floor(unit / a.kvHeads)) / CHUNK) + 1;
}

/** One chunk of positions of one unit, into its place among the unit's partials. */
function attendChunk(t: OpContext, a: Attention, at: { unit: number; chunk: number; partials: number }): void {
  const row = Math.floor(at.unit / a.kvHeads);
  const headBytes = 4 * a.headDim;
  const first = at.chunk * CHUNK;
  const cached = (t.slot(row) * a.kvHeads + (at.unit % a.kvHeads)) * a.positions * headBytes;
  t.kernels.attendChunk(
    a.q + at.unit * a.group * headBytes,
    a.keys + cached,
    a.values + cached,
    32 * a.positions,
    first,
    Math.min(CHUNK, t.position(row) + 1 - first),
    a.group,
    a.headDim,
    a.scores,
    at.partials + at.chunk * a.chunkBytes,
  );
}

function combine(t: OpContext, a: Attention, unit: number, partials: number): void {
  const chunks = chunksOf(t, a, unit);
  for (let head = 0; head < a.group; head++) {
    const from = partials + head * partialFloats(a.headDim) * 4;
    const to = a.out + (unit * a.group + head) * 4 * a.headDim;
    t.kernels.combine(from, chunks, a.chunkBytes, to, a.headDim);
  }
}
