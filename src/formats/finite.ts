/**
 * Whether the floats of a dense weight are finite: the one definition of which bytes are not, for all backends, and the
 * error that names the first of them. A damaged table would otherwise be computed with, and print garbage.
 */

import type { WeightSource, WeightType } from "../backend/backend.js";
import { TernionError } from "../errors.js";

export type DenseType = Exclude<WeightType, "I2_S">;

/** Where the floats of a type are: the weights themselves, or one scale for a block of weights. */
interface Floats {
  /** bytes of a block */
  readonly bytes: number;
  /** weights of a block */
  readonly values: number;
  /** byte of a block at which the 16-bit word with the float's sign and exponent begins */
  readonly at: number;
  /** the exponent's bits in that word: all of them are set in infinities and NaN, and in no other float */
  readonly exponent: number;
}

export const FLOATS: Readonly<Record<DenseType, Floats>> = {
  F32: { bytes: 4, values: 1, at: 2, exponent: 0x7f80 },
  F16: { bytes: 2, values: 1, at: 0, exponent: 0x7c00 },
  BF16: { bytes: 2, values: 1, at: 0, exponent: 0x7f80 },
  Q8_0: { bytes: 34, values: 32, at: 0, exponent: 0x7c00 },
  Q6_K: { bytes: 210, values: 256, at: 208, exponent: 0x7c00 },
};

/** Words of a run that is looked at as a whole. */
const RUN = 1024;

/**
 * The first block of `bytes`, whole blocks from an address that is a multiple of 4 on, whose float is not finite; -1: all
 * are. A plain loop from block to block; where floats lie side by side it begins with the first run that has such a float:
 * that is several times as fast, 5 GB/s.
 */
export function firstNonFinite(type: DenseType, bytes: Uint8Array): number {
  const { bytes: size, at, exponent } = FLOATS[type];
  const words = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  const step = size / 2;
  const begin = size > 4 ? 0 : 2 * finiteWords(bytes, size === 4 ? exponent << 16 : exponent * 0x10001);
  for (let i = begin + at / 2; i < words.length; i += step) {
    if ((words[i] & exponent) === exponent) return Math.floor(i / step);
  }
  return -1;
}

/**
 * How many 32-bit words at the beginning of `bytes` are runs of finite floats; `mask`: the bits of the exponents of a word.
 * An exponent plus its lowest bit carries into the sign's place where all of its bits are set, and nowhere else.
 */
function finiteWords(bytes: Uint8Array, mask: number): number {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
  const low = mask & ~(mask << 1); // the lowest bit of each exponent
  const signs = (mask << 1) & ~mask;
  let begin = 0;
  for (; begin + RUN <= words.length; begin += RUN) {
    let sums = 0;
    for (let i = begin; i < begin + RUN; i += 4) {
      const [a, b, c, d] = [words[i] & mask, words[i + 1] & mask, words[i + 2] & mask, words[i + 3] & mask];
      sums |= (a + low) | 0 | ((b + low) | 0) | ((c + low) | 0) | ((d + low) | 0);
    }
    if ((sums & signs) !== 0) break;
  }
  return begin;
}

/** Refuses `bytes`, whole blocks of a dense weight from its byte `from` on, where a float in them is not finite. */
export function checkFinite(source: WeightSource, bytes: Uint8Array, from = 0): void {
  const type = source.type as DenseType;
  const found = firstNonFinite(type, bytes);
  if (found < 0) return;
  const { bytes: size } = FLOATS[type];
  throw notFinite(source, from / size + found, bytes.subarray(found * size, (found + 1) * size));
}

/** The error for block `index` of a weight, whose bytes are `block`. */
export function notFinite({ name, type, rows, columns }: WeightSource, index: number, block: Uint8Array): TernionError {
  const { values } = FLOATS[type as DenseType];
  const row = Math.floor((index * values) / columns);
  const column = (index * values) % columns;
  const place = values === 1 ? `column ${column}` : `columns ${column} to ${column + values - 1}`;
  const what = values === 1 ? `${type} weights` : `${type} block scales`;
  const got = describe(type as DenseType, block);
  return new TernionError(
    "MODEL_CODES",
    `${name}: expected finite ${what}, got ${got} in ${rows === 1 ? "" : `row ${row}, `}${place}. ` +
      "The file is damaged; download it again.",
  );
}

/** "NaN (bits 0x7e00)" */
function describe(type: DenseType, block: Uint8Array): string {
  const { at, exponent } = FLOATS[type];
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const wide = type === "F32";
  const bits = wide ? view.getUint32(0, true) : view.getUint16(at, true);
  const magnitude = bits & (wide ? 0x7fffffff : 0x7fff);
  const infinity = magnitude === (wide ? exponent << 16 : exponent);
  const value = infinity ? `${magnitude === bits ? "" : "-"}Infinity` : "NaN";
  return `${value} (bits 0x${bits.toString(16).padStart(wide ? 8 : 4, "0")})`;
}
