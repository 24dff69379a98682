/** Ternary matrices times int8 rows: one dispatch for all matrices that share their input. */
import type { Binding, Call, Window } from "../device/kernel.js";
import { f32, type QuantizedWindows, read, u32, written } from "./operands.js";

export interface TernaryProjection {
  /** 2-bit codes (rows, columns) in the order "block128" of formats/i2_s.ts; those of matrices that share a dispatch lie in one buffer */
  readonly codes: Window;
  readonly rows: number;
  readonly scale: number;
  /** byte of `codes` at which f32 (rows, columns / 256) scales of blocks begin; absent where `scale` is that of all weights */
  readonly scalesAt?: number | undefined;
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

/** Columns of a block that may have a scale of its own. */
export const SCALE_BLOCK = 256;

/** Forms of wgsl/shared/keep-*.wgsl by the number of matrices. */
export const MATRICES = ["one", "two", "three"] as const;

/** Forms of the kernel: outputs that a workgroup takes. */
const FORMS = {
  few: { outputs: 8, entryPoint: "ternary", file: "ternary/ternary" },
  tile: { outputs: 64, entryPoint: "ternaryTile", file: "ternary/tile" },
  matrix: { outputs: 64, entryPoint: "ternarySubgroupMatrices", file: "ternary/subgroup-matrices" },
} as const;

/** The same where blocks have scales. */
const BLOCK_FORMS = {
  few: { outputs: 8, entryPoint: "ternaryBlocks", file: "ternary/blocks" },
  tile: { outputs: 64, entryPoint: "ternaryBlocksTile", file: "ternary/blocks-tile" },
} as const;

/** out = (x . (code - 1)) * scale * scale of x for each projection. All forms give the same bits. */
export function ternary(a: TernaryOperands): Call[] {
  const added = a.projections.length > 1 && a.projections.some(({ addTo }) => addTo !== undefined);
  if (added || !areAlike(a.projections))
    return a.projections.map((projection) => dispatch({ ...a, projections: [projection] }));
  return [dispatch(a)];
}

/** The form for so many rows, and the rows of the batch that a workgroup takes. */
function formOf({ rows, subgroupMatrices, projections: [{ scalesAt }] }: TernaryOperands): {
  readonly outputs: number;
  readonly entryPoint: string;
  readonly file: string;
  readonly name: string;
  readonly batch: number;
  readonly constants: Readonly<Record<string, number>>;
} {
  const many = subgroupMatrices && scalesAt === undefined ? "matrix" : "tile";
  if (rows <= FEW_ROWS[many]) {
    const batch = Math.min(4, 2 ** Math.ceil(Math.log2(rows)));
    return {
      ...(scalesAt === undefined ? FORMS : BLOCK_FORMS).few,
      name: `${batch}`,
      batch,
      constants: { BATCH: batch },
    };
  }
  return { ...(scalesAt === undefined ? FORMS[many] : BLOCK_FORMS.tile), name: many, batch: 64, constants: {} };
}

function dispatch(a: TernaryOperands): Call {
  const { outputs, entryPoint, file, name, batch, constants } = formOf(a);
  const { addTo } = a.projections[0];
  const matrices = addTo === undefined ? MATRICES[a.projections.length - 1] : "add";
  const groups = a.projections.reduce((sum, { rows }) => sum + Math.ceil(rows / outputs), 0);
  const blocks = blocksOf(a.projections[0], a.columns);
  const scaled = blocks > 0;
  return {
    kernel: {
      name: `ternary (${[name, matrices, ...(scaled ? ["blocks"] : [])].join(", ")})`,
      files: [
        file,
        "ternary/operands",
        "shared/codes",
        ...(scaled ? ["shared/block-scales"] : []),
        "shared/matrices",
        `shared/keep-${matrices}`,
      ],
      entryPoint,
      constants: { ...constants, ...(scaled && { BLOCKS: blocks }) },
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

/** Whether one dispatch can take them all: their codes lie in one buffer, and all have scales of blocks, or none. */
export const areAlike = (all: readonly Pick<TernaryProjection, "codes" | "scalesAt">[]) =>
  all.every(({ codes, scalesAt }) => {
    return codes.buffer === all[0].codes.buffer && (scalesAt === undefined) === (all[0].scalesAt === undefined);
  });

/** The constant BLOCKS: blocks of a row that have scales, or 0. */
export const blocksOf = ({ scalesAt }: Pick<TernaryProjection, "scalesAt">, columns: number) =>
  scalesAt === undefined ? 0 : columns / SCALE_BLOCK;

/** The params of up to three matrices, the binding of their codes, and those of their results. */
export const MATRIX_PARAMS = [
  ...["outputs0", "outputs1", "outputs2", "base0", "base1", "base2"].map(u32),
  ...["scale0", "scale1", "scale2"].map(f32),
  ...["scalesAt0", "scalesAt1", "scalesAt2"].map(u32),
];

export function matrixParams(all: readonly TernaryProjection[]): Record<string, number> {
  const begin = Math.min(...all.map(({ codes }) => codes.offset));
  const of = (name: string, value: (projection: TernaryProjection) => number) =>
    Object.fromEntries([0, 1, 2].map((i) => [`${name}${i}`, i < all.length ? value(all[i]) : 0]));
  return {
    ...of("outputs", ({ rows }) => rows),
    ...of("scale", ({ scale }) => scale),
    ...of("base", ({ codes }) => (codes.offset - begin) / 16),
    ...of("scalesAt", ({ codes, scalesAt = 0 }) => (codes.offset - begin + scalesAt) / 4),
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
