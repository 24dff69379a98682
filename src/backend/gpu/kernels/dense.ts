/** What reads the dense table of the vocabulary: the rows of tokens, and the logits. */
import type { Binding, Call, Window } from "../device/kernel.js";
import type { Dense } from "./operands.js";

/** A dense weight that may be larger than a binding: `parts` hold whole rows, and all of them together. */
export interface Table {
  readonly type: Dense["type"];
  readonly rows: number;
  /** a multiple of 4 */
  readonly columns: number;
  readonly parts: readonly { readonly first: number; readonly count: number; readonly window: Window }[];
}

const TYPES = { F32: 0, F16: 1, BF16: 2 } as const;

const read = (name: string): Binding => ({ name, access: "read" });

/** Row i of out = the table's row of token i; a token of -1 stands for what was last sampled for the row's slot. */
export function embed(a: {
  table: Table;
  tokens: Window;
  slots: Window;
  sampled: Window;
  out: Window;
  rows: number;
}): Call[] {
  const { table, tokens, slots, sampled, out } = a;
  const pairs = table.columns / 2;
  return table.parts.map(({ first, count, window }) => ({
    kernel: {
      name: `embed (${table.type})`,
      files: ["halves", "dense-values", "embed"],
      entryPoint: "embed",
      constants: { TYPE: TYPES[table.type] },
      params: [
        { name: "pairs", type: "u32" },
        { name: "first", type: "u32" },
        { name: "count", type: "u32" },
      ],
      bindings: [...["table", "tokens", "slots", "sampled"].map(read), { name: "out", access: "read_write" }],
    },
    params: { pairs, first, count },
    bindings: { table: window, tokens, slots, sampled, out },
    grid: [Math.ceil(pairs / 64), a.rows, 1],
  }));
}

/** Wanted rows that share the loads of a table row. */
const TILE = 8;
/** table rows of a workgroup, for one wanted row and for a tile of them */
const ROWS = { one: 32, tile: 16 } as const;

/** out[j] = table . x[j] for `count` rows of x; no binding is larger than `maxBinding` bytes (default 128 MiB). */
export function logits(a: { table: Table; x: Window; count: number; out: Window; maxBinding?: number }): Call[] {
  const { table, count, maxBinding = 2 ** 27 } = a;
  // 64 rows of 4-byte values begin at a multiple of 256 bytes, as a binding must
  const most = Math.floor(maxBinding / (64 * 4 * Math.max(table.rows, table.columns))) * 64;
  if (most === 0)
    throw new RangeError(`maxBinding: expected room for 64 rows of ${table.rows}, got ${maxBinding} bytes`);
  const calls: Call[] = [];
  for (let first = 0; first < count; first += most) {
    const wanted = Math.min(most, count - first);
    const x = rowsOf(a.x, first, wanted, table.columns);
    const out = rowsOf(a.out, first, wanted, table.rows);
    calls.push(...table.parts.map((part) => logitsOfPart(table, part, { x, wanted, out })));
  }
  return calls;
}

function logitsOfPart(
  table: Table,
  { first, count, window }: Table["parts"][number],
  { x, wanted, out }: { x: Window; wanted: number; out: Window },
): Call {
  const form = wanted === 1 ? "one" : "tile";
  return {
    kernel: {
      name: `logits (${form}, ${table.type})`,
      files: ["halves", "dense-values", `logits-${form}`, "logits"],
      entryPoint: "logits",
      constants: { TYPE: TYPES[table.type] },
      params: [
        { name: "quads", type: "u32" },
        { name: "count", type: "u32" },
        { name: "first", type: "u32" },
        { name: "vocabulary", type: "u32" },
        { name: "wanted", type: "u32" },
      ],
      bindings: [read("table"), read("x"), { name: "out", access: "read_write" }],
    },
    params: { quads: table.columns / 4, count, first, vocabulary: table.rows, wanted },
    bindings: { table: window, x, out },
    bytes: window.size,
    grid: [Math.ceil(count / ROWS[form]), form === "one" ? 1 : Math.ceil(wanted / TILE), 1],
  };
}

/** `count` rows of `width` 4-byte values from row `first` on, a multiple of 64. */
function rowsOf({ buffer, offset }: Window, first: number, count: number, width: number): Window {
  return { buffer, offset: offset + first * width * 4, size: count * width * 4 };
}
