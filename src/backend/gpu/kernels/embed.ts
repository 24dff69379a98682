/** The rows of tokens in the table of the vocabulary. */
import type { Call, Window } from "../device/kernel.js";
import { formName, read, type Table, UNIT_FILES, u32, unitConstants, written } from "./operands.js";

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
  const quads = table.columns / 4;
  return table.parts.map(({ first, count, window, scalesAt = 0 }) => ({
    kernel: {
      name: `embed (${formName(table)})`,
      files: [...UNIT_FILES, "embed/embed"],
      entryPoint: "embed",
      constants: unitConstants(table),
      params: ["quads", "first", "count", "scalesAt"].map(u32),
      bindings: [...["table", "tokens", "slots", "sampled"].map(read), written("out")],
    },
    params: { quads, first, count, scalesAt: scalesAt / 4 },
    bindings: { table: window, tokens, slots, sampled, out },
    grid: [Math.ceil(quads / 64), a.rows, 1],
  }));
}
