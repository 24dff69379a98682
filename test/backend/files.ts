/** Weights of every type written into GGUF files, each with the values that a backend must make of it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WeightSource } from "../../src/backend/backend.js";
import { openGguf } from "../../src/engine/input.js";
import { writeGguf } from "../../src/engine/write.js";
import type { GgmlType } from "../../src/gguf/types.js";

export interface Matrix {
  readonly name: string;
  readonly type: GgmlType;
  readonly rows: number;
  readonly columns: number;
  readonly bytes: Uint8Array;
  /** (rows, columns) what the bytes mean; for I2_S the codes minus 1, without the scale */
  readonly values: Float64Array;
  /** I2_S only */
  readonly scale: number;
}

/** Uniform numbers from 0 to below 1, the same for a seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The bits of a number that is a normal half, or 0. */
export function halfBits(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0];
  return value === 0 ? 0 : ((bits >>> 16) & 0x8000) | ((((bits >>> 23) & 255) - 112) << 10) | ((bits >>> 13) & 1023);
}

export type DenseType = "F32" | "F16" | "BF16" | "Q8_0" | "Q6_K";
type Shape = Pick<Matrix, "name" | "rows" | "columns">;

/** Random values that the type holds exactly. */
export function denseMatrix(shape: Shape, type: DenseType, seed = 1): Matrix {
  const random = randomOf(seed);
  const count = shape.rows * shape.columns;
  const plain = () => Float64Array.from({ length: count }, () => (Math.floor(random() * 255) - 127) / 64);
  const made = (values: Float64Array, bytes: Uint8Array): Matrix => ({ ...shape, type, values, bytes, scale: 0 });
  switch (type) {
    case "F32": {
      const values = plain();
      return made(values, new Uint8Array(Float32Array.from(values).buffer));
    }
    case "F16": {
      const values = plain();
      return made(values, new Uint8Array(Uint16Array.from(values, halfBits).buffer));
    }
    case "BF16": {
      const values = plain();
      const bits = new Uint32Array(Float32Array.from(values).buffer);
      return made(values, new Uint8Array(Uint16Array.from(bits, (word) => word >>> 16).buffer));
    }
    case "Q8_0":
      return made(...encodeQ8(count, random));
    case "Q6_K":
      return made(...encodeQ6K(count, random));
    default:
      return type satisfies never;
  }
}

/** A norm weight, or any float values. */
export function floats(name: string, values: readonly number[] | Float64Array): Matrix {
  const exact = Float32Array.from(values);
  const shape = { name, rows: 1, columns: values.length };
  return { ...shape, type: "F32", values: Float64Array.from(exact), bytes: new Uint8Array(exact.buffer), scale: 0 };
}

/** block_q8_0: half d, int8 q[32]. */
function encodeQ8(count: number, random: () => number): [Float64Array, Uint8Array] {
  const values = new Float64Array(count);
  const bytes = new Uint8Array((count / 32) * 34);
  const view = new DataView(bytes.buffer);
  for (let block = 0; block < count / 32; block++) {
    const d = 2 ** -(4 + (block % 5)) * (block % 2 === 0 ? 1 : -1.5);
    view.setUint16(34 * block, halfBits(d), true);
    for (let i = 0; i < 32; i++) {
      const q = Math.floor(random() * 256) - 128;
      view.setInt8(34 * block + 2 + i, q);
      values[32 * block + i] = d * q;
    }
  }
  return [values, bytes];
}

/**
 * block_q6_K: ql[128], qh[64], int8 scales[16], half d. As ggml's dequantize_row_q6_K reads it: for each half of 128
 * values, l from 0 to 31, the four values l, l + 32, l + 64 and l + 96 share the byte qh[l].
 */
function encodeQ6K(count: number, random: () => number): [Float64Array, Uint8Array] {
  const values = new Float64Array(count);
  const bytes = new Uint8Array((count / 256) * 210);
  const view = new DataView(bytes.buffer);
  for (let block = 0; block < count / 256; block++) {
    const at = 210 * block;
    const d = 2 ** -(9 + (block % 3)) * (block % 2 === 0 ? 1 : -1.25);
    view.setUint16(at + 208, halfBits(d), true);
    for (let i = 0; i < 16; i++) view.setInt8(at + 192 + i, Math.floor(random() * 256) - 128);
    for (let half = 0; half < 2; half++) {
      for (let l = 0; l < 32; l++) {
        const q = Array.from({ length: 4 }, () => Math.floor(random() * 64));
        const [ql, qh] = [at + 64 * half, at + 128 + 32 * half];
        bytes[ql + l] = (q[0] & 15) | ((q[2] & 15) << 4);
        bytes[ql + l + 32] = (q[1] & 15) | ((q[3] & 15) << 4);
        bytes[qh + l] = (q[0] >> 4) | ((q[1] >> 4) << 2) | ((q[2] >> 4) << 4) | ((q[3] >> 4) << 6);
        for (let j = 0; j < 4; j++) {
          const n = l + 32 * j;
          const scale = view.getInt8(at + 192 + 8 * half + Math.floor(n / 16));
          values[256 * block + 128 * half + n] = d * scale * (q[j] - 32);
        }
      }
    }
  }
  return [values, bytes];
}

/** A ternary matrix in the 128/32 layout: `code(row, column)` is -1, 0 or 1; 2 writes the invalid code 3. */
export function ternaryMatrix(shape: Shape, scale: number, code: (row: number, column: number) => number): Matrix {
  const count = shape.rows * shape.columns;
  const values = Float64Array.from({ length: count }, (_, i) => {
    return code(Math.floor(i / shape.columns), i % shape.columns);
  });
  const bytes = new Uint8Array(count / 4 + 32);
  values.forEach((value, i) => {
    bytes[32 * Math.floor(i / 128) + (i % 32)] |= (value + 1) << (6 - 2 * Math.floor((i % 128) / 32));
  });
  new DataView(bytes.buffer).setFloat32(count / 4, scale, true);
  return { ...shape, type: "I2_S", bytes, values, scale: Math.fround(scale) };
}

export function randomTernary(shape: Shape, scale = 0.37, seed = 1): Matrix {
  const random = randomOf(seed);
  return ternaryMatrix(shape, scale, () => Math.floor(random() * 3) - 1);
}

/** Writes the matrices into a file that lives as long as `use` runs. */
export async function withFile<T>(
  matrices: readonly Matrix[],
  use: (sources: WeightSource[]) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "ternion-"));
  try {
    const path = join(folder, "weights.gguf");
    const tensors = matrices.map(({ name, type, rows, columns, bytes }) => {
      return { name, type, dims: rows === 1 ? [columns] : [columns, rows], data: () => [bytes] };
    });
    await writeGguf(path, { metadata: [], tensors });
    await using file = await openGguf(path);
    const sources = matrices.map(({ name, type, rows, columns }) => {
      const { offset, byteLength } = file.tensors.get(name) ?? { offset: 0, byteLength: 0 };
      return { name, type, rows, columns, bytes: file.bytes[0], offset, byteLength };
    });
    return await use(sources);
  } finally {
    await rm(folder, { recursive: true });
  }
}
