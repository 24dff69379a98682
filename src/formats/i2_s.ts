/**
 * I2_S, the ternary type of the official converter: 2-bit codes, four a byte, then one float32 scale for the whole weight
 * in a tail of 32 bytes. A weight is scale * (code - 1); code 3 is invalid.
 *
 * Files of this one type hold their codes in three orders, and no field says which. Backends compute with "block128" only
 * and turn the others into it as they read: each is the same codes in other places.
 *
 *   block128  128 weights of a row in 32 bytes, byte b: weights b, 32 + b, 64 + b, 96 + b; the released 2B-4T file
 *   block64   64 weights of a row in 16 bytes, byte b: weights b, 16 + b, 32 + b, 48 + b; written on Arm
 *   rows4     four rows of one column in a byte: rows r, r + 1, r + 2, r + 3
 *
 * In all of them the first code is in bits 7:6 and the last in bits 1:0.
 */
import { TERNARY_LAYOUTS, type TernaryLayout } from "../backend/backend.js";
import { TernionError } from "../errors.js";
import { blocksOf, type Stored, type Ternary, type TernaryFormat } from "./format.js";

export const I2_S: TernaryFormat = {
  kind: "ternary",
  ...blocksOf("I2_S"),
  columns: 128,
  floats: [], // the one of all weights, in the tail, has bounds
  layouts: TERNARY_LAYOUTS,
  check: ({ name }, codes) => checkCodes(name, codes),
  decode: decodeCodes,
};

function decodeCodes(weight: Stored, bytes: Uint8Array): Ternary {
  const { name, rows, columns, layout = "block128" } = weight;
  const count = rows * columns;
  const codes = bytes.slice(0, count / 4);
  toStandardLayout(layout, codes, columns);
  I2_S.check(weight, codes);
  const values = new Int8Array(count);
  for (let i = 0; i < count; i++) {
    const inBlock = i % 128;
    const byte = codes[32 * Math.floor(i / 128) + (inBlock % 32)];
    values[i] = ((byte >> (6 - 2 * Math.floor(inBlock / 32))) & 3) - 1;
  }
  const scale = decodeScale(name, bytes.subarray(count / 4));
  return { values, scales: Float32Array.of(scale), group: count };
}

/** Two bits both set, at an even place; `codes` are whole words of 32 bits, at an address that is a multiple of 4. */
function hasCode3(codes: Uint8Array): boolean {
  const words = new Uint32Array(codes.buffer, codes.byteOffset, codes.length >> 2);
  for (let i = 0; i < words.length; i++) if (words[i] & (words[i] >>> 1) & 0x55555555) return true;
  return false;
}

/** Refuses codes in any order where one is 3. */
export function checkCodes(name: string, codes: Uint8Array): void {
  if (hasCode3(codes)) throw invalidCode(name);
}

export function invalidCode(name: string): TernionError {
  return new TernionError(
    "MODEL_CODES",
    `${name}: expected ternary codes 0, 1 and 2, got 3. This file looks corrupt; download it again.`,
  );
}

/**
 * The scale is the mean of |W|. Beyond these bounds its products with activations overflow float32, or are so small that
 * some devices flush them to 0 and others do not: the backends would no longer agree, and no model has such weights.
 */
const SCALES = { least: 2 ** -100, most: 2 ** 100 };

/** The scale of the weight `name`, from the bytes after its codes. */
export function decodeScale(name: string, tail: Uint8Array): number {
  const scale = new DataView(tail.buffer, tail.byteOffset).getFloat32(0, true);
  if (scale >= SCALES.least && scale <= SCALES.most) return scale;
  throw new TernionError(
    "MODEL_CODES",
    `${name}: expected a positive I2_S scale after the codes, from 8e-31 to 1.2e30, got ${scale}. ` +
      "The file is damaged; download it again.",
  );
}

/** (rows, columns) codes → bytes in "block128". Both begin at a multiple of 4 in their buffers; columns are whole blocks. */
export function packI2S(codes: Uint8Array, out: Uint8Array): void {
  const from = words(codes);
  const to = words(out);
  for (let i = 0; i < to.length; i++) {
    const first = 4 * (i - (i % 8)) + (i % 8); // four codes a word, 32 words a block
    to[i] = (from[first] << 6) | (from[first + 8] << 4) | (from[first + 16] << 2) | from[first + 24];
  }
}

/** The inverse of `packI2S`. */
export function unpackI2S(bytes: Uint8Array, codes: Uint8Array): void {
  const from = words(bytes);
  const to = words(codes);
  for (let i = 0; i < from.length; i++) {
    const first = 4 * (i - (i % 8)) + (i % 8);
    for (let n = 0; n < 4; n++) to[first + 8 * n] = (from[i] >>> (6 - 2 * n)) & 0x03030303;
  }
}

const words = (bytes: Uint8Array) => new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);

/** The 32 bytes after the codes. */
export function tailOf(scale: number): Uint8Array {
  const tail = new Uint8Array(32);
  new DataView(tail.buffer).setFloat32(0, scale, true);
  return tail;
}

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

/** (columns) weights of each column that are not 0, in at most 255 rows of a matrix, whose codes are in `layout`. */
export function countsByColumn(codes: Uint8Array, layout: TernaryLayout, columns: number): Uint32Array {
  const counts = new Uint32Array(columns);
  if (layout === "rows4") {
    for (let at = 0; at < codes.length; at += columns) {
      for (let column = 0; column < columns; column++) {
        const live = LIVE_CODES[codes[at + column]];
        counts[column] += (live & 1) + ((live >>> 8) & 1) + ((live >>> 16) & 1) + (live >>> 24);
      }
    }
    return counts;
  }
  const rowBytes = columns / 4;
  const packed = new Uint32Array(rowBytes); // four counts of 8 bits each, one for each code of a byte
  for (let at = 0; at < codes.length; at += rowBytes) {
    for (let i = 0; i < rowBytes; i++) packed[i] += LIVE_CODES[codes[at + i]];
  }
  const lane = layout === "block128" ? 32 : 16;
  packed.forEach((four, i) => {
    const first = 4 * (i - (i % lane)) + (i % lane);
    for (let n = 0; n < 4; n++) counts[first + lane * n] = (four >>> (8 * n)) & 255;
  });
  return counts;
}

/** By byte: 1 in byte n of the entry where code n of the byte (bits 7:6 are code 0) is not that of 0. */
const LIVE_CODES = Uint32Array.from({ length: 256 }, (_, byte) => {
  const live = (n: number) => (((byte >> (6 - 2 * n)) & 3) === 1 ? 0 : 1 << (8 * n));
  return live(0) | live(1) | live(2) | live(3);
});
