/** Keys and values of all layers and slots in the arena. */
import type { Cache, CacheShape, PositionShape } from "../backend.js";
import type { Values } from "../record.js";
import type { Arena } from "./arena.js";
import type { CacheLayer } from "./commands.js";
import { CHUNK, elementBytes } from "./sizes.js";

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

export function makeCache(arena: Arena, shape: CacheShape): CpuCache {
  const { layers, slots, kvHeads, headDim } = shape;
  const positions = Math.ceil(shape.positions / CHUNK) * CHUNK;
  const heads = layers * slots * kvHeads;
  const what = `key-value cache of ${slots} x ${shape.positions} positions`;
  const elements = () => arena.allocate(heads * positions * headDim * elementBytes(shape), what);
  const scales = () => (shape.type === "i16" ? arena.allocate(4 * heads * positions, what) : 0);
  const angles = arena.allocate(4 * positions * headDim, "rotary angles");
  fillAngles(arena.f32.subarray(angles / 4), shape, positions);
  return { shape, keys: elements(), values: elements(), keyScales: scales(), valueScales: scales(), positions, angles };
}

/** Of a slot: keys and values, and the scales of 16-bit ones. */
export function positionBytes(shape: PositionShape): number {
  const scaleBytes = shape.type === "i16" ? 4 : 0; // of a head
  return 2 * shape.layers * shape.kvHeads * (shape.headDim * elementBytes(shape) + scaleBytes);
}

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

/** cos and sin of position * base^(-2i / headDim), taken in float64. */
function fillAngles(table: Float32Array, { headDim, ropeBase }: CacheShape, positions: number): void {
  const half = headDim / 2;
  for (let i = 0; i < half; i++) {
    const frequency = ropeBase ** (-i / half);
    for (let position = 0; position < positions; position++) {
      table[position * headDim + i] = Math.cos(position * frequency);
      table[position * headDim + half + i] = Math.sin(position * frequency);
    }
  }
}
