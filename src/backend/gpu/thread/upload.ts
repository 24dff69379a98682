/**
 * Weights from their bytes to the device, a chunk at a time, so that the host never holds more than a chunk. Ternary codes lie
 * on the device in the order of I2_S, the scales of their blocks after them; dense weights as formats.ts says.
 */

import { type DenseFormat, rowBytes, type TernaryFormat } from "../../../formats/format.js";
import { checkCodes, LAYOUT_ROWS, toStandardLayout } from "../../../formats/i2_s.js";
import { readBytes, readScale } from "../../../formats/read.js";
import { formatOf } from "../../../formats/table.js";
import type { NextTurn } from "../../../platform/platform.js";
import type { WeightSource } from "../../backend.js";
import type { Window } from "../device/kernel.js";
import { deviceForm } from "../formats.js";
import type { TablePart } from "../kernels/operands.js";
import { SCALE_BLOCK } from "../kernels/ternary.js";
import { blockCodes, commonScale } from "./block-codes.js";
import { aligned, type GpuWeight, type Memory } from "./memory.js";

/** Bytes read and written at a time. */
const CHUNK = 16 << 20;
/** Bytes under way to the device before the host waits for it. */
const IN_FLIGHT = 256 << 20;

export interface UploadOptions {
  onProgress(loaded: number): void;
  aborted(): boolean;
  readonly nextTurn: NextTurn;
}

export async function uploadWeights(
  memory: Memory,
  sources: readonly WeightSource[],
  options: UploadOptions,
): Promise<void> {
  const upload = new Upload(memory, sources, options);
  const weights: GpuWeight[] = [];
  for (const source of sources) {
    if (options.aborted()) break; // the main thread knows the reason
    weights.push(await upload.weight(source));
  }
  await memory.device.done();
  memory.weights = weights;
}

class Upload {
  #loaded = 0;
  #inFlight = 0;
  readonly #ternary: Rooms;
  readonly #dense: Rooms;

  constructor(
    readonly memory: Memory,
    sources: readonly WeightSource[],
    readonly options: UploadOptions,
  ) {
    const sum = (bytesOf: (source: WeightSource) => number) =>
      sources.reduce((bytes, source) => bytes + aligned(bytesOf(source)), 0);
    this.#ternary = new Rooms(memory, sum(ternaryBytes));
    this.#dense = new Rooms(memory, sum(denseBytes));
  }

  weight(source: WeightSource): Promise<GpuWeight> {
    const format = formatOf(source.type);
    if (format.kind === "dense") return this.table(source, format);
    return format.block === SCALE_BLOCK ? this.blocks(source, format) : this.ternary(source, format);
  }

