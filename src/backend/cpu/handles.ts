/** What the opaque handles of the contract are on the CPU: byte addresses in the arena, and the layouts behind them. */
import type { Cache, CacheShape, Head, Quantized, Tensor, Weight, WeightType } from "../backend.js";
import type { Values } from "../record.js";
import type { CacheLayer, Dense } from "./commands.js";
import { elementBytes } from "./thread/attention.js";

export interface CpuTensor extends Tensor {
  readonly address: number; // (maxRows, width) float32
}

export interface CpuQuantized extends Quantized {
  readonly normed: CpuTensor;
  readonly values: number; // (maxRows, width) int8
  readonly scales: number; // (maxRows) float32, max|y| / 127
  readonly sums: number; // (maxRows) int32, sum of the int8 row
}

export interface CpuWeight extends Weight {
  readonly address: number;
  readonly type: WeightType;
  readonly rowBytes: number;
  /** I2_S only */
  readonly scale: number;
}

export interface CpuCache extends Cache {
  // f32: (layers, slots, kvHeads, positions / 8, headDim, 8); i16: (.., positions / 8, headDim / 2, 8, 2)
  readonly keys: number;
  readonly values: number; // (layers, slots, kvHeads, positions / CHUNK, headDim / 8, CHUNK, 8)
  readonly keyScales: number; // i16: (layers, slots, kvHeads, positions) float32; f32: 0
  readonly valueScales: number;
  /** positions rounded up to whole chunks */
  readonly positions: number;
  readonly angles: number; // (positions, headDim): headDim / 2 cosines, as many sines
}

export interface CpuHead extends Head {
  readonly codes: number; // (vocabulary / 4, columns / 16, 4, 16) int8
  readonly numbers: number; // (vocabulary / 4, 4, 4) float32: scales, error norms, norms
  readonly scratch: { address: number; bytes: number };
  /** shares of `best` */
  readonly shares: number;
  readonly results: number; // (maxRows, shares) of resultBytes(maxBest)
}

export const addressOf = (tensor: Tensor) => (tensor as CpuTensor).address;

/** What the ops of attention need of one layer of a cache. */
export function layerOf(cache: Cache, layer: number): Values<CacheLayer> {
  const { keys, values, keyScales, valueScales, positions, shape } = cache as CpuCache;
  const { slots, kvHeads, headDim } = shape;
  const heads = layer * slots * kvHeads;
  const elements = heads * positions * headDim * elementBytes(shape);
  const scales = keyScales === 0 ? 0 : 4 * heads * positions;
  return {
    kvHeads,
    headDim,
    keys: keys + elements,
    values: values + elements,
    keyScales: keyScales + scales,
    valueScales: valueScales + scales,
    positions,
  };
}

export function denseOf(weight: Weight): Values<Dense> {
  const { name, address, type, rowBytes } = weight as CpuWeight;
  if (type === "I2_S") throw new TypeError(`${name}: expected a dense weight, got a ternary one`);
  return { address, type, rowBytes };
}

/** cos and sin of position * base^(-2i / headDim), taken in float64. */
export function fillAngles(table: Float32Array, { headDim, ropeBase }: CacheShape, positions: number): void {
  const half = headDim / 2;
  for (let i = 0; i < half; i++) {
    const frequency = ropeBase ** (-i / half);
    for (let position = 0; position < positions; position++) {
      table[position * headDim + i] = Math.cos(position * frequency);
      table[position * headDim + half + i] = Math.sin(position * frequency);
    }
  }
}
