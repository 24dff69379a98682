/**
 * Weights from their bytes to the device, a chunk at a time, so that the host never holds more than a chunk. Ternary codes lie
 * on the device as in the file, tables as formats.ts says.
 */

import { type DenseFormat, rowBytes, type TernaryFormat } from "../../../formats/format.js";
import { LAYOUT_ROWS, toStandardLayout } from "../../../formats/i2_s.js";
import { readBytes, readScale } from "../../../formats/read.js";
import { formatOf } from "../../../formats/table.js";
import type { NextTurn } from "../../../platform/platform.js";
import type { WeightSource } from "../../backend.js";
import type { Window } from "../device/kernel.js";
import { deviceType } from "../formats.js";
import type { Table } from "../kernels/operands.js";
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
    const format = formatOf(source.type);
    const dense = format.kind === "dense";
    weights.push(dense ? await upload.table(source, format) : await upload.ternary(source, format));
  }
  await memory.device.done();
  memory.weights = weights;
}

class Upload {
  #loaded = 0;
  #inFlight = 0;
  /** what is free in the newest buffer of ternary weights, and bytes of those that have no place yet */
  #room: Window | undefined;
  #ternaryLeft: number;

  constructor(
    readonly memory: Memory,
    sources: readonly WeightSource[],
    readonly options: UploadOptions,
  ) {
    this.#ternaryLeft = sources.reduce((sum, source) => sum + aligned(codeBytes(source)), 0);
  }

  async ternary(source: WeightSource, format: TernaryFormat): Promise<GpuWeight> {
    const { name, rows, columns, factor = 1 } = source;
    const scale = factor * (await readScale(source));
    const bytes = codeBytes(source);
    const codes = await this.#place(bytes, name);
    const step = LAYOUT_ROWS * rowBytes(format, columns);
    await this.#copy(source, { from: 0, length: bytes, step }, (chunk, at) => {
      toStandardLayout(source.layout ?? "block128", chunk, columns);
      format.check(source, chunk, at);
      this.memory.device.write(codes.buffer, codes.offset + at, chunk);
    });
    return { ternary: { rows, columns, scale, codes } };
  }

  async table(source: WeightSource, format: DenseFormat): Promise<GpuWeight> {
    const { name, rows, columns } = source;
    const inFile = rowBytes(format, columns);
    const type = deviceType(source.type);
    const onDevice = type === "F32" ? 4 * columns : 2 * columns;
    const most = Math.max(1, Math.floor(this.memory.device.maxWindow / onDevice));
    const parts: Table["parts"][number][] = [];
    for (let first = 0; first < rows; first += most) {
      const count = Math.min(most, rows - first);
      const window = await this.memory.allocate(count * onDevice, name);
      const rowsAtATime = Math.max(1, Math.floor(CHUNK / inFile));
      for (let row = 0; row < count; row += rowsAtATime) {
        const taken = Math.min(rowsAtATime, count - row);
        await this.#copy(
          source,
          { from: (first + row) * inFile, length: taken * inFile, step: inFile },
          (chunk, at) => {
            format.check(source, chunk, (first + row) * inFile + at);
            const data = type === format.name ? chunk : floatsOf(format, chunk, (chunk.length / inFile) * columns);
            this.memory.device.write(window.buffer, row * onDevice + (at / inFile) * onDevice, data);
          },
        );
      }
      parts.push({ first, count, window });
    }
    return { table: { type, rows, columns, parts } };
  }

  /** Ternary weights lie one after the other in as few buffers as the adapter allows, so that a kernel binds several at once. */
  async #place(bytes: number, name: string): Promise<Window> {
    const size = aligned(bytes);
    if (this.#room === undefined || this.#room.size < size) {
      const wanted = Math.min(this.#ternaryLeft, this.memory.device.maxWindow);
      this.#room = await this.memory.allocate(Math.max(size, wanted), name);
    }
    const { buffer, offset, size: free } = this.#room;
    this.#room = { buffer, offset: offset + size, size: free - size };
    this.#ternaryLeft -= size;
    return { buffer, offset, size: bytes };
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

/** Bytes of a matrix's codes; 0 for other weights. */
function codeBytes({ type, rows, columns }: WeightSource): number {
  const format = formatOf(type);
  return format.kind === "ternary" ? rows * rowBytes(format, columns) : 0;
}

function floatsOf(format: DenseFormat, chunk: Uint8Array, count: number): Uint8Array {
  const values = format.decode(chunk, count);
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
