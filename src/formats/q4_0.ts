/** Blocks of 32 weights: one f16 scale d, then 16 bytes: weights 0 to 15 in the low nibbles, 16 to 31 in the high ones. A weight is d * (q - 8). */
import { halfToFloat } from "./float.js";
import { dense } from "./format.js";

export const Q4_0 = dense("Q4_0", [{ at: 0, exponent: 0x7c00 }], (bytes, count) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const block = 18 * Math.floor(i / 32);
    const q = (view.getUint8(block + 2 + (i % 16)) >> (i % 32 < 16 ? 0 : 4)) & 15;
    out[i] = halfToFloat(view.getUint16(block, true)) * (q - 8);
  }
  return out;
});
