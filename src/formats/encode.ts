/**
 * Values → bytes of the types that this program writes: the inverse of the decoders, for writing files. Rounding is to
 * nearest, ties to even, but in Q8_0, which rounds ties away from zero as ggml does (`quantize_row_q8_0_ref`).
 */
import { TernionError } from "../errors.js";
import { BF16, F16, F32, halfToFloat } from "./float.js";
import { blocksOf } from "./format.js";
import { Q8_0 } from "./q8_0.js";
import { TQ2_0 } from "./tq2_0.js";

/** Whole blocks. A value that the type cannot hold becomes one that its format refuses as not finite. */
type Encode = (values: Float32Array) => Uint8Array;

/** By type, those with float activations. */
export const DENSE_ENCODERS: Readonly<Record<string, Encode>> = {
  [F32.name]: (values) => new Uint8Array(values.slice().buffer),
  [F16.name]: (values) => words(values, floatToHalf),
  [BF16.name]: (values) => words(values, upperHalf),
  [Q8_0.name]: encodeQ8_0,
};

function words(values: Float32Array, convert: (value: number) => number): Uint8Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = convert(values[i]);
  return new Uint8Array(out.buffer);
}

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

function bitsOf(value: number): number {
  FLOAT[0] = value;
  return BITS[0];
}

/** Float32 bits without their lower half. */
function upperHalf(value: number): number {
  const bits = bitsOf(value);
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Number → IEEE binary16 bits; infinity from 65520 on. */
export function floatToHalf(value: number): number {
  const bits = bitsOf(value);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = Math.abs(FLOAT[0]);
  if (magnitude >= 65_520) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | roundHalfEven(magnitude * 2 ** 24);
  const half = ((bits >>> 13) & 0x3ffff) - ((127 - 15) << 10);
  const rest = bits & 0x1fff;
  const up = rest > 0x1000 || (rest === 0x1000 && (half & 1) === 1);
  return sign | (half + (up ? 1 : 0)); // a carry into the exponent is right
}

function roundHalfEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}

function encodeQ8_0(values: Float32Array): Uint8Array {
  const { block, bytes } = blocksOf(Q8_0.name);
  const out = new Uint8Array((values.length / block) * bytes);
  const view = new DataView(out.buffer);
  for (let first = 0, at = 0; first < values.length; first += block, at += bytes) {
    let most = 0;
    for (let i = first; i < first + block; i++) most = Math.max(most, Math.abs(values[i]));
    const scale = Math.fround(most / 127);
    const reciprocal = scale === 0 ? 0 : Math.fround(1 / scale);
    view.setUint16(at, floatToHalf(scale), true);
    for (let i = 0; i < block; i++) {
      const x = Math.fround(values[first + i] * reciprocal);
      view.setInt8(at + 2 + i, Math.sign(x) * Math.floor(Math.abs(x) + 0.5));
    }
  }
  return out;
}

/** Blocks of ternary values (-1, 0, 1) with one scale each → TQ2_0. */
export function encodeTQ2(values: Int8Array, scales: Float32Array): Uint8Array {
  const { block, bytes } = blocksOf(TQ2_0.name);
  const out = new Uint8Array(scales.length * bytes);
  const view = new DataView(out.buffer);
  for (const [n, scale] of scales.entries()) {
    for (let i = 0; i < block; i++) {
      const byte = n * bytes + 32 * Math.floor(i / 128) + (i % 32);
      out[byte] |= (values[n * block + i] + 1) << (2 * Math.floor((i % 128) / 32));
    }
    view.setUint16((n + 1) * bytes - 2, floatToHalf(scale), true);
  }
  return out;
}

/** Refuses a scale that binary16 holds with less than its 11 bits, or not at all. */
export function checkHalf(name: string, scale: number): void {
  if (scale === 0 || Math.abs(halfToFloat(floatToHalf(scale)) / scale - 1) <= 2 ** -11) return;
  throw new TernionError(
    "MODEL_TENSOR",
    `${name}: expected a scale that ${TQ2_0.name} can hold, from 6.1e-5 to 65504, got ${scale}. Choose another type.`,
  );
}
