/**
 * The three orders in which files of one type id (I2_S) hold their ternary codes. No field of a file tells which it is.
 * Backends compute with "block128" only and turn the others into it as they read: each is the same codes in other places.
 *
 *   block128  128 weights of a row in 32 bytes, byte b: weights b, 32 + b, 64 + b, 96 + b; the released 2B-4T file
 *   block64   64 weights of a row in 16 bytes, byte b: weights b, 16 + b, 32 + b, 48 + b; written on Arm
 *   rows4     four rows of one column in a byte: rows r, r + 1, r + 2, r + 3
 *
 * In all of them the first code is in bits 7:6 and the last in bits 1:0.
 */
import type { TernaryLayout } from "../backend/backend.js";

/** Rows of which a chunk given to `toStandardLayout` holds a multiple. */
export const LAYOUT_ROWS = 4;

/**
 * Reorders codes in place into "block128". `bytes` are whole rows of `columns` weights (columns / 4 bytes each, a multiple
 * of 32), for "rows4" from a row on that is a multiple of LAYOUT_ROWS, and so many.
 */
export function toStandardLayout(layout: TernaryLayout, bytes: Uint8Array, columns: number): void {
  switch (layout) {
    case "block128":
      return;
    case "block64":
      for (let block = 0; block < bytes.length; block += 32) mergeBlocks(bytes, block);
      return;
    case "rows4":
      if (bytes.length % columns !== 0) {
        throw new RangeError(`rows4: expected groups of ${columns} bytes, got ${bytes.length} bytes`);
      }
      for (let group = 0; group < bytes.length; group += columns) splitRows(bytes.subarray(group, group + columns));
      return;
    default:
      layout satisfies never;
      throw new RangeError(`i2sLayout: expected block128, block64 or rows4, got ${JSON.stringify(layout)}`);
  }
}

/** Two blocks of 64 → one of 128: byte b of each becomes bytes b and 16 + b. */
function mergeBlocks(bytes: Uint8Array, at: number): void {
  for (let i = at; i < at + 16; i++) {
    const [low, high] = [bytes[i], bytes[i + 16]];
    bytes[i] = (low & 0xc0) | ((low & 0x0c) << 2) | ((high & 0xc0) >> 4) | ((high & 0x0c) >> 2);
    bytes[i + 16] = ((low & 0x30) << 2) | ((low & 0x03) << 4) | ((high & 0x30) >> 2) | (high & 0x03);
  }
}

/** (columns) bytes of four rows each → four rows of columns / 4 bytes. */
function splitRows(group: Uint8Array): void {
  const from = group.slice();
  const rowBytes = group.length / 4;
  for (let row = 0; row < 4; row++) {
    const shift = 6 - 2 * row;
    for (let i = 0; i < rowBytes; i++) {
      const first = 4 * (i - (i % 32)) + (i % 32); // column of the first code
      const code = (n: number) => (from[first + 32 * n] >> shift) & 3;
      group[row * rowBytes + i] = (code(0) << 6) | (code(1) << 4) | (code(2) << 2) | code(3);
    }
  }
}
