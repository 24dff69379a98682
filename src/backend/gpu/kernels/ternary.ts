/** Ternary matrices times int8 rows: one dispatch for all matrices that share their input. */
import type { Binding, Call, Window } from "../kernel.js";
import type { QuantizedWindows } from "./operands.js";

export interface TernaryProjection {
  /** 2-bit codes (rows, columns) as an I2_S tensor has them */
  readonly codes: Window;
  readonly rows: number;
  readonly scale: number;
  /** f32 (batch rows, rows) */
  readonly out: Window;
  /** f32 (batch rows, rows) receives `+= out` */
  readonly addTo?: Window | undefined;
}

export interface TernaryOperands {
  /** 1 to 3 */
  readonly projections: readonly TernaryProjection[];
  /** a multiple of 128 */
  readonly columns: number;
  /** of the batch */
  readonly rows: number;
  readonly x: Pick<QuantizedWindows, "values" | "scales" | "sums">;
  /** take the device's matrix units for many rows; default false */
  readonly matrixUnits?: boolean | undefined;
}

/** Most batch rows of the matrix-vector form, with and without matrix units. */
const FEW_ROWS = { matrix: 4, tile: 16 } as const;

/** Files of `wgsl/` by the number of matrices. */
export const MATRICES = ["one", "two", "three"] as const;

/** Forms of the kernel: rows of the batch and outputs that a workgroup takes. */
const FORMS = {
  few: { outputs: 8, entryPoint: "ternary", file: "ternary" },
  tile: { outputs: 64, entryPoint: "ternaryTile", file: "ternary-tile" },
  matrix: { outputs: 64, entryPoint: "ternaryMatrix", file: "ternary-matrix" },
} as const;

/** out = (x . (code - 1)) * scale * scale of x for each projection. All forms give the same bits. */
export function ternary(a: TernaryOperands): Call[] {
  const alone = a.projections.length > 1 && a.projections.some(({ addTo }) => addTo !== undefined);
  if (alone) return a.projections.map((projection) => dispatch({ ...a, projections: [projection] }));
  return [dispatch(a)];
}

function dispatch(a: TernaryOperands): Call {
  const many = a.matrixUnits ? "matrix" : "tile";
  const form = a.rows <= FEW_ROWS[many] ? "few" : many;
  const { outputs, entryPoint, file } = FORMS[form];
  const batch = form === "few" ? Math.min(4, 2 ** Math.ceil(Math.log2(a.rows))) : 64;
  const { addTo } = a.projections[0];
  const matrices = addTo === undefined ? MATRICES[a.projections.length - 1] : "add";
  const groups = a.projections.reduce((sum, { rows }) => sum + Math.ceil(rows / outputs), 0);
  return {
    kernel: {
      name: `ternary (${form === "few" ? batch : form}, ${matrices})`,
      files: [
        ...(form === "matrix" ? ["matrix-units"] : []),
        ...["ternary-common", "ternary-share", `ternary-${matrices}`],
        file,
      ],
      entryPoint,
      constants: form === "few" ? { BATCH: batch } : {},
      params: [
        ...["quads", "rows", "outputs0", "outputs1", "outputs2"].map((name) => ({ name, type: "u32" }) as const),
        ...["scale0", "scale1", "scale2"].map((name) => ({ name, type: "f32" }) as const),
      ],
      bindings: [...["values", "scales", "sums"].map(read), ...a.projections.flatMap(bindingsOf)],
    },
    params: {
      quads: a.columns / 64,
      rows: a.rows,
      ...named("outputs", (i) => a.projections[i]?.rows ?? 0),
      ...named("scale", (i) => a.projections[i]?.scale ?? 0),
    },
    bindings: Object.assign({ ...a.x }, ...a.projections.map(windowsOf)),
    bytes: bytesOf(a.projections),
    grid: [groups, Math.ceil(a.rows / batch), 1],
  };
}

const read = (name: string): Binding => ({ name, access: "read" });
const write = (name: string): Binding => ({ name, access: "read_write" });

export const bytesOf = (all: readonly TernaryProjection[]) => all.reduce((sum, { codes }) => sum + codes.size, 0);

export function bindingsOf({ addTo }: TernaryProjection, i: number): Binding[] {
  return [read(`codes${i}`), write(`out${i}`), ...(addTo === undefined ? [] : [write("addTo")])];
}

export function windowsOf({ codes, out, addTo }: TernaryProjection, i: number): Record<string, Window> {
  return { [`codes${i}`]: codes, [`out${i}`]: out, ...(addTo === undefined ? {} : { addTo }) };
}

export function named(name: string, value: (i: number) => number): Record<string, number> {
  return Object.fromEntries([0, 1, 2].map((i) => [`${name}${i}`, value(i)]));
}
