/** Blocks of 32 weights: one f16 scale d, then 32 int8 q; a weight is d * q. */
import { halfToFloat } from "./float.js";
import { dense } from "./format.js";

export const Q8_0 = dense("Q8_0", [{ at: 0, exponent: 0x7c00 }], (bytes, count) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const block = 34 * Math.floor(i / 32);
    out[i] = halfToFloat(view.getUint16(block, true)) * view.getInt8(block + 2 + (i % 32));
  }
  return out;
});
