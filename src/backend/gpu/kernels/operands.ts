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

/** The weight of a norm as the file has it: an even number of values, two to a u32 where they have 16 bits. */
export interface Dense {
  readonly window: Window;
  readonly type: "F32" | "F16" | "BF16";
}

/** How dense weights lie on the device, and the constant TYPE of kernels that read them: see wgsl/shared/units.wgsl. */
export const DENSE_TYPES = { F32: 0, F16: 1, BF16: 2, Q8: 3, Q2: 4 } as const;
export type DenseType = keyof typeof DENSE_TYPES;

/** What stands beside the values of a group of weights, and the constant SCALES. */
export const GROUP_SCALES = { none: 0, half: 1, float: 2, "float and minimum": 3 } as const;

/** A type with what its groups have. */
export interface DenseForm {
  readonly type: DenseType;
  /** weights that share a scale; absent where there are none */
  readonly group?: number;
  readonly scales?: keyof typeof GROUP_SCALES;
}

/** A dense weight that may be larger than a binding: `parts` hold whole rows, and all of them together. */
export interface Table extends DenseForm {
  readonly rows: number;
  /** a multiple of 4, of the group, and of a unit */
  readonly columns: number;
  readonly parts: readonly TablePart[];
}

export interface TablePart {
  /** the row that it begins with */
  readonly first: number;
  readonly count: number;
  readonly window: Window;
  /** byte of the window at which the scales begin */
  readonly scalesAt?: number;
}

/** Files and constants of what reads a dense weight in units. */
export const UNIT_FILES = ["shared/halves", "shared/dense", "shared/units"];
export const unitConstants = ({ type, group = 1, scales = "none" }: DenseForm) => ({
  TYPE: DENSE_TYPES[type],
  GROUP: group,
  SCALES: GROUP_SCALES[scales],
});
/** "Q8 by 32" */
export const formName = ({ type, group }: DenseForm) => (group === undefined ? type : `${type} by ${group}`);

/** Weights of a unit. */
const UNIT = { F32: 4, F16: 4, BF16: 4, Q8: 8, Q2: 32 } as const;
export const unitsOf = ({ type, columns }: Pick<Table, "type" | "columns">) => columns / UNIT[type];

/** Dots of a dense weight's rows with rows of x: the rows of x that share its loads, its rows of 32 lanes, and units ahead. */
const DOTS = {
  logits: { one: { TILE: 1, ROWS: 4, STEPS: 1 }, tile: { TILE: 8, ROWS: 2, STEPS: 1 } },
  linear: { one: { TILE: 1, ROWS: 2, STEPS: 4 }, tile: { TILE: 8, ROWS: 2, STEPS: 1 } },
} as const;
/** groups of 32 lanes in a workgroup */
const LANE_GROUPS = 8;

/** The form of wgsl/shared/dense-dots.wgsl for `rows` rows of x, and the rows of the weight that a workgroup makes. */
export function dotsOf(
  kernel: keyof typeof DOTS,
  rows: number,
): { form: "one" | "tile"; constants: Readonly<Record<"TILE" | "ROWS" | "STEPS", number>>; made: number } {
  const form = rows === 1 ? "one" : "tile";
  const constants = DOTS[kernel][form];
  return { form, constants, made: LANE_GROUPS * constants.ROWS };
}

/** A norm and its weight. */
export interface Norm {
  readonly weight: Dense;
  readonly eps: number;
  /** a multiple of 16 */
  readonly width: number;
}

/** Files and params of a kernel that normalises rows. */
export const WEIGHT_FILES = ["shared/halves", "shared/dense", "shared/norm-weight"];
export const NORM_FILES = ["shared/reduce", "shared/norm-row", ...WEIGHT_FILES];
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
