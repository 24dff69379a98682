/** Model files rewritten code by code: into the other I2_S layouts, or with codes of one's own. Written from docs/model.md. */
import { readFile, writeFile } from "node:fs/promises";
import type { TernaryLayout } from "../src/backend/backend.js";
import { readGguf } from "../src/engine/input.js";

/** Byte and bit shift of the code of (row, column). */
function placeOf(layout: TernaryLayout, row: number, column: number, columns: number): [byte: number, shift: number] {
  if (layout === "rows4") return [Math.floor(row / 4) * columns + column, 6 - 2 * (row % 4)];
  const lane = layout === "block128" ? 32 : 16; // bytes of one block
  const index = row * columns + column;
  const inBlock = index % (4 * lane);
  return [Math.floor(index / (4 * lane)) * lane + (inBlock % lane), 6 - 2 * Math.floor(inBlock / lane)];
}

/** The codes of a tensor, from one layout into another. */
export function reorder(codes: Uint8Array, columns: number, from: TernaryLayout, to: TernaryLayout): Uint8Array {
  const out = new Uint8Array(codes.length);
  for (let row = 0; row < (4 * codes.length) / columns; row++) {
    for (let column = 0; column < columns; column++) {
      const [byte, shift] = placeOf(from, row, column, columns);
      const [target, targetShift] = placeOf(to, row, column, columns);
      out[target] |= ((codes[byte] >> shift) & 3) << targetShift;
    }
  }
  return out;
}

/** Copies a model file, with the codes of each ternary tensor as `change` gives them. */
export async function rewriteCodes(
  from: string,
  to: string,
  change: (codes: Uint8Array, columns: number) => Uint8Array,
): Promise<void> {
  const bytes = await readFile(from);
  for (const { type, dims, offset } of (await readGguf(from)).tensors.values()) {
    if (type !== "I2_S") continue;
    const [columns, rows] = dims;
    const codes = bytes.subarray(offset, offset + (columns * rows) / 4);
    codes.set(change(codes, columns));
  }
  await writeFile(to, bytes);
}
