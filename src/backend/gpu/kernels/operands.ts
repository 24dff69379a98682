/** What several kernels are given: a dense weight, and the rows that `normQuantize` makes and `ternary` reads. */
import type { Window } from "../device/kernel.js";

/** A weight as the file has it: rows of an even number of values, two to a u32 where they have 16 bits. */
export interface Dense {
  readonly window: Window;
  readonly type: "F32" | "F16" | "BF16";
}

export interface QuantizedWindows {
  /** f32 (rows, width) normalised rows before rounding */
  readonly normed: Window;
  /** packed int8 (rows, width), four to a u32 */
  readonly values: Window;
  /** f32 (rows) max|y| / 127 */
  readonly scales: Window;
  /** i32 (rows) the sum of a row's int8 values */
  readonly sums: Window;
}
