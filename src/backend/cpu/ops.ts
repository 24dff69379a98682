/**
 * What a thread does for each recorded op: its static share of the rows (or of the matrix's rows), by calls of kernels.
 * Arguments stand in the record in the order in which cpu.ts writes them. Addresses above 2 GiB are negative in int32;
 * WebAssembly takes them so, and sums of them wrap as they should.
 */
import { CHUNK, CONTROL, DENSE_TYPES, OPS, type OpName, share } from "./commands.js";
import { type Kernels, MASKS } from "./kernels.js";
import { GROUP, groupBytes } from "./loader.js";
import type { RunJob } from "./worker.js";

/** Bytes of weights that stay in a core's cache while several rows of the batch use them. */
const BLOCK_BYTES = 128 << 10;

/** Half-precision constants of asm/dense.ts. */
const HALF = [0x8fffe000 | 0, 2 ** 112] as const;

/** What the ops of one thread work with. */
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

type Op = (t: OpContext, at: number) => void;

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

  ternary(t, at) {
    const [count] = t.words.subarray(at + TERNARY_ARGUMENTS - 1);
    for (let i = 0; i < count; i++) project(t, at, at + TERNARY_ARGUMENTS + i * PROJECTION_ARGUMENTS);
  },

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
};

/** Arguments of `ternary` before the list of projections, and of one projection. */
export const TERNARY_ARGUMENTS = 7;
export const PROJECTION_ARGUMENTS = 5;

/** out = scaled dots of this thread's share of one matrix's rows, for every row of the batch. */
function project(t: OpContext, at: number, projection: number): void {
  const [q, scales, sums, columns, scratch, scratchBytes] = t.words.subarray(at, at + 6);
  const [weight, outputs, out, addTo] = t.words.subarray(projection, projection + 4);
  const weightScale = t.floats[projection + 4];
  const dot = t.kernels[t.job.dot];
  const [begin, end] = t.share(Math.ceil(outputs / GROUP));
  const bytes = groupBytes(columns);
  const acc = scratch + t.job.thread * scratchBytes;
  const step = t.rows === 1 ? end - begin : Math.ceil(BLOCK_BYTES / bytes);
  for (let group = begin; group < end; group += step) {
    const groups = Math.min(step, end - group);
    const first = group * GROUP;
    const count = Math.min(groups * GROUP, outputs - first);
    for (let row = 0; row < t.rows; row++) {
      const sum = t.words[(sums >>> 2) + row];
      dot(weight + group * bytes, q + row * columns, acc, columns, groups, sum, ...MASKS);
      const to = 4 * (row * outputs + first);
      const factor = weightScale * t.floats[(scales >>> 2) + row];
      t.kernels.ternaryScale(acc, out + to, addTo === 0 ? 0 : addTo + to, count, factor);
    }
  }
}

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
