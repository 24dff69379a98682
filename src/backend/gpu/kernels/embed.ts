/** The rows of tokens in the table of the vocabulary. */
import type { Call, Window } from "../device/kernel.js";
import { DENSE_TYPES, read, type Table, u32, written } from "./operands.js";

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
      files: ["shared/halves", "shared/dense", "embed/embed"],
      entryPoint: "embed",
      constants: { TYPE: DENSE_TYPES[table.type] },
      params: ["pairs", "first", "count"].map(u32),
      bindings: [...["table", "tokens", "slots", "sampled"].map(read), written("out")],
    },
    params: { pairs, first, count },
    bindings: { table: window, tokens, slots, sampled, out },
    grid: [Math.ceil(pairs / 64), a.rows, 1],
  }));
}