  /** Codes with one scale for all of them. */
  async ternary(source: WeightSource, format: TernaryFormat): Promise<GpuWeight> {
    const { name, rows, columns, factor = 1 } = source;
    const scale = factor * (await readScale(source));
    const bytes = codeBytes(source);
    const codes = await this.#ternary.place(bytes, name);
    const step = LAYOUT_ROWS * rowBytes(format, columns);
    await this.#copy(source, { from: 0, length: bytes, step }, (chunk, at) => {
      toStandardLayout(source.layout ?? "block128", chunk, columns);
      format.check(source, chunk, at);
      this.memory.device.write(codes.buffer, codes.offset + at, chunk);
    });
    return { ternary: { rows, columns, scale, codes } };
  }

  /** Codes with a scale for each block; where these are equal, one for all of them. */
  async blocks(source: WeightSource, format: TernaryFormat): Promise<GpuWeight> {
    const { name, type, rows, columns, factor = 1 } = source;
    const codes = await this.#ternary.place(ternaryBytes(source), name);
    const scales = new Float32Array((rows * columns) / SCALE_BLOCK);
    const inFile = rowBytes(format, columns);
    await this.#copy(source, { from: 0, length: rows * inFile, step: inFile }, (chunk, at) => {
      format.check(source, chunk, at);
      const some = blockCodes(type, chunk);
      checkCodes(name, some.codes);
      scales.set(some.scales, at / format.bytes);
      this.memory.device.write(codes.buffer, codes.offset + (at / format.bytes) * (SCALE_BLOCK / 4), some.codes);
    });
    const scalesAt = codeBytes(source);
    const one = commonScale(scales);
    if (one !== undefined)
      return { ternary: { rows, columns, scale: factor * one, codes: { ...codes, size: scalesAt } } };
    this.memory.device.write(codes.buffer, codes.offset + scalesAt, scales);
    return { ternary: { rows, columns, scale: factor, codes, scalesAt } };
  }

  async table(source: WeightSource, format: DenseFormat): Promise<GpuWeight> {
    const { type, rows, columns, factor = 1 } = source;
    const inFile = rowBytes(format, columns);
    const { pack, ...form } = deviceForm(type);
    const { values, scales } = rowSizes(source);
    const most = Math.max(1, Math.floor((this.memory.device.maxWindow - 4) / (values + scales)));
    const parts: TablePart[] = [];
    for (let first = 0; first < rows; first += most) {
      const count = Math.min(most, rows - first);
      const scalesAt = count * values;
      const window = await this.#placeDense(source, scalesAt + 4 * Math.ceil((count * scales) / 4));
      const from = first * inFile;
      // two rows at a time: their scales are whole words
      await this.#copy(source, { from, length: count * inFile, step: 2 * inFile }, (chunk, at) => {
        format.check(source, chunk, from + at);
        const packed = pack(chunk);
        const row = at / inFile;
        this.memory.device.write(window.buffer, window.offset + row * values, packed.values);
        if (packed.scales === undefined) return;
        this.memory.device.write(window.buffer, window.offset + scalesAt + row * scales, packed.scales);
      });
      parts.push({ first, count, window, scalesAt });
    }
    return { table: { ...form, rows, columns, parts }, factor };
  }

  /** Norms have buffers of their own. */
  #placeDense({ rows, name }: WeightSource, bytes: number): Promise<Window> {
    return rows === 1 ? this.memory.allocate(bytes, name) : this.#dense.place(bytes, name);
  }

  /** Reads `length` bytes from `from` of the tensor on, and hands them on in chunks of whole steps. */
  async #copy(
    source: WeightSource,
    { from, length, step }: { from: number; length: number; step: number },
    use: (chunk: Uint8Array, at: number) => void,
  ): Promise<void> {
    const most = Math.max(1, Math.floor(CHUNK / step)) * step;
    for (let at = 0; at < length; at += most) {
      const chunk = await readBytes(source, from + at, Math.min(most, length - at));
      use(chunk, at);
      this.#loaded += chunk.length;
      this.#inFlight += chunk.length;
      this.options.onProgress(this.#loaded);
      if (this.#inFlight >= IN_FLIGHT) {
        await this.memory.device.done();
        this.#inFlight = 0;
      } else {
        await this.options.nextTurn(); // an abort may come in
      }
      if (this.options.aborted()) return;
    }
  }
}

/** Weights that lie one after the other in as few buffers as the adapter allows, so that a kernel binds several at once. */
class Rooms {
  /** what is free in the newest buffer */
  #room: Window | undefined;

  /** `left`: bytes of all that will be placed, each taken up to where the next may begin */
  constructor(
    readonly memory: Memory,
    private left: number,
  ) {}

  async place(bytes: number, name: string): Promise<Window> {
    const size = aligned(bytes);
    if (this.#room === undefined || this.#room.size < size) {
      const wanted = Math.min(this.left, this.memory.device.maxWindow);
      this.#room = await this.memory.allocate(Math.max(size, wanted), name);
    }
    const { buffer, offset, size: free } = this.#room;
    this.#room = { buffer, offset: offset + size, size: free - size };
    this.left -= size;
    return { buffer, offset, size: bytes };
  }
}

/** Bytes of a ternary matrix's codes. */
const codeBytes = ({ rows, columns }: WeightSource) => (rows * columns) / 4;

/** Bytes of a ternary matrix on the device; 0 for other weights. */
function ternaryBytes(source: WeightSource): number {
  const format = formatOf(source.type);
  if (format.kind !== "ternary") return 0;
  const scales = format.block === SCALE_BLOCK ? (4 * source.rows * source.columns) / SCALE_BLOCK : 0;
  return codeBytes(source) + scales;
}

/** Bytes of a row of a dense weight on the device. */
function rowSizes({ type, columns }: WeightSource): { values: number; scales: number } {
  const { bits, group = 1, groupBytes } = deviceForm(type);
  return { values: (columns * bits) / 8, scales: (columns / group) * groupBytes };
}

/** Bytes of a dense weight with more than one row on the device; 0 for other weights. */
function denseBytes(source: WeightSource): number {
  if (formatOf(source.type).kind !== "dense" || source.rows === 1) return 0;
  const { values, scales } = rowSizes(source);
  return source.rows * (values + scales) + 4;
}
