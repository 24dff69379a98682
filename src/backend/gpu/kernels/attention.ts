/** Rotary embedding with the store of keys and values, and attention over what was stored. */
import type { Binding, Call, Kernel, Window } from "../device/kernel.js";

/** Positions that one workgroup takes at a time; a row's bits depend on it. */
export const CHUNK = 128;
/** With more rows than this a workgroup walks all chunks of its row: there are enough workgroups then. */
const MOST_CHUNKED_ROWS = 16;

interface Shape {
  readonly heads: number;
  readonly kvHeads: number;
  /** a multiple of 8, at most 512 */
  readonly headDim: number;
  /** positions of a slot */
  readonly capacity: number;
  readonly rows: number;
}

const read = (name: string): Binding => ({ name, access: "read" });
const written = (name: string): Binding => ({ name, access: "read_write" });
const u32 = (name: string): Kernel["params"][number] => ({ name, type: "u32" });

/** Rotates q and k in place at their rows' positions, and stores k and v. `angles`: (positions, headDim / 2) cos, sin. */
export function ropeStore(
  a: Shape & Record<"q" | "k" | "v" | "angles" | "keys" | "values" | "slots" | "positions", Window>,
): Call {
  const { q, k, v, angles, keys, values, slots, positions, heads, kvHeads, headDim, capacity, rows } = a;
  return {
    kernel: {
      name: "rope store",
      files: ["rotate", "rope-store"],
      entryPoint: "ropeStore",
      constants: {},
      params: ["heads", "kvHeads", "half", "capacity"].map(u32),
      bindings: [...["angles", "slots", "positions", "v"].map(read), ...["q", "k", "keys", "values"].map(written)],
    },
    params: { heads, kvHeads, half: headDim / 2, capacity },
    bindings: { angles, slots, positions, v, q, k, keys, values },
    grid: [Math.ceil(((heads + 2 * kvHeads) * headDim) / 2 / 64), rows, 1],
  };
}

/** Bytes of `partials` that `attend` may need. */
export function partialBytes(a: { rows: number; heads: number; headDim: number; capacity: number }): number {
  return Math.min(a.rows, MOST_CHUNKED_ROWS) * a.heads * Math.ceil(a.capacity / CHUNK) * (a.headDim + 4) * 4;
}

export type Attention = Shape & {
  /** largest position of the batch */
  readonly longest: number;
} & Readonly<Record<"out" | "q" | "keys" | "values" | "slots" | "positions" | "partials", Window>>;

/**
 * out = softmax(q k^T / sqrt(headDim)) v over positions 0..position of each row's slot. All forms give the same bits.
 */
export function attend(a: Attention): Call[] {
  const { out, partials, positions, heads, rows, longest } = a;
  if (!isChunked(rows, longest)) return [chunked(a, "attend", out, [blocksOf(a), rows, 1])];
  const chunks = chunksOf(longest);
  const columns = a.headDim / 4;
  return [
    attendChunks(a),
    {
      kernel: {
        name: "attend (combine)",
        files: ["attend-merge", "attend-partials", "attend-combine"],
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

/** Whether `attend` leaves chunks of a row to be merged. */
export const isChunked = (rows: number, longest: number) => longest >= CHUNK && rows <= MOST_CHUNKED_ROWS;

/** The first half of `attend` where it is chunked: leaves `partials` (rows, heads, chunks, headDim + 4). */
export function attendChunks(a: Attention): Call {
  return chunked(a, "attendChunks", a.partials, [chunksOf(a.longest), blocksOf(a), a.rows]);
}

/** Workgroups of a row. */
const blocksOf = (a: Attention) => a.kvHeads * Math.ceil(a.heads / a.kvHeads / headsOf(a));

/** Workgroups that fill a device; with fewer every query head has its own, which then ends sooner. */
const FEW_WORKGROUPS = 64;

/** Query heads of a workgroup. */
function headsOf({ heads, kvHeads, rows, longest }: Attention): number {
  const workgroups = rows * kvHeads * (isChunked(rows, longest) ? chunksOf(longest) : 1);
  return heads === kvHeads || workgroups < FEW_WORKGROUPS ? 1 : 4;
}

function chunked(a: Attention, entryPoint: "attend" | "attendChunks", out: Window, grid: Call["grid"]): Call {
  const { q, keys, values, slots, positions, heads, kvHeads, headDim, capacity, longest } = a;
  const form = entryPoint === "attend" ? "whole" : "chunks";
  return {
    kernel: {
      name: `attend (${form}, ${headsOf(a)} x ${headDim})`,
      files: ["attend-merge", "attend-chunk"],
      entryPoint,
      constants: { COLUMNS: headDim / 4, HEADS: headsOf(a), CHUNK },
      params: [...["heads", "kvHeads", "capacity", "chunks"].map(u32), { name: "scale", type: "f32" }],
      bindings: [...["q", "keys", "values", "slots", "positions"].map(read), written("out")],
    },
    params: { heads, kvHeads, capacity, chunks: chunksOf(longest), scale: 1 / Math.sqrt(headDim) },
    bindings: { q, slots, positions, out, keys, values },
    grid,
  };
}
