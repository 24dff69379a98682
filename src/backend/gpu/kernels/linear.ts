/** Dense matrices times float rows: one dispatch for matrices that share their input. */
import type { Call, Window } from "../device/kernel.js";
import {
  dotsOf,
  f32,
  formName,
  read,
  type Table,
  type TablePart,
  UNIT_FILES,
  u32,
  unitConstants,
  unitsOf,
  written,
} from "./operands.js";
import { MATRICES } from "./ternary.js";

export interface LinearProjection {
  readonly table: Table;
  /** multiplies the results */
  readonly factor: number;
  /** f32 (batch rows, rows of the table) */
  readonly out: Window;
  /** f32 (batch rows, rows of the table) receives `+= out` */
  readonly addTo?: Window | undefined;
}

interface LinearOperands {
  readonly projections: readonly LinearProjection[];
  /** of the batch */
  readonly rows: number;
  /** f32 (rows, columns) */
  readonly x: Window;
}

/** A matrix, or a part of one. */
interface Matrix extends LinearProjection {
  readonly part: TablePart;
}

const PARAMS = [
  ...["units", "rows", "before", "rest"].map(u32),
  ...["outputs0", "outputs1", "outputs2", "base0", "base1", "base2"].map(u32),
  ...["scale0", "scale1", "scale2"].map(f32),
  ...["scalesAt0", "scalesAt1", "scalesAt2"].map(u32),
];

/** out = factor * table . x for each projection. Forms for one row and for many give the same bits. */
export function linear({ projections, rows, x }: LinearOperands): Call[] {
  const matrices = projections.flatMap((projection) => projection.table.parts.map((part) => ({ ...projection, part })));
  const calls: Call[] = [];
  for (let i = 0; i < matrices.length; ) {
    const count = alikeFrom(matrices.slice(i, i + MATRICES.length));
    calls.push(dispatch(matrices.slice(i, i + count), rows, x));
    i += count;
  }
  return calls;
}

/** How many of the first matrices one dispatch can take: whole ones of one form, in one buffer, that add to nothing. */
function alikeFrom(matrices: readonly Matrix[]): number {
  const isWhole = ({ table, addTo }: Matrix) => table.parts.length === 1 && addTo === undefined;
  const [first] = matrices;
  if (!isWhole(first)) return 1;
  const key = ({ table }: Matrix) => [table.type, table.group, table.scales].join();
  const other = matrices.findIndex((matrix) => {
    return !isWhole(matrix) || key(matrix) !== key(first) || matrix.part.window.buffer !== first.part.window.buffer;
  });
  return other < 0 ? matrices.length : other;
}

function dispatch(matrices: readonly Matrix[], rows: number, x: Window): Call {
  const [{ table, part, addTo }] = matrices;
  const { form, constants, made } = dotsOf("linear", rows);
  const kept = addTo === undefined ? MATRICES[matrices.length - 1] : "add";
  const { weights, params } = weightsOf(matrices);
  const groups = matrices.reduce((sum, { part: { count } }) => sum + Math.ceil(count / made), 0);
  return {
    kernel: {
      name: `linear (${form}, ${kept}, ${formName(table)})`,
      files: [...UNIT_FILES, "shared/dense-dots", "shared/matrices", "linear/linear", `shared/keep-${kept}`],
      entryPoint: "linear",
      constants: { ...unitConstants(table), ...constants },
      params: PARAMS,
      bindings: [
        ...["x", "table"].map(read),
        ...matrices.map((_, i) => written(`out${i}`)),
        ...(addTo === undefined ? [] : [written("addTo")]),
      ],
    },
    params: { ...params, units: unitsOf(table), rows, before: part.first, rest: table.rows - part.count },
    bindings: {
      x,
      table: weights,
      ...Object.fromEntries(matrices.map(({ out }, i) => [`out${i}`, out])),
      ...(addTo === undefined ? {} : { addTo }),
    },
    bytes: matrices.reduce((sum, { part: { window } }) => sum + window.size, 0),
    grid: [groups, Math.ceil(rows / constants.TILE), 1],
  };
}

/** One binding for all matrices, and where they lie in it. */
function weightsOf(matrices: readonly Matrix[]): { weights: Window; params: Record<string, number> } {
  const windows = matrices.map(({ part }) => part.window);
  const offset = Math.min(...windows.map((window) => window.offset));
  const end = Math.max(...windows.map((window) => window.offset + window.size));
  const of = (name: string, value: (matrix: Matrix) => number) =>
    Object.fromEntries([0, 1, 2].map((i) => [`${name}${i}`, i < matrices.length ? value(matrices[i]) : 0]));
  return {
    weights: { buffer: windows[0].buffer, offset, size: end - offset },
    params: {
      ...of("outputs", ({ part }) => part.count),
      ...of("base", ({ part }) => (part.window.offset - offset) / 8),
      ...of("scale", ({ factor }) => factor),
      ...of("scalesAt", ({ part: { window, scalesAt = 0 } }) => (window.offset - offset + scalesAt) / 4),
    },
  };
}
