/** The handles of the backend as buffers of the device. */
import type { CacheShape } from "../../backend.js";
import { BlockTable } from "../../blocks.js";
import { rotaryAngles } from "../../formulas.js";
import type { Device } from "../device/device.js";
import type { Window } from "../device/kernel.js";
import { anglesAt, BLOCK, blockBytes, type CacheLayer } from "../kernels/cache.js";
import type { Dense, QuantizedWindows, Table } from "../kernels/operands.js";

/** f32 (maxRows, width) */
export interface GpuTensor {
  readonly maxRows: number;
  readonly width: number;
  readonly window: Window;
}

export interface GpuQuantized extends QuantizedWindows {
  readonly maxRows: number;
  readonly width: number;
}

export interface GpuTernary {
  readonly rows: number;
  readonly columns: number;
  readonly scale: number;
  /** the codes, and the scales of blocks where these differ */
  readonly codes: Window;
  /** byte of `codes` at which the scales begin */
  readonly scalesAt?: number;
}

/** A loaded weight: ternary, or dense as a table (a norm is a table of one row) with what multiplies a matrix. */
export type GpuWeight = { readonly ternary: GpuTernary } | { readonly table: Table; readonly factor: number };

export interface GpuCache {
  readonly shape: CacheShape;
  readonly layers: readonly CacheLayer[];
  readonly placed: BlockTable;
  /** room for one block of one layer's keys: what is copied within a buffer goes through another one */
  readonly moved: Window;
}

/** Scratch and results of `best`: see kernels/best.ts. */
export interface GpuHead {
  readonly weight: number;
  readonly maxRows: number;
  /** f32 (HEAD_ROWS, vocabulary) */
  readonly logits: Window;
  readonly scratch: Window;
  /** (maxRows, 2 * count) ids, then logits */
  readonly best: Window;
  /** (maxRows, maskWords) */
  readonly masks: Window;
}

export const wholeOf = (buffer: GPUBuffer): Window => ({ buffer, offset: 0, size: buffer.size });

/** Rows from `first` on; `rowBytes * first` is a multiple of 256 where it is bound. */
export const partOf = ({ buffer, offset }: Window, from: number, size: number): Window => ({
  buffer,
  offset: offset + from,
  size,
});

/** Up to where the next window of a buffer may begin. */
export const aligned = (bytes: number) => Math.ceil(bytes / 256) * 256;

/** All that lives on the device, by the numbers that the main thread gave out. */
export class Memory {
  readonly tensors = new Map<number, GpuTensor>();
  readonly quantized = new Map<number, GpuQuantized>();
  readonly caches = new Map<number, GpuCache>();
  readonly heads = new Map<number, GpuHead>();
  weights: readonly GpuWeight[] = [];
  /** bytes of all buffers */
  bytes = 0;

  constructor(readonly device: Device) {}

  async allocate(bytes: number, what: string, bound = 0): Promise<Window> {
    const size = Math.max(4, Math.ceil(bytes / 4) * 4);
    const buffer = await this.device.allocate(size, what, bound);
    this.bytes += size;
    return wholeOf(buffer);
  }

  async addTensor(id: number, maxRows: number, width: number): Promise<GpuTensor> {
    const window = await this.allocate(4 * maxRows * width, `activations of width ${width}`);
    const tensor = { maxRows, width, window };
    this.tensors.set(id, tensor);
    return tensor;
  }

  /** All parts in one buffer: Dawn keeps account of every buffer that a dispatch binds. */
  async addQuantized(id: number, normed: number, maxRows: number, width: number): Promise<void> {
    const sizes = [4 * maxRows * width, maxRows * width, 4 * maxRows, 4 * maxRows];
    const begins = sizes.map((_, i) => sizes.slice(0, i).reduce((at, size) => at + aligned(size), 0));
    const whole = await this.allocate(begins[3] + sizes[3], `quantised activations of width ${width}`);
    const [floats, values, scales, sums] = sizes.map((size, i) => partOf(whole, begins[i], size));
    this.tensors.set(normed, { maxRows, width, window: floats });
    this.quantized.set(id, { maxRows, width, normed: floats, values, scales, sums });
  }

