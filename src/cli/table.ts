/** Rows → aligned columns: numbers to the right, text to the left. */

import { printable } from "../errors.js";

export type Cell = string | number;

/** of a cell */
const MOST_CHARACTERS = 400;

/** Lines, each with its end, indented by two; "" for no rows. */
export function formatTable(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  if (rows.length === 0) return "";
  const isNumeric = head.map((_, column) => rows.every((row) => typeof row[column] === "number"));
  const lines = [head, ...rows].map((row) => row.map((cell) => printable(String(cell), MOST_CHARACTERS)));
  const widths = head.map((_, column) => lines.reduce((width, line) => Math.max(width, line[column].length), 0));
  const align = (cell: string, column: number) =>
    isNumeric[column] ? cell.padStart(widths[column]) : cell.padEnd(widths[column]);
  return lines.map((line) => `  ${line.map(align).join("  ").trimEnd()}\n`).join("");
}
