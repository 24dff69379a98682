/** Floats of 32 and 16 bits, little-endian. */
import { dense } from "./format.js";

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const F32 = dense("F32", [{ at: 2, exponent: 0x7f80 }], (bytes, count) => {
  const view = viewOf(bytes);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) out[i] = view.getFloat32(4 * i, true);
  return out;
});

/** IEEE binary16. */
export const F16 = dense("F16", [{ at: 0, exponent: 0x7c00 }], (bytes, count) => {
  const view = viewOf(bytes);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) out[i] = halfToFloat(view.getUint16(2 * i, true));
  return out;
});

/** The upper half of a float32. */
export const BF16 = dense("BF16", [{ at: 0, exponent: 0x7f80 }], (bytes, count) => {
  const view = viewOf(bytes);
  const bits = new Uint32Array(count);
  for (let i = 0; i < count; i++) bits[i] = view.getUint16(2 * i, true) << 16;
  return new Float32Array(bits.buffer);
});

/** IEEE binary16 bits → number. */
export function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * HALF_POWERS[exponent];
}

/** By biased exponent of a binary16; `**` takes ten times as long as the rest of a conversion. */
const HALF_POWERS = Float64Array.from({ length: 32 }, (_, exponent) => 2 ** (exponent - 15));
