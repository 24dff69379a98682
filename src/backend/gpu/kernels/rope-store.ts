/** Rotary embedding, and the store of keys and values. */
import type { Call, Window } from "../device/kernel.js";
import { type CacheLayer, ROTATE_FILES, rotateConstants } from "./cache.js";
import { read, u32, written } from "./operands.js";

type Operands = { readonly cache: CacheLayer; readonly heads: number; readonly rows: number } & Readonly<
  Record<"q" | "k" | "v" | "slots" | "positions", Window>
>;

/** Rotates q and k in place at their rows' positions, and stores k and v. */
export function ropeStore({ cache, q, k, v, slots, positions, heads, rows }: Operands): Call {
  const { kvHeads, headDim, tables, keys, values } = cache;
  return {
    kernel: {
      name: "rope store",
      files: [...ROTATE_FILES, "rope-store/rope-store"],
      entryPoint: "ropeStore",
      constants: rotateConstants(cache),
      params: ["heads", "kvHeads", "half"].map(u32),
      bindings: [...["tables", "slots", "positions", "v"].map(read), ...["q", "k", "keys", "values"].map(written)],
    },
    params: { heads, kvHeads, half: headDim / 2 },
    bindings: { tables, slots, positions, v, q, k, keys, values },
    grid: [Math.ceil(((heads + 2 * kvHeads) * headDim) / 2 / 64), rows, 1],
  };
}
