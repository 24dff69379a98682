/**
 * The key-value cache and attention on one thread. A unit of work is (batch row, key-value head) with the query heads that
 * share it; its positions go in chunks whose partial results are put together in order, so that it does not matter who
 * does which chunk.
 */
import type { CacheShape } from "../backend.js";
import { CHUNK } from "./commands.js";
import type { Op, OpContext } from "./op-context.js";

/** Floats of one head's partial result: its max, its sum, two unused, headDim of the mix. */
export const partialFloats = (headDim: number) => headDim + 4;

/** Bytes of a thread's scores for the heads of one unit: CHUNK floats, 16-bit query and its scale for each. */
export const scoreBytes = (group: number, headDim: number) =>
  Math.ceil((group * (4 * CHUNK + 2 * headDim + 4)) / 64) * 64;

/** Largest 16-bit key and query element, so that headDim products add up in int32. */
const keyLimit = (headDim: number) => Math.min(32_767, Math.floor(Math.sqrt((2 ** 31 - 1) / headDim)));

/** Bytes of one cached element. */
export const elementBytes = ({ type = "f32" }: CacheShape) => (type === "f32" ? 4 : 2);

/** Arguments that `ropeStore` and the attention ops share: where one layer of the cache lies. Scales are 0 for f32. */
function cacheAt(t: OpContext, at: number) {
  const [kvHeads, headDim, keys, values, keyScales, valueScales, positions] = t.words.subarray(
    at,
    at + CACHE_ARGUMENTS,
  );
  const headBytes = positions * headDim * (keyScales === 0 ? 4 : 2);
  return { kvHeads, headDim, keys, values, keyScales, valueScales, positions, headBytes };
}
const CACHE_ARGUMENTS = 7;

export const ropeStore: Op = (t, at) => {
  const c = cacheAt(t, at);
  const [q, k, v, heads, table] = t.words.subarray(at + CACHE_ARGUMENTS, at + CACHE_ARGUMENTS + 5);
  const { kvHeads, headDim, positions } = c;
  const [begin, end] = t.share(t.rows);
  for (let row = begin; row < end; row++) {
    const position = t.position(row);
    const angles = table + position * 4 * headDim;
    t.kernels.rope(q + row * heads * 4 * headDim, angles, heads, headDim);
    t.kernels.rope(k + row * kvHeads * 4 * headDim, angles, kvHeads, headDim);
    for (let head = 0; head < kvHeads; head++) {
      const from = (row * kvHeads + head) * 4 * headDim;
      const slot = t.slot(row) * kvHeads + head;
      const [keys, values] = [c.keys + slot * c.headBytes, c.values + slot * c.headBytes];
      if (c.keyScales === 0) {
        t.kernels.storeKey(k + from, keys, position, headDim);
        t.kernels.storeValue(v + from, values, position, headDim, 32 * positions);
      } else {
        const scales = slot * 4 * positions;
        t.kernels.storeKey16(k + from, keys, c.keyScales + scales, position, headDim, keyLimit(headDim));
        t.kernels.storeValue16(v + from, values, c.valueScales + scales, position, headDim, 16 * positions);
      }
    }
  }
};

/** Many units: each thread does whole ones. */
export const attend: Op = (t, at) => {
  const a = attentionAt(t, at);
  const partials = a.scratch + t.job.thread * a.unitBytes;
  const [begin, end] = t.share(t.rows * a.kvHeads);
  for (let unit = begin; unit < end; unit++) {
    const chunks = chunksOf(t, a, unit);
    for (let chunk = 0; chunk < chunks; chunk++) attendChunk(t, a, { unit, chunk, partials });
    combineUnit(t, a, unit, partials);
  }
};

/** Few units: threads share their chunks, and `combine` follows behind a barrier. */
export const attendSplit: Op = (t, at) => {
  const a = attentionAt(t, at);
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
};

export const combine: Op = (t, at) => {
  const a = attentionAt(t, at);
  const [begin, end] = t.share(t.rows * a.kvHeads);
  for (let unit = begin; unit < end; unit++) combineUnit(t, a, unit, a.scratch + unit * a.unitBytes);
};

function attentionAt(t: OpContext, at: number) {
  const cache = cacheAt(t, at);
  const [q, out, heads, scratch, unitBytes, scores] = t.words.subarray(at + CACHE_ARGUMENTS, at + CACHE_ARGUMENTS + 6);
  const group = heads / cache.kvHeads;
  return {
    ...cache,
    q,
    out,
    /** query heads that share one key-value head */
    group,
    scratch,
    /** bytes of all partials of one unit */
    unitBytes,
    scores: scores + t.job.thread * scoreBytes(group, cache.headDim),
    chunkBytes: group * partialFloats(cache.headDim) * 4,
  };
}
type Attention = ReturnType<typeof attentionAt>;

function chunksOf(t: OpContext, a: Attention, unit: number): number {
  return Math.floor(t.position(Math.floor(unit / a.kvHeads)) / CHUNK) + 1;
}

/** One chunk of positions of one unit, into its place among the unit's partials. */
function attendChunk(t: OpContext, a: Attention, at: { unit: number; chunk: number; partials: number }): void {
  const row = Math.floor(at.unit / a.kvHeads);
  const first = at.chunk * CHUNK;
  const count = Math.min(CHUNK, t.position(row) + 1 - first);
  const slot = t.slot(row) * a.kvHeads + (at.unit % a.kvHeads);
  const [keys, values] = [a.keys + slot * a.headBytes, a.values + slot * a.headBytes];
  const q = a.q + at.unit * a.group * 4 * a.headDim;
  const partial = at.partials + at.chunk * a.chunkBytes;
  const { group, headDim, positions, scores } = a;
  if (a.keyScales === 0) {
    t.kernels.attendChunk(q, keys, values, 32 * positions, first, count, group, headDim, scores, partial);
    return;
  }
  const [keyScales, valueScales] = [a.keyScales + slot * 4 * positions, a.valueScales + slot * 4 * positions];
  t.kernels.attendChunk16(
    q,
    keys,
    values,
    keyScales,
    valueScales,
    16 * positions,
    first,
    count,
    group,
    headDim,
    scores,
    partial,
    keyLimit(headDim),
  );
}

function combineUnit(t: OpContext, a: Attention, unit: number, partials: number): void {
  const chunks = chunksOf(t, a, unit);
  for (let head = 0; head < a.group; head++) {
    const from = partials + head * partialFloats(a.headDim) * 4;
    const to = a.out + (unit * a.group + head) * 4 * a.headDim;
    t.kernels.combine(from, chunks, a.chunkBytes, to, a.headDim);
  }
}
