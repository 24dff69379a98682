/** Logits: the dense table of the vocabulary times rows. */
import type { Call, Window } from "../device/kernel.js";
import {
  dotsOf,
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

/** So many rows of 4-byte values begin at a multiple of 256 bytes, as a binding must. */
const BOUND_ROWS = 64;

interface Logits {
  readonly table: Table;
  readonly x: Window;
  /** first row of x; default 0 */
  readonly from?: number;
  readonly count: number;
  readonly out: Window;
  /** largest binding in bytes; default 128 MiB */
  readonly maxBinding?: number;
}

/** out[j] = table . x[from + j] for `count` rows. */
export function logits(a: Logits): Call[] {
  const { table, count, from = 0, maxBinding = 2 ** 27 } = a;
  const most = Math.floor(maxBinding / (BOUND_ROWS * 4 * Math.max(table.rows, table.columns))) * BOUND_ROWS;
  if (most === 0) {
    throw new RangeError(`maxBinding: expected room for ${BOUND_ROWS} rows of ${table.rows}, got ${maxBinding} bytes`);
  }
  const calls: Call[] = [];
  for (let first = 0; first < count; first += most) {
    const rows = Math.min(most, count - first);
    const before = (from + first) % BOUND_ROWS;
    const x = rowsOf(a.x, from + first - before, before + rows, table.columns);
    const out = rowsOf(a.out, first, rows, table.rows);
    calls.push(...table.parts.map((part) => logitsOfPart(table, part, { x, before, rows, out })));
  }
  return calls;
}

function logitsOfPart(
  table: Table,
  { first, count, window, scalesAt = 0 }: TablePart,
  { x, before, rows, out }: { x: Window; before: number; rows: number; out: Window },
): Call {
  const { form, constants, made } = dotsOf("logits", rows);
  return {
    kernel: {
      name: `logits (${form}, ${formName(table)})`,
      files: [...UNIT_FILES, "shared/dense-dots", "logits/logits"],
      entryPoint: "logits",
      constants: { ...unitConstants(table), ...constants },
      params: ["units", "count", "first", "vocabulary", "rows", "before", "scalesAt"].map(u32),
      bindings: [read("table"), read("x"), written("out")],
    },
    params: { units: unitsOf(table), count, first, vocabulary: table.rows, rows, before, scalesAt: scalesAt / 4 },
    bindings: { table: window, x, out },
    bytes: window.size,
    grid: [Math.ceil(count / made), Math.ceil(rows / constants.TILE), 1],
  };
}

/** `count` rows of `width` 4-byte values from row `first` on, a multiple of 64. */
function rowsOf({ buffer, offset }: Window, first: number, count: number, width: number): Window {
  return { buffer, offset: offset + first * width * 4, size: count * width * 4 };
}
