/** RMSNorm of the requested rows alone. */
import type { Call, Window } from "../device/kernel.js";
import { DENSE_TYPES, NORM_FILES, NORM_PARAMS, type Norm, read, written } from "./operands.js";

/** Row j of out = row outputs[j] of x, normalised; `count` rows. */
export function normOutputs(a: Norm & { x: Window; outputs: Window; count: number; out: Window }): Call {
  return {
    kernel: {
      name: `norm outputs (${a.weight.type})`,
      files: [...NORM_FILES, "norm-outputs/norm-outputs"],
      entryPoint: "normOutputs",
      constants: { TYPE: DENSE_TYPES[a.weight.type] },
      params: NORM_PARAMS,
      bindings: [...["weight", "x", "outputs"].map(read), written("out")],
    },
    params: { quads: a.width / 4, share: 1 / a.width, eps: a.eps },
    bindings: { weight: a.weight.window, x: a.x, outputs: a.outputs, out: a.out },
    grid: [a.count, 1, 1],
  };
}
