/** Ternary matrices times int8 rows: one dispatch for all matrices that share their input. */
import type { Binding, Call, Window } from "../device/kernel.js";
import { f32, type QuantizedWindows, read, u32, written } from "./operands.js";

export interface TernaryProjection {
  /** 2-bit codes (rows, columns) in the order "block128" of formats/i2_s.ts; those of matrices that share a dispatch lie in one buffer */
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
  /** take subgroup matrices for many rows; default false */
  readonly subgroupMatrices?: boolean | undefined;
}

/** Most batch rows of the matrix-vector form, with and without subgroup matrices. */
const FEW_ROWS = { matrix: 4, tile: 16 } as const;

/** Forms of wgsl/shared/keep-*.wgsl by the number of matrices. */
export const MATRICES = ["one", "two", "three"] as const;

/** Forms of the kernel: rows of the batch and outputs that a workgroup takes. */
const FORMS = {
  few: { outputs: 8, entryPoint: "ternary", file: "ternary/ternary" },
  tile: { outputs: 64, entryPoint: "ternaryTile", file: "ternary/tile" },
  matrix: { outputs: 64, entryPoint: "ternarySubgroupMatrices", file: "ternary/subgroup-matrices" },
} as const;

/** out = (x . (code - 1)) * scale * scale of x for each projection. All forms give the same bits. */
export function ternary(a: TernaryOperands): Call[] {
  const added = a.projections.length > 1 && a.projections.some(({ addTo }) => addTo !== undefined);
  if (added || !shareBuffer(a.projections))
    return a.projections.map((projection) => dispatch({ ...a, projections: [projection] }));
  return [dispatch(a)];
}

function dispatch(a: TernaryOperands): Call {
  const many = a.subgroupMatrices ? "matrix" : "tile";
  const form = a.rows <= FEW_ROWS[many] ? "few" : many;
  const { outputs, entryPoint, file } = FORMS[form];
  const batch = form === "few" ? Math.min(4, 2 ** Math.ceil(Math.log2(a.rows))) : 64;
  const { addTo } = a.projections[0];
  const matrices = addTo === undefined ? MATRICES[a.projections.length - 1] : "add";
  const groups = a.projections.reduce((sum, { rows }) => sum + Math.ceil(rows / outputs), 0);
  return {
    kernel: {
      name: `ternary (${form === "few" ? batch : form}, ${matrices})`,
      files: [file, "ternary/operands", "shared/matrices", `shared/keep-${matrices}`],
      entryPoint,
      constants: form === "few" ? { BATCH: batch } : {},
      params: [u32("quads"), u32("rows"), ...MATRIX_PARAMS],
      bindings: [...["values", "scales", "sums"].map(read), ...matrixBindings(a.projections)],
    },
    params: {
      quads: a.columns / 64,
      rows: a.rows,
      ...matrixParams(a.projections),
    },
    bindings: { ...a.x, ...matrixWindows(a.projections) },
    bytes: bytesOf(a.projections),
    grid: [groups, Math.ceil(a.rows / batch), 1],
  };
}

export const bytesOf = (all: readonly TernaryProjection[]) => all.reduce((sum, { codes }) => sum + codes.size, 0);

export const shareBuffer = (all: readonly Pick<TernaryProjection, "codes">[]) =>
  all.every(({ codes }) => codes.buffer === all[0].codes.buffer);

/** The params of up to three matrices, the binding of their codes, and those of their results. */
export const MATRIX_PARAMS = [
  ...["outputs0", "outputs1", "outputs2", "base0", "base1", "base2"].map(u32),
  ...["scale0", "scale1", "scale2"].map(f32),
];

export function matrixParams(all: readonly TernaryProjection[]): Record<string, number> {
  const begin = Math.min(...all.map(({ codes }) => codes.offset));
  const of = (name: string, value: (projection: TernaryProjection) => number) =>
    Object.fromEntries([0, 1, 2].map((i) => [`${name}${i}`, i < all.length ? value(all[i]) : 0]));
  return {
    ...of("outputs", ({ rows }) => rows),
    ...of("scale", ({ scale }) => scale),
    ...of("base", ({ codes }) => (codes.offset - begin) / 16),
  };
}

export function matrixBindings(all: readonly TernaryProjection[]): Binding[] {
  const added = all[0].addTo === undefined ? [] : [written("addTo")];
  return [read("codes"), ...all.map((_, i) => written(`out${i}`)), ...added];
}

export function matrixWindows(all: readonly TernaryProjection[]): Record<string, Window> {
  const [{ codes, addTo }] = all;
  const offset = Math.min(...all.map((projection) => projection.codes.offset));
  const end = Math.max(...all.map((projection) => projection.codes.offset + projection.codes.size));
  return {
    codes: { buffer: codes.buffer, offset, size: end - offset },
    ...Object.fromEntries(all.map(({ out }, i) => [`out${i}`, out])),
    ...(addTo === undefined ? {} : { addTo }),
  };
}
