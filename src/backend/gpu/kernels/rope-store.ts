/** Rotary embedding, and the store of keys and values. */
import type { Call, Window } from "../device/kernel.js";
import { type AttentionShape, read, u32, written } from "./operands.js";

/** Rotates q and k in place at their rows' positions, and stores k and v. `angles`: (positions, headDim / 2) cos, sin. */
export function ropeStore(
  a: AttentionShape & Record<"q" | "k" | "v" | "angles" | "keys" | "values" | "slots" | "positions", Window>,
): Call {
  const { q, k, v, angles, keys, values, slots, positions, heads, kvHeads, headDim, capacity, rows } = a;
  return {
    kernel: {
      name: "rope store",
      files: ["shared/rotate", "shared/cache", "rope-store/rope-store"],
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
