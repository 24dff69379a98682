/**
 * The key-value cache and attention on one thread. A unit of work is (batch row, key-value head) with the query heads that
 * share it; its positions go in chunks whose partial results are put together in order, so that it does not matter who
 * does which chunk.
 */
import type { Offsets } from "../../record.js";
import { type CacheLayer, COMMANDS } from "../commands.js";
import { CHUNK, partialFloats, scoreBytes, TILE_PARTIALS, TILE_ROWS } from "../sizes.js";
import type { Op, OpContext } from "./context.js";

/** Largest 16-bit key and query element, so that headDim products add up in int32. */
const keyLimit = (headDim: number) => Math.min(32_767, Math.floor(Math.sqrt((2 ** 31 - 1) / headDim)));

const STORE = COMMANDS.ropeStore.at;
const ATTEND = COMMANDS.attend.at; // and of attendSplit and combine

/** Where one layer of the cache lies, read word by word: a literal with a spread takes longer than a small op. */
function cacheAt({ words: w }: OpContext, at: number, offsets: Offsets<CacheLayer>) {
  const [headDim, keyScales] = [w[at + offsets.headDim], w[at + offsets.keyScales]];
  return {
    kvHeads: w[at + offsets.kvHeads],
    headDim,
    blocks: w[at + offsets.blocks],
    keys: w[at + offsets.keys],
    values: w[at + offsets.values],
    /** 0 for f32 */
    keyScales,
    valueScales: w[at + offsets.valueScales],
    /** word where the table of blocks begins, and how many a slot has */
    table: w[at + offsets.table] >>> 2,
    slotBlocks: w[at + offsets.slotBlocks],
    /** of one head of a block */
    pieceBytes: CHUNK * headDim * (keyScales === 0 ? 4 : 2),
  };
}
type CacheAt = ReturnType<typeof cacheAt>;

/** The number of the piece that holds chunk `chunk` of a row's key-value head: one look into the table. */
function pieceOf(
  t: OpContext,
  { blocks, table, slotBlocks }: CacheAt,
  row: number,
  head: number,
  chunk: number,
): number {
  return head * blocks + t.words[table + t.slot(row) * slotBlocks + chunk];
}

/** Shared out by key-value head, as attention is. */
export const ropeStore: Op = (t, at) => {
  const c = cacheAt(t, at, STORE.cache);
  const w = t.words;
  const [q, k, v] = [w[at + STORE.q], w[at + STORE.k], w[at + STORE.v]];
  const [heads, table] = [w[at + STORE.heads], w[at + STORE.angles]];
  const { kvHeads, headDim } = c;
  const rotate = w[at + STORE.adjacent] === 1 ? t.kernels.ropeAdjacent : t.kernels.rope;
  const group = heads / kvHeads;
  const [begin, end] = t.share(t.rows * kvHeads);
  for (let unit = begin; unit < end; unit++) {
    const row = Math.floor(unit / kvHeads);
    const position = t.position(row);
    const angles = table + position * 4 * headDim;
    const from = unit * 4 * headDim;
    rotate(q + group * from, angles, group, headDim);
    rotate(k + from, angles, 1, headDim);
    const piece = pieceOf(t, c, row, unit % kvHeads, Math.floor(position / CHUNK));
    const [keys, values, p] = [c.keys + piece * c.pieceBytes, c.values + piece * c.pieceBytes, position % CHUNK];
    if (c.keyScales === 0) {
      t.kernels.storeKey(k + from, keys, p, headDim);
      t.kernels.storeValue(v + from, values, p, headDim);
    } else {
      const scales = piece * 4 * CHUNK;
      t.kernels.storeKey16(k + from, keys, c.keyScales + scales, p, headDim, keyLimit(headDim));
      t.kernels.storeValue16(v + from, values, c.valueScales + scales, p, headDim);
    }
  }
};

/** Many units: each thread does whole ones, chunk by chunk for a tile of rows that share a key-value head. */
export const attend: Op = (t, at) => {
  const a = attentionAt(t, at);
  const [begin, end] = t.share(t.rows * a.cache.kvHeads);
  for (let unit = begin; unit < end; ) {
    const head = Math.floor(unit / t.rows);
    const first = unit % t.rows;
    const last = Math.min(first + TILE_ROWS, t.rows, first + end - unit);
    attendTile(t, a, head, first, last);
    unit += last - first;
  }
};

/** Rows first .. last of one key-value head. */
function attendTile(t: OpContext, a: Attention, head: number, first: number, last: number): void {
  const states = a.tile + t.job.thread * TILE_PARTIALS * a.chunkBytes;
  const next = states + TILE_ROWS * a.chunkBytes;
  let chunks = 0;
  for (let row = first; row < last; row++) chunks = Math.max(chunks, chunksOf(t, row));
  for (let chunk = 0; chunk < chunks; chunk++) {
    for (let row = first; row < last; row++) {
      if (chunk >= chunksOf(t, row)) continue;
      const state = states + (row - first) * a.chunkBytes;
      attendChunk(t, a, { row, head, chunk, partial: chunk === 0 ? state : next });
      if (chunk > 0) foldAll(t, a, state, next);
    }
  }
  for (let row = first; row < last; row++) finishAll(t, a, row, head, states + (row - first) * a.chunkBytes);
}

