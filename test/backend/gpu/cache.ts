/** A layer of a cache for kernels on their own: its blocks lie in another order than its slots'. */
import { anglesAt, BLOCK, type CacheLayer, type CacheTables } from "../../../src/backend/gpu/kernels/cache.js";
import type { Harness } from "./harness.js";

export type CacheShape = Omit<CacheTables, "tables">;

/** What the buffers of a layer hold, `tables` as it lies there. */
export interface CacheData {
  readonly tables: Int32Array;
  readonly keys: Float32Array;
  readonly values: Float32Array;
}

/** The block of a slot's positions: the slots take turns, from the end. */
export const blockOf = ({ slots, slotBlocks }: CacheShape, slot: number, position: number): number =>
  slots * slotBlocks - 1 - (Math.floor(position / BLOCK) * slots + slot);

/** Where keys, or values, hold a head at a position. */
export function cacheAt(shape: CacheShape, slot: number, kvHead: number, position: number): number {
  const head = blockOf(shape, slot, position) * shape.kvHeads + kvHead;
  return (head * BLOCK + (position % BLOCK)) * shape.headDim;
}

/** Keys, values and angles of `noise`. */
export function cacheData(shape: CacheShape, noise: (count: number) => Float32Array): CacheData {
  const { slots, slotBlocks, kvHeads, headDim } = shape;
  const stored = slots * slotBlocks * kvHeads * BLOCK * headDim;
  const table = Int32Array.from({ length: slots * slotBlocks }, (_, i) =>
    blockOf(shape, Math.floor(i / slotBlocks), (i % slotBlocks) * BLOCK),
  );
  const angles = noise(slotBlocks * BLOCK * headDim);
  const tables = new Int32Array(anglesAt(shape) / 4 + angles.length);
  tables.set(table);
  tables.set(new Int32Array(angles.buffer), anglesAt(shape) / 4);
  return { tables, keys: noise(stored), values: noise(stored) };
}

export async function cacheOf(h: Harness, shape: CacheShape, data: CacheData): Promise<CacheLayer> {
  const [tables, keys, values] = [await h.from(data.tables), await h.from(data.keys), await h.from(data.values)];
  return { ...shape, tables, keys, values };
}
