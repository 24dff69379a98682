/**
 * Blocks of 256 weights: 128 bytes of low nibbles, 64 of high bit pairs, 16 int8 scales (one for 16 weights), one f16
 * scale d. Weight n of a half of 128: low nibble in byte (n % 64) of the half, first nibble for n < 64; bit pair n / 32 of
 * byte n % 32. A weight is d * scale * (bits - 32).
 */
import { halfToFloat } from "./float.js";
import { dense } from "./format.js";

export const Q6_K = dense("Q6_K", [{ at: 208, exponent: 0x7c00 }], (bytes, count) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const block = 210 * Math.floor(i / 256);
    const half = Math.floor((i % 256) / 128);
    const n = i % 128;
    const low = (view.getUint8(block + 64 * half + (n % 64)) >> (n < 64 ? 0 : 4)) & 15;
    const high = (view.getUint8(block + 128 + 32 * half + (n % 32)) >> (2 * Math.floor(n / 32))) & 3;
    const scale = view.getInt8(block + 192 + 8 * half + Math.floor(n / 16));
    out[i] = halfToFloat(view.getUint16(block + 208, true)) * scale * ((low | (high << 4)) - 32);
  }
  return out;
});
