/**
 * Blocks of 256 weights: f16 d and dmin, 12 bytes with a scale and a minimum of 6 bits for each 32 weights, 128 bytes of
 * nibbles. A weight is d * scale * q - dmin * minimum. Of each 64 weights the first 32 are low nibbles, the others high ones.
 */
import { halfToFloat } from "./float.js";
import { dense } from "./format.js";

const FLOATS = [
  { at: 0, exponent: 0x7c00 },
  { at: 2, exponent: 0x7c00 },
];

export const Q4_K = dense("Q4_K", FLOATS, (bytes, count) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const block = 144 * Math.floor(i / 256);
    const n = i % 256;
    const { scale, minimum } = scalesOf(bytes, block + 4, Math.floor(n / 32));
    const q = (view.getUint8(block + 16 + 32 * Math.floor(n / 64) + (n % 32)) >> (n % 64 < 32 ? 0 : 4)) & 15;
    const d = halfToFloat(view.getUint16(block, true));
    const dmin = halfToFloat(view.getUint16(block + 2, true));
    out[i] = d * scale * q - dmin * minimum;
  }
  return out;
});

/** Of group `j`, 0 to 7: the first four lie in six bits of bytes j and 4 + j, whose upper two bits belong to the others. */
export function scalesOf(bytes: Uint8Array, at: number, j: number): { scale: number; minimum: number } {
  if (j < 4) return { scale: bytes[at + j] & 63, minimum: bytes[at + 4 + j] & 63 };
  const low = bytes[at + 4 + j];
  return {
    scale: (low & 15) | ((bytes[at + j - 4] >> 6) << 4),
    minimum: (low >> 4) | ((bytes[at + j] >> 6) << 4),
  };
}
