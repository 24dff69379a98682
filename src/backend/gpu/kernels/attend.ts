/** Attention of each row over what the cache holds of its slot: whole, or by chunks that `combine` folds. */
import type { Call, Window } from "../device/kernel.js";
import { BLOCK, CACHE_FILES, type CacheLayer, type CacheTables, cacheConstants } from "./cache.js";
import { f32, read, u32, written } from "./operands.js";

/** Positions that one workgroup takes at a time, a block of the cache; a row's bits depend on it. */
export const CHUNK = BLOCK;
/** With more rows than this a workgroup walks all chunks of its row: there are enough workgroups then. */
const MOST_CHUNKED_ROWS = 16;

/** Bytes of `partials` that `attend` may need. */
export function partialBytes({ rows, heads, cache }: { rows: number; heads: number; cache: CacheTables }): number {
  const chunks = chunksOf(cache.slotBlocks * BLOCK - 1);
  return Math.min(rows, MOST_CHUNKED_ROWS) * heads * chunks * (cache.headDim + 4) * 4;
}

export type Attention = {
  readonly cache: CacheLayer;
  readonly heads: number;
  readonly rows: number;
  /** largest position of the batch */
  readonly longest: number;
} & Readonly<Record<"out" | "q" | "slots" | "positions" | "partials", Window>>;

/**
 * out = softmax(q k^T / sqrt(headDim)) v over positions 0..position of each row's slot. All forms give the same bits.
 */
export function attend(a: Attention): Call[] {
  const { out, partials, positions, heads, rows, longest } = a;
  if (!isChunked(rows, longest)) return [chunked(a, "attend", out, [workgroupsOf(a), rows, 1])];
  const chunks = chunksOf(longest);
  const columns = a.cache.headDim / 4;
  return [
    attendSplit(a),
    {
      kernel: {
        name: "attend (combine)",
        files: ["shared/chunk", "shared/partials", "attend/combine"],
        entryPoint: "combine",
        constants: { CHUNK },
        params: ["heads", "columns", "chunks"].map(u32),
        bindings: [read("partials"), read("positions"), written("out")],
      },
      params: { heads, columns, chunks },
      bindings: { partials, positions, out },
      grid: [Math.ceil((heads * columns) / 64), rows, 1],
    },
  ];
}

/** Chunks of rows that see up to position `longest`. */
export const chunksOf = (longest: number) => Math.floor(longest / CHUNK) + 1;

/** Whether `attend` leaves chunks of a row to be folded. */
export const isChunked = (rows: number, longest: number) => longest >= CHUNK && rows <= MOST_CHUNKED_ROWS;

/** The first half of `attend` where it is chunked: leaves `partials` (rows, heads, chunks, headDim + 4). */
export function attendSplit(a: Attention): Call {
  return chunked(a, "attendSplit", a.partials, [chunksOf(a.longest), workgroupsOf(a), a.rows]);
}

/** Workgroups of a row. */
const workgroupsOf = (a: Attention) => a.cache.kvHeads * Math.ceil(a.heads / a.cache.kvHeads / headsOf(a));

/** Workgroups that fill a device; with fewer every query head has its own, which then ends sooner. */
const FEW_WORKGROUPS = 64;

/** Query heads of a workgroup. */
function headsOf({ cache: { kvHeads }, heads, rows, longest }: Attention): number {
  const workgroups = rows * kvHeads * (isChunked(rows, longest) ? chunksOf(longest) : 1);
  return heads === kvHeads || workgroups < FEW_WORKGROUPS ? 1 : 4;
}

function chunked(a: Attention, entryPoint: "attend" | "attendSplit", out: Window, grid: Call["grid"]): Call {
  const { cache, q, slots, positions, heads, longest } = a;
  const { tables, keys, values, kvHeads, headDim } = cache;
  const form = entryPoint === "attend" ? "whole" : "chunks";
  return {
    kernel: {
      name: `attend (${form}, ${headsOf(a)} x ${headDim})`,
      files: ["shared/chunk", ...CACHE_FILES, "attend/attend"],
      entryPoint,
      constants: { ...cacheConstants(cache), COLUMNS: headDim / 4, HEADS: headsOf(a), CHUNK },
      params: [...["heads", "kvHeads", "chunks"].map(u32), f32("scale")],
      bindings: [...["q", "keys", "values", "tables", "slots", "positions"].map(read), written("out")],
    },
    params: { heads, kvHeads, chunks: chunksOf(longest), scale: 1 / Math.sqrt(headDim) },
    bindings: { q, keys, values, tables, slots, positions, out },
    grid,
  };
}
