/** A norm and the ternary matrices behind it for a single row, in one dispatch. */
import type { Activation } from "../../backend.js";
import type { Binding, Call, Window } from "../kernel.js";
import { NORM_TYPES } from "./norm.js";
import type { Dense, QuantizedWindows } from "./operands.js";
import { bindingsOf, MATRICES, named, type TernaryProjection, windowsOf } from "./ternary.js";

export interface RowOperands {
  /** f32 (columns); no projection writes to it */
  readonly x: Window;
  readonly weight: Dense;
  readonly eps: number;
  /** a multiple of 128 */
  readonly columns: number;
  /** receives the row as `normQuantize` leaves it */
  readonly quantized: QuantizedWindows;
  /** 1 to 3; with `addTo` only one */
  readonly projections: readonly TernaryProjection[];
}

/** What follows the matrices in the same dispatch. */
export type Finish =
  | { readonly kind: "store" }
  /** the first two of three matrices are rotated; half of a head is a multiple of 8 */
  | { readonly kind: "rope"; readonly angles: Window; readonly positions: Window; readonly headDim: number }
  /** of two matrices the first one's result becomes activation(first) * second */
  | { readonly kind: "gate"; readonly activation: Activation };

const read = (name: string): Binding => ({ name, access: "read" });
const write = (name: string): Binding => ({ name, access: "read_write" });

/** Outputs of a workgroup; of `gate` elements. */
const OUTPUTS = { store: 16, rope: 16, gate: 32 } as const;

/** Bytes of workgroup memory that a row of so many columns needs. */
export const rowMemory = (columns: number) => columns + 9 * 1024;

/** The bits of `normQuantize`, `ternary` and what `finish` says, one after the other. */
export function ternaryRow({ x, weight, eps, columns, quantized, projections }: RowOperands, finish: Finish): Call {
  const { addTo, rows } = projections[0];
  const matrices = addTo === undefined ? MATRICES[projections.length - 1] : "add";
  const outputs = OUTPUTS[finish.kind];
  const groups = finish.kind === "gate" ? [rows] : projections.map((projection) => projection.rows);
  const rope = finish.kind === "rope" ? { angles: finish.angles, positions: finish.positions } : {};
  const activation = finish.kind === "gate" ? ["activation"] : [];
  const silu = finish.kind === "gate" && finish.activation === "silu" ? 1 : 0;
  return {
    kernel: {
      name: `norm ternary (${matrices}${finish.kind === "store" ? "" : `, ${finish.kind}`}, ${columns})`,
      files: [
        "norm-row",
        "norm-weight",
        "ternary-row",
        "ternary-share",
        `ternary-${matrices}`,
        ...(finish.kind === "rope" ? ["rotate"] : activation),
        `row-${finish.kind}`,
      ],
      entryPoint: "ternaryRow",
      constants: { TYPE: NORM_TYPES[weight.type], ROW: columns / 16, ...(finish.kind === "gate" && { SILU: silu }) },
      params: [
        ...["quads", "outputs0", "outputs1", "outputs2"].map((name) => ({ name, type: "u32" }) as const),
        ...["scale0", "scale1", "scale2", "eps"].map((name) => ({ name, type: "f32" }) as const),
        { name: "half", type: "u32" },
      ],
      bindings: [
        read("weight"),
        read("x"),
        ...["normed", "values", "scales", "sums"].map(write),
        ...projections.flatMap(bindingsOf),
        ...Object.keys(rope).map(read),
      ],
    },
    params: {
      quads: columns / 64,
      eps,
      half: finish.kind === "rope" ? finish.headDim / 2 : 0,
      ...named("outputs", (i) => projections[i]?.rows ?? 0),
      ...named("scale", (i) => projections[i]?.scale ?? 0),
    },
    bindings: Object.assign({ weight: weight.window, x, ...quantized, ...rope }, ...projections.map(windowsOf)),
    grid: [groups.reduce((sum, rows) => sum + Math.ceil(rows / outputs), 0), 1, 1],
  };
}
