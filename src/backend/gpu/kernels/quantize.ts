/** Int8 quantisation of rows as they are. */
import type { Call, Window } from "../device/kernel.js";
import { type QuantizedWindows, read, u32, written } from "./operands.js";

/** out = the rows of x, rounded to int8, and a copy of them. */
export function quantize(a: { x: Window; width: number; rows: number; out: QuantizedWindows }): Call {
  const { normed, values, scales, sums } = a.out;
  return {
    kernel: {
      name: "quantize",
      files: ["shared/reduce", "shared/norm-row", "quantize/quantize"],
      entryPoint: "quantize",
      constants: {},
      params: [u32("quads")],
      bindings: [read("x"), ...["normed", "values", "scales", "sums"].map(written)],
    },
    params: { quads: a.width / 4 },
    bindings: { x: a.x, normed, values, scales, sums },
    grid: [a.rows, 1, 1],
  };
}
