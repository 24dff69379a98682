/** The handles of the backend as buffers of the device. */
import type { CacheShape } from "../../backend.js";
import type { Device } from "../device/device.js";
import type { Window } from "../device/kernel.js";
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
  readonly codes: Window;
}

/** A loaded weight: ternary, or dense as a table (a norm is a table of one row). */
export type GpuWeight = { readonly ternary: GpuTernary } | { readonly table: Table };

export interface GpuCache {
  readonly shape: CacheShape;
  /** one of each a layer: f32 (slots, kvHeads, positions, headDim) */
  readonly keys: readonly Window[];
  readonly values: readonly Window[];
  /** f32 (positions, headDim / 2, 2): cosine and sine */
  readonly angles: Window;
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

  async allocate(bytes: number, what: string): Promise<Window> {
    const size = Math.max(4, Math.ceil(bytes / 4) * 4);
    const buffer = await this.device.allocate(size, what);
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
    const { layers, slots, positions, kvHeads, headDim } = shape;
    const layer = 4 * slots * kvHeads * positions * headDim;
    const what = `key-value cache of ${slots} x ${positions} positions`;
    const keys: Window[] = [];
    const values: Window[] = [];
    for (let i = 0; i < layers; i++) {
      keys.push(await this.allocate(layer, what));
      values.push(await this.allocate(layer, what));
    }
    const angles = await this.allocate(4 * positions * headDim, "rotary angles");
    this.device.write(angles.buffer, 0, anglesOf(shape));
    this.caches.set(id, { shape, keys, values, angles });
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
  tableOf(index: number): Table {
    const weight = this.weights[index];
    if (weight === undefined || !("table" in weight)) throw new TypeError(`weight ${index}: expected a dense one`);
    return weight.table;
  }
  normOf(index: number): Dense {
    const { type, parts } = this.tableOf(index);
    return { type, window: parts[0].window };
  }
}

function found<T>(map: ReadonlyMap<number, T>, id: number): T {
  const value = map.get(id);
  if (value === undefined) throw new TypeError(`handle ${id} is not one of this backend's`);
  return value;
}

/** (positions, headDim / 2, 2) cosine and sine of position * base^(-2i / headDim), from float64. */
function anglesOf({ positions, headDim, ropeBase }: CacheShape): Float32Array {
  const half = headDim / 2;
  const table = new Float32Array(positions * headDim);
  for (let i = 0; i < half; i++) {
    const frequency = ropeBase ** (-i / half);
    for (let position = 0; position < positions; position++) {
      const at = position * headDim + 2 * i;
      table[at] = Math.cos(position * frequency);
      table[at + 1] = Math.sin(position * frequency);
    }
  }
  return table;
}
