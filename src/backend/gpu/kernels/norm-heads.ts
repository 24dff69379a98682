/** RMSNorm of each head of rows. */
import type { Call, Window } from "../device/kernel.js";
import { DENSE_TYPES, type Dense, f32, read, u32, WEIGHT_FILES, written } from "./operands.js";

/** Heads of a workgroup. */
const HEADS = 8;

/** Normalises `heads` heads of headDim elements in place, those of all rows. */
export function normHeads(a: { x: Window; weight: Dense; eps: number; headDim: number; heads: number }): Call {
  const { x, weight, eps, headDim, heads } = a;
  return {
    kernel: {
      name: `norm heads (${weight.type})`,
      files: [...WEIGHT_FILES, "norm-heads/norm-heads"],
      entryPoint: "normHeads",
      constants: { TYPE: DENSE_TYPES[weight.type] },
      params: [u32("quads"), u32("heads"), f32("share"), f32("eps")],
      bindings: [read("weight"), written("x")],
    },
    params: { quads: headDim / 4, heads, share: 1 / headDim, eps },
    bindings: { weight: weight.window, x },
    grid: [Math.ceil(heads / HEADS), 1, 1],
  };
}
