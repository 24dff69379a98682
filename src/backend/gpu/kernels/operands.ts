/** What descriptions of kernels share: names of params and bindings, and operands that several kernels are given. */
import type { Binding, Kernel, Window } from "../device/kernel.js";

export const read = (name: string): Binding => ({ name, access: "read" });
export const written = (name: string): Binding => ({ name, access: "read_write" });
export const u32 = (name: string): Kernel["params"][number] => ({ name, type: "u32" });
export const f32 = (name: string): Kernel["params"][number] => ({ name, type: "f32" });

/** A part of a kernel that has forms: its files, and what these are given. */
export interface Fragment {
  readonly files: readonly string[];
  readonly constants: Readonly<Record<string, number>>;
  readonly bindings: readonly Binding[];
  readonly windows: Readonly<Record<string, Window>>;
}

/** A weight as the file has it: rows of an even number of values, two to a u32 where they have 16 bits. */
export interface Dense {
  readonly window: Window;
  readonly type: "F32" | "F16" | "BF16";
}

/** The constant TYPE of kernels that read a dense weight, as wgsl/shared/dense.wgsl has it. */
export const DENSE_TYPES = { F32: 0, F16: 1, BF16: 2 } as const;

/** A dense weight that may be larger than a binding: `parts` hold whole rows, and all of them together. */
export interface Table {
  readonly type: Dense["type"];
  readonly rows: number;
  /** a multiple of 4 */
  readonly columns: number;
  readonly parts: readonly { readonly first: number; readonly count: number; readonly window: Window }[];
}

/** A norm and its weight. */
export interface Norm {
  readonly weight: Dense;
  readonly eps: number;
  /** a multiple of 16 */
  readonly width: number;
}

/** Files and params of a kernel that normalises rows. */
export const NORM_FILES = ["shared/reduce", "shared/norm-row", "shared/halves", "shared/dense", "shared/norm-weight"];
export const NORM_PARAMS = [u32("quads"), f32("share"), f32("eps")];

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
