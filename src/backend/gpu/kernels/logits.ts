/** Logits: the dense table of the vocabulary times rows. */
import type { Call, Window } from "../device/kernel.js";
import { DENSE_TYPES, read, type Table, u32, written } from "./operands.js";

/** Forms of the kernel: rows of x that share the loads of a table row, and table rows of 32 lanes. */
const FORMS = { one: { TILE: 1, ROWS: 4 }, tile: { TILE: 8, ROWS: 2 } } as const;
/** groups of 32 lanes in a workgroup */
const GROUPS = 8;
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
  { first, count, window }: Table["parts"][number],
  { x, before, rows, out }: { x: Window; before: number; rows: number; out: Window },
): Call {
  const form = rows === 1 ? "one" : "tile";
  return {
    kernel: {
      name: `logits (${form}, ${table.type})`,
      files: ["shared/halves", "shared/dense", "logits/logits"],
      entryPoint: "logits",
      constants: { TYPE: DENSE_TYPES[table.type], ...FORMS[form] },
      params: ["quads", "count", "first", "vocabulary", "rows", "before"].map(u32),
      bindings: [read("table"), read("x"), written("out")],
    },
    params: { quads: table.columns / 4, count, first, vocabulary: table.rows, rows, before },
    bindings: { table: window, x, out },
    bytes: window.size,
    grid: [Math.ceil(count / (GROUPS * FORMS[form].ROWS)), Math.ceil(rows / FORMS[form].TILE), 1],
  };
}

/** `count` rows of `width` 4-byte values from row `first` on, a multiple of 64. */
function rowsOf({ buffer, offset }: Window, first: number, count: number, width: number): Window {
  return { buffer, offset: offset + first * width * 4, size: count * width * 4 };
}