/** Few units: threads share their chunks, and `combine` follows when all are computed. */
export const attendSplit: Op = (t, at) => {
  const a = attentionAt(t, at);
  let total = 0;
  for (let row = 0; row < t.rows; row++) total += chunksOf(t, row) * a.cache.kvHeads;
  const [begin, end] = t.share(total);
  for (let unit = 0, first = 0; unit < t.rows * a.cache.kvHeads; unit++) {
    const row = Math.floor(unit / a.cache.kvHeads);
    const chunks = chunksOf(t, row);
    const last = Math.min(chunks, end - first);
    for (let chunk = Math.max(0, begin - first); chunk < last; chunk++) {
      const partial = a.split + unit * a.unitBytes + chunk * a.chunkBytes;
      attendChunk(t, a, { row, head: unit % a.cache.kvHeads, chunk, partial });
    }
    first += chunks;
  }
};

/** Folds the chunks of `attendSplit` in order. */
export const combine: Op = (t, at) => {
  const a = attentionAt(t, at);
  const [begin, end] = t.share(t.rows * a.cache.kvHeads);
  for (let unit = begin; unit < end; unit++) {
    const row = Math.floor(unit / a.cache.kvHeads);
    const state = a.split + unit * a.unitBytes;
    for (let chunk = 1; chunk < chunksOf(t, row); chunk++) foldAll(t, a, state, state + chunk * a.chunkBytes);
    finishAll(t, a, row, unit % a.cache.kvHeads, state);
  }
};

function attentionAt(t: OpContext, at: number) {
  const w = t.words;
  const cache = cacheAt(t, at, ATTEND.cache);
  const group = w[at + ATTEND.heads] / cache.kvHeads;
  return {
    cache,
    q: w[at + ATTEND.q],
    out: w[at + ATTEND.out],
    /** query heads that share one key-value head */
    group,
    tile: w[at + ATTEND.scratch.tile],
    split: w[at + ATTEND.scratch.split],
    /** bytes of all partial results of one unit */
    unitBytes: w[at + ATTEND.scratch.unitBytes],
    scores: w[at + ATTEND.scratch.scores] + t.job.thread * scoreBytes(group, cache.headDim),
    /** bytes of the partial result of one unit for one chunk */
    chunkBytes: group * partialFloats(cache.headDim) * 4,
  };
}
type Attention = ReturnType<typeof attentionAt>;

function chunksOf(t: OpContext, row: number): number {
  return Math.floor(t.position(row) / CHUNK) + 1;
}

/** One chunk of positions of one unit. */
function attendChunk(
  t: OpContext,
  a: Attention,
  at: { row: number; head: number; chunk: number; partial: number },
): void {
  const { row, head, chunk, partial } = at;
  const { group, scores } = a;
  const { headDim, pieceBytes } = a.cache;
  const count = Math.min(CHUNK, t.position(row) + 1 - chunk * CHUNK);
  const piece = pieceOf(t, a.cache, row, head, chunk);
  const [keys, values] = [a.cache.keys + piece * pieceBytes, a.cache.values + piece * pieceBytes];
  const q = a.q + (row * a.cache.kvHeads + head) * group * 4 * headDim;
  if (a.cache.keyScales === 0) {
    t.kernels.attendChunk(q, keys, values, count, group, headDim, scores, partial);
    return;
  }
  const scales = piece * 4 * CHUNK;
  const [keyScales, valueScales] = [a.cache.keyScales + scales, a.cache.valueScales + scales];
  t.kernels.attendChunk16(
    q,
    keys,
    values,
    keyScales,
    valueScales,
    count,
    group,
    headDim,
    scores,
    partial,
    keyLimit(headDim),
  );
}

/** state += next for the heads of one unit. */
function foldAll(t: OpContext, a: Attention, state: number, next: number): void {
  const bytes = 4 * partialFloats(a.cache.headDim);
  for (let head = 0; head < a.group; head++) t.kernels.fold(state + head * bytes, next + head * bytes, a.cache.headDim);
}

function finishAll(t: OpContext, a: Attention, row: number, kvHead: number, state: number): void {
  const bytes = 4 * partialFloats(a.cache.headDim);
  const out = a.out + (row * a.cache.kvHeads + kvHead) * a.group * 4 * a.cache.headDim;
  for (let head = 0; head < a.group; head++) {
    t.kernels.finish(state + head * bytes, out + head * 4 * a.cache.headDim, a.cache.headDim);
  }
}
