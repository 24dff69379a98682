/**
 * Plain decoders of the weight types: the obviously right ones, used by the reference backend and by tests as oracle.
 * Layouts are those of ggml (block structs in ggml-common.h) and, for I2_S, docs/model.md.
 */

import type { Weight, WeightSource } from "../backend/backend.js";
import { TernionError } from "../errors.js";
import { openRegular } from "../platform/files.js";
import { checkFinite, type DenseType } from "./finite.js";
import { toStandardLayout } from "./layout.js";

export interface Ternary {
  /** -1, 0 or +1, row-major */
  readonly values: Int8Array;
  readonly scale: number;
}

/** A weight in memory: dense or ternary values, row-major. */
export interface DecodedWeight extends Weight {
  readonly dense?: Float32Array;
  readonly ternary?: Ternary;
}

/** Reads and decodes one weight of a file, whole. */
export async function readWeight(source: WeightSource): Promise<DecodedWeight> {
  const { name, type, rows, columns, path, offset, byteLength } = source;
  const bytes = new Uint8Array(byteLength);
  const file = await openRegular(path);
  try {
    const { bytesRead } = await file.read(bytes, 0, byteLength, offset);
    if (bytesRead < byteLength) throw truncated(name, byteLength, bytesRead);
  } finally {
    await file.close();
  }
  const weight = { name, rows, columns };
  if (type === "I2_S") toStandardLayout(source.layout ?? "block128", bytes.subarray(0, (rows * columns) / 4), columns);
  if (type === "I2_S") return { ...weight, ternary: decodeTernary(name, bytes, rows * columns) };
  checkFinite(source, bytes);
  return { ...weight, dense: decodeDense(type, bytes, rows * columns) };
}

function truncated(name: string, expected: number, got: number): TernionError {
  return new TernionError(
    "GGUF_TRUNCATED",
    `${name}: expected ${expected} bytes, got ${got}: the file ends. Download it again.`,
  );
}

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

/** Decodes `count` values of a dense tensor. */
export function decodeDense(type: DenseType, bytes: Uint8Array, count: number): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Float32Array(count);
  switch (type) {
    case "F32":
      for (let i = 0; i < count; i++) out[i] = view.getFloat32(4 * i, true);
      return out;
    case "F16":
      for (let i = 0; i < count; i++) out[i] = halfToFloat(view.getUint16(2 * i, true));
      return out;
    case "BF16":
      for (let i = 0; i < count; i++) new Uint32Array(out.buffer)[i] = view.getUint16(2 * i, true) << 16;
      return out;
    case "Q8_0":
      decodeQ8(view, out);
      return out;
    case "Q6_K":
      decodeQ6K(view, out);
      return out;
    default:
      return type satisfies never;
  }
}

/** Blocks of 32: one f16 scale, 32 int8. */
function decodeQ8(view: DataView, out: Float32Array): void {
  for (let i = 0; i < out.length; i++) {
    const block = 34 * Math.floor(i / 32);
    out[i] = halfToFloat(view.getUint16(block, true)) * view.getInt8(block + 2 + (i % 32));
  }
}

/**
 * Blocks of 256 in 210 bytes: 128 bytes of low nibbles, 64 of high bit pairs, 16 int8 scales (one for 16 values), one
 * f16 scale. Value n of a half of 128: low nibble in byte (n % 64) of the half, first nibble for n < 64; bit pair n / 32
 * of byte n % 32. value = d * scale * (bits - 32).
 */
function decodeQ6K(view: DataView, out: Float32Array): void {
  for (let i = 0; i < out.length; i++) {
    const block = 210 * Math.floor(i / 256);
    const half = Math.floor((i % 256) / 128);
    const n = i % 128;
    const low = (view.getUint8(block + 64 * half + (n % 64)) >> (n < 64 ? 0 : 4)) & 15;
    const high = (view.getUint8(block + 128 + 32 * half + (n % 32)) >> (2 * Math.floor(n / 32))) & 3;
    const scale = view.getInt8(block + 192 + 8 * half + Math.floor(n / 16));
    out[i] = halfToFloat(view.getUint16(block + 208, true)) * scale * ((low | (high << 4)) - 32);
  }
}

/** Decodes an I2_S tensor of `count` weights in the 128/32 layout; refuses code 3. */
export function decodeTernary(name: string, bytes: Uint8Array, count: number): Ternary {
  const values = new Int8Array(count);
  for (let i = 0; i < count; i++) {
    const inBlock = i % 128;
    const byte = bytes[32 * Math.floor(i / 128) + (inBlock % 32)];
    const code = (byte >> (6 - 2 * Math.floor(inBlock / 32))) & 3;
    if (code === 3) throw invalidCode(name);
    values[i] = code - 1;
  }
  const scale = new DataView(bytes.buffer, bytes.byteOffset).getFloat32(count / 4, true);
  checkScale(name, scale);
  return { values, scale };
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

export function checkScale(name: string, scale: number): void {
  if (scale >= SCALES.least && scale <= SCALES.most) return;
  throw new TernionError(
    "MODEL_CODES",
    `${name}: expected a positive I2_S scale after the codes, from 8e-31 to 1.2e30, got ${scale}. ` +
      "The file is damaged; download it again.",
  );
}
