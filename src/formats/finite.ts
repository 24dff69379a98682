/**
 * Whether the floats of a weight are finite: the one definition of which bytes are not, for all backends, and the
 * error that names the first of them. A damaged table would otherwise be computed with, and print garbage.
 */

import type { Weight } from "../backend/backend.js";
import { TernionError } from "../errors.js";
import type { GgmlType } from "../gguf/types.js";

/** How the weights of a type lie: in blocks, each with one float. */
export interface Blocks {
  readonly name: GgmlType;
  /** weights of a block; rows are whole blocks */
  readonly block: number;
  /** bytes of a block */
  readonly bytes: number;
}

/** The float of a block: the weight itself, or the scale of the block's weights. */
export interface FloatPlace {
  /** byte of the block at which the 16-bit word with the float's sign and exponent begins */
  readonly at: number;
  /** the exponent's bits in that word: all of them are set in infinities and NaN, and in no other float */
  readonly exponent: number;
}

export type FloatBlocks = Blocks & { readonly float: FloatPlace };

/** Words of a run that is looked at as a whole. */
const RUN = 1024;

/**
 * The first block of `bytes`, whole blocks from an address that is a multiple of 4 on, whose float is not finite; -1: all
 * are. A plain loop from block to block; where floats lie side by side it begins with the first run that has such a float:
 * that is several times as fast, 5 GB/s.
 */
export function firstNonFinite({ bytes: size, float }: FloatBlocks, bytes: Uint8Array): number {
  const { at, exponent } = float;
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

/** Refuses `bytes`, whole blocks of a weight from its byte `from` on, where a float in them is not finite. */
export function checkFinite(blocks: FloatBlocks, weight: Weight, bytes: Uint8Array, from = 0): void {
  const found = firstNonFinite(blocks, bytes);
  if (found < 0) return;
  const { bytes: size } = blocks;
  throw notFinite(blocks, weight, from / size + found, bytes.subarray(found * size, (found + 1) * size));
}

/** The error for block `index` of a weight, whose bytes are `bytes`. */
export function notFinite(blocks: FloatBlocks, weight: Weight, index: number, bytes: Uint8Array): TernionError {
  const { name, rows, columns } = weight;
  const { name: type, block } = blocks;
  const row = Math.floor((index * block) / columns);
  const column = (index * block) % columns;
  const place = block === 1 ? `column ${column}` : `columns ${column} to ${column + block - 1}`;
  const what = block === 1 ? `${type} weights` : `${type} block scales`;
  return new TernionError(
    "MODEL_CODES",
    `${name}: expected finite ${what}, got ${describe(blocks, bytes)} in ${rows === 1 ? "" : `row ${row}, `}${place}. ` +
      "The file is damaged; download it again.",
  );
}

/** "NaN (bits 0x7e00)" */
function describe({ bytes: size, float: { at, exponent } }: FloatBlocks, bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wide = size === 4;
  const bits = wide ? view.getUint32(0, true) : view.getUint16(at, true);
  const magnitude = bits & (wide ? 0x7fffffff : 0x7fff);
  const infinity = magnitude === (wide ? exponent << 16 : exponent);
  const value = infinity ? `${magnitude === bits ? "" : "-"}Infinity` : "NaN";
  return `${value} (bits 0x${bits.toString(16).padStart(wide ? 8 : 4, "0")})`;
}
