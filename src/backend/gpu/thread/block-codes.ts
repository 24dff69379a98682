/**
 * Ternary types with a scale for each block of 256 weights, as they lie on the device: their codes in the order of I2_S
 * ("block128" of formats/i2_s.ts), the scales apart. A block of scale 0 becomes zeros, whatever its codes are.
 */
import { halfToFloat } from "../../../formats/float.js";
import type { WeightType } from "../../backend.js";

const BLOCK = 256;
/** bytes of a block's codes in the order of I2_S */
const CODES = BLOCK / 4;
/** four codes of zero */
const ZEROS = 0x55;

export interface BlockCodes {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
}

/** Whole blocks of TQ1_0 or TQ2_0. */
export function blockCodes(type: WeightType, blocks: Uint8Array): BlockCodes {
  const size = type === "TQ1_0" ? 54 : 66;
  const unpack = type === "TQ1_0" ? unpackTQ1_0 : unpackTQ2_0;
  const view = new DataView(blocks.buffer, blocks.byteOffset, blocks.byteLength);
  const count = blocks.length / size;
  const [codes, scales] = [new Uint8Array(CODES * count), new Float32Array(count)];
  for (let i = 0; i < count; i++) {
    const scale = halfToFloat(view.getUint16(size * (i + 1) - 2, true));
    scales[i] = scale;
    if (scale === 0) codes.fill(ZEROS, CODES * i, CODES * (i + 1));
    else unpack(blocks, size * i, codes, CODES * i);
  }
  return { codes, scales };
}

/** The one scale of all blocks but those of zeros, whose codes say so; undefined where there is no such. */
export function commonScale(scales: Float32Array): number | undefined {
  const first = scales.find((scale) => scale !== 0) ?? 0;
  return scales.every((scale) => scale === first || scale === 0) ? first : undefined;
}

/** By byte: its four codes in the opposite order. */
const REVERSED = Uint8Array.from({ length: 256 }, (_, byte) => {
  return ((byte & 3) << 6) | ((byte & 12) << 2) | ((byte & 48) >> 2) | (byte >> 6);
});

function unpackTQ2_0(blocks: Uint8Array, from: number, codes: Uint8Array, to: number): void {
  for (let i = 0; i < CODES; i++) codes[to + i] = REVERSED[blocks[from + i]];
}

/** By trit and byte, see formats/tq1_0.ts. */
const TRITS = [1, 3, 9, 27, 81].map((power) =>
  Uint8Array.from({ length: 256 }, (_, byte) => (((byte * power) & 255) * 3) >> 8),
);

/** By weight of a block: the byte that has it, and which of its trits it is. */
const PLACES = Array.from({ length: BLOCK }, (_, i) => {
  if (i < 160) return { byte: i % 32, trits: TRITS[Math.floor(i / 32)] };
  if (i < 240) return { byte: 32 + (i % 16), trits: TRITS[Math.floor((i - 160) / 16)] };
  return { byte: 48 + (i % 4), trits: TRITS[Math.floor((i - 240) / 4)] };
});

function unpackTQ1_0(blocks: Uint8Array, from: number, codes: Uint8Array, to: number): void {
  for (let i = 0; i < CODES; i++) {
    const first = 128 * (i >> 5) + (i & 31); // of the byte's four weights, 32 apart
    let byte = 0;
    for (let k = 0; k < 4; k++) {
      const place = PLACES[first + 32 * k];
      byte = (byte << 2) | place.trits[blocks[from + place.byte]];
    }
    codes[to + i] = byte;
  }
}