  async addCache(id: number, shape: CacheShape): Promise<void> {
    const { slots, positions, kvHeads, headDim, ropePairs } = shape;
    const placed = new BlockTable(shape, BLOCK);
    const { slotBlocks, words } = placed;
    const bytes = placed.blocks * blockBytes(shape);
    const what = `key-value cache of ${placed.blocks} x ${BLOCK} positions`;
    const tables = await this.allocate(
      anglesAt({ slots, slotBlocks }) + 4 * positions * headDim,
      "tables of the cache",
    );
    this.device.write(tables.buffer, 0, words);
    this.device.write(tables.buffer, anglesAt({ slots, slotBlocks }), anglesOf(shape));
    const layers: CacheLayer[] = [];
    for (let i = 0; i < shape.layers; i++) {
      const [keys, values] = [await this.allocate(bytes, what, bytes), await this.allocate(bytes, what, bytes)];
      layers.push({ tables, slots, slotBlocks, kvHeads, headDim, ropePairs, keys, values });
    }
    const moved = await this.allocate(blockBytes(shape), "a block of the cache");
    this.caches.set(id, { shape, layers, placed, moved });
  }

  /** As of the next run that is submitted. */
  place({ layers, placed }: GpuCache, slot: number, blocks: Int32Array): void {
    placed.place(slot, blocks);
    const first = slot * placed.slotBlocks;
    const words = placed.words.subarray(first, first + placed.slotBlocks);
    this.device.write(layers[0].tables.buffer, 4 * first, words);
  }

  /** After the runs that were submitted. */
  copyBlock({ layers, shape, moved }: GpuCache, from: number, to: number): void {
    const { gpu } = this.device;
    const encoder = gpu.createCommandEncoder();
    const bytes = blockBytes(shape);
    for (const { buffer } of layers.flatMap(({ keys, values }) => [keys, values])) {
      encoder.copyBufferToBuffer(buffer, from * bytes, moved.buffer, 0, bytes);
      encoder.copyBufferToBuffer(moved.buffer, 0, buffer, to * bytes, bytes);
    }
    gpu.queue.submit([encoder.finish()]);
  }

  tensor = (id: number) => found(this.tensors, id);
  quantizedOf = (id: number) => found(this.quantized, id);
  cacheOf = (id: number) => found(this.caches, id);
  headOf = (id: number) => found(this.heads, id);

  ternaryOf(index: number): GpuTernary {
    const weight = this.weights[index];
    if (weight === undefined || !("ternary" in weight)) throw new TypeError(`weight ${index}: expected a ternary one`);
    return weight.ternary;
  }
  matrixOf(index: number): { readonly table: Table; readonly factor: number } {
    const weight = this.weights[index];
    if (weight === undefined || !("table" in weight)) throw new TypeError(`weight ${index}: expected a dense one`);
    return weight;
  }
  tableOf = (index: number): Table => this.matrixOf(index).table;
  normOf(index: number): Dense {
    const { type, parts } = this.tableOf(index);
    if (type === "Q8" || type === "Q2") throw new TypeError(`weight ${index}: expected a norm of floats, got ${type}`);
    return { type, window: parts[0].window };
  }
}

function found<T>(map: ReadonlyMap<number, T>, id: number): T {
  const value = map.get(id);
  if (value === undefined) throw new TypeError(`handle ${id} is not one of this backend's`);
  return value;
}

/** (positions, headDim / 2, 2) cosine and sine of position * base^(-2i / headDim), from float64. */
function anglesOf(shape: CacheShape): Float32Array {
  const { positions, headDim } = shape;
  const table = new Float32Array(positions * headDim);
  rotaryAngles(shape, shape, (position, pair, cos, sin) => {
    const at = position * headDim + 2 * pair;
    table[at] = cos;
    table[at + 1] = sin;
  });
  return table;
}
