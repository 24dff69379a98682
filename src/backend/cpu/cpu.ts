/**
 * The CPU backend: the contract over one shared memory and a pool of worker threads. Handles are addresses in the arena;
 * ops write commands into the record (recorded-ops.ts), `run` hands it to the pool. Kernels are in asm/.
 */

import * as check from "../../check.js";
import { readScale } from "../../formats/read.js";
import { hasLayouts, isTernary } from "../../formats/table.js";
import { availableProcessors } from "../../platform/processors.js";
import { drawsOf, Sampled } from "../../sampling/draw.js";
import {
  type Backend,
  type Batch,
  type Best,
  type Cache,
  type CacheShape,
  FEATURES,
  type Head,
  type HeadKind,
  type LoadOptions,
  type MarkRows,
  type OpTime,
  type PositionShape,
  type Quantized,
  type Tensor,
  type Tracer,
  type Weight,
  type WeightSource,
} from "../backend.js";
import { checkQuantizedWidth, markedRows } from "../batch.js";
import { Arena } from "./arena.js";
import { type CpuCache, copyBlock, makeCache, placeSlot, positionBytes } from "./cache.js";
import { chooseKernels, type KernelChoice } from "./choice/choose.js";
import type { DotForm } from "./choice/forms.js";
import { denseTypeOf, isPacked, OPS, TAKES } from "./commands.js";
import { CONTROL, CONTROL_BYTES, THREAD_BYTES } from "./control.js";
import { addressOf, type CpuHead, type CpuQuantized, type CpuTensor, type CpuWeight, denseOf } from "./handles.js";
import { loadPieces } from "./load.js";
import { maskBytes } from "./masks.js";
import { blockScales, codeBytes, hasBlockScales, packedBytes } from "./pieces.js";
import { RecordedOps } from "./recorded-ops.js";
import { joinResults, resultBytes } from "./results.js";
import {
  CHUNK,
  factorBytes,
  fixedBytes,
  HEAD_GROUP,
  HEAD_NUMBERS,
  headScratchBytes,
  TILE,
  ternaryScratchBytes,
} from "./sizes.js";
import { ThreadPool } from "./thread-pool.js";
import { NS, sharesOf } from "./work.js";

export interface CpuOptions {
  /** worker threads; default: processors that this process may use, by its affinity and its container's quota */
  threads?: number | undefined;
  /** rows of the largest batch */
  maxRows: number;
  /** forces one form of the ternary kernel; default: the fastest that passes its self-test */
  kernel?: DotForm | undefined;
  /** see KernelOptions */
  revectorize?: boolean | undefined;
  /** ends the choice of kernels, which may take seconds where V8 flags are to be proven */
  signal?: AbortSignal | undefined;
  /** measure the time of each op (costs about 2 % of a token) */
  profile?: boolean | undefined;
}

const hasPackedType = ({ type }: WeightSource) => {
  const dense = denseTypeOf(type);
  return dense !== undefined && isPacked(dense);
};

/** A named intermediate to be read between two ranges of commands. */
interface Mark {
  readonly at: number;
  readonly name: string;
  readonly tensor: CpuTensor;
  readonly rows: number;
}

export class CpuBackend extends RecordedOps implements Backend {
  readonly kind = "cpu";
  readonly runsAhead = 1;
  readonly blockPositions = CHUNK;
  readonly takes = TAKES;
  readonly features = FEATURES;
  readonly #pool: ThreadPool;
  readonly #control: number;
  readonly #batch: { tokens: number; slots: number; positions: number; outputs: number };
  #closing: Promise<void> | undefined;
  #draw: (() => Int32Array) | undefined; // what `sample` recorded
  readonly #sampled = new Sampled();
  #marks: Mark[] = [];
  #tracer: Tracer | undefined;

  static async create(options: CpuOptions): Promise<CpuBackend> {
    const { kernel: form, revectorize, signal } = options;
    return new CpuBackend(await chooseKernels({ form, revectorize, signal }), options);
  }

  private constructor(
    readonly kernels: KernelChoice,
    readonly options: CpuOptions,
  ) {
    const { threads = availableProcessors(), maxRows } = options;
    check.threads("threads", threads);
    super(new Arena(), threads);
    const rows = () => this.arena.allocate(4 * maxRows, "batch");
    this.#control = this.arena.allocate(CONTROL_BYTES, "control block");
    this.#batch = { tokens: rows(), slots: rows(), positions: rows(), outputs: rows() };
    const { module, dot } = kernels;
    const { memory } = this.arena;
    const lines = this.arena.allocate(threads * THREAD_BYTES, "control words of the threads");
    const setup = { memory, module, dot, control: this.#control, lines, record: this.record, batch: this.#batch };
    this.#pool = new ThreadPool({ ...setup, threads });
  }

  get description(): string {
    const { threads } = this.#pool;
    return `${threads} thread${threads === 1 ? "" : "s"}, ${this.kernels.description}`;
  }
  get memoryBytes(): number {
    return this.arena.byteLength;
  }

  async load(sources: readonly WeightSource[], { onProgress, signal }: LoadOptions = {}): Promise<Weight[]> {
    signal?.throwIfAborted();
    const { threads } = this.#pool;
    const addresses = sources.map((source) => this.arena.allocate(packedBytes(source), source.name));
    const matrices = sources.filter(isTernary);
    const bytes = Math.max(
      0,
      ...sources.map(({ columns }) => 4 * columns),
      ...matrices.map(({ rows, columns }) => ternaryScratchBytes(rows, columns)),
    );
    this.scratch = { address: this.arena.allocate(threads * bytes, "scratch rows"), bytes };
    this.fixed = this.#fixedFor(sources);
    const loading = { arena: this.arena, pool: this.#pool, module: this.kernels.module, control: this.#control };
    // many small reads, while the threads start and load
    const reading = Promise.all(sources.map((source) => (hasLayouts(source) ? readScale(source) : 1)));
    reading.catch(() => {}); // what fails in the threads is thrown first
    await loadPieces(loading, sources, addresses, { signal, ...(onProgress && { onProgress }) });
    const scales = await reading;
    const total = sources.reduce((sum, { byteLength }) => sum + byteLength, 0);
    signal?.throwIfAborted();
    onProgress?.(total, total);
    return sources.map((source, i) => this.#weightOf(source, addresses[i], scales[i]));
  }

  #fixedFor(sources: readonly WeightSource[]) {
    const widths = sources.filter(hasPackedType).map(({ columns }) => columns);
    if (widths.length === 0) return { values: 0, factors: 0 };
    const sizes = [this.options.maxRows, Math.max(...widths)] as const;
    const what = "activations in fixed point";
    return {
      values: this.arena.allocate(fixedBytes(...sizes), what),
      factors: this.arena.allocate(factorBytes(...sizes), what),
    };
  }

  tensor(maxRows: number, width: number): CpuTensor {
    return { maxRows, width, address: this.arena.allocate(4 * maxRows * width, `activations of width ${width}`) };
  }

  quantized(maxRows: number, width: number): CpuQuantized {
    checkQuantizedWidth(width);
    // the table kernel reads whole tiles of rows
    const values = this.arena.allocate(Math.ceil(maxRows / TILE) * TILE * width, `int8 activations of width ${width}`);
    const scales = this.arena.allocate(4 * maxRows, "scales");
    const sums = this.arena.allocate(4 * maxRows, "sums");
    return { width, normed: this.tensor(maxRows, width), values, scales, sums };
  }

  cache(shape: CacheShape): CpuCache {
    return makeCache(this.arena, shape);
  }
  positionBytes(shape: PositionShape): number {
    return positionBytes(shape);
  }
  place(cache: Cache, slot: number, blocks: Int32Array): void {
    this.#pool.throwIfEnded();
    placeSlot(this.arena, cache as CpuCache, slot, blocks);
  }
  copyBlock(cache: Cache, from: number, to: number): void {
    this.#pool.throwIfEnded();
    copyBlock(this.arena, cache as CpuCache, from, to);
  }

  begin(batch: Batch): void {
    this.#pool.throwIfEnded();
    const { tokens, slots, positions, outputs } = batch;
    this.beginOps(batch, this.options.maxRows, this.#pool.present);
    const words = this.arena.i32;
    words.set(this.#sampled.fill(batch), this.#batch.tokens / 4);
    words.set(slots, this.#batch.slots / 4);
    words.set(positions, this.#batch.positions / 4);
    words.set(outputs, this.#batch.outputs / 4);
    words[(this.#control + CONTROL.rows) / 4] = tokens.length;
    words[(this.#control + CONTROL.outputs) / 4] = outputs.length;
  }

  async head(weight: Weight, maxRows: number, maxBest: number, kind: HeadKind = "exact"): Promise<CpuHead> {
    const none = { codes: 0, numbers: 0, scratch: { address: 0, bytes: 0 }, shares: 1, results: 0, masks: 0 };
    if (kind === "full") return { weight, kind, maxRows: 0, maxBest: 0, ...none };
    const { threads, present } = this.#pool;
    const { rows, columns } = weight;
    const groups = Math.ceil(rows / HEAD_GROUP);
    const table = denseOf(weight);
    const scanned = !isPacked(table.type); // a packed one is read no slower than its copy would be
    const codes = scanned ? this.arena.allocate(groups * HEAD_GROUP * columns, "int8 copy of the head") : 0;
    const numbers = scanned ? this.arena.allocate(groups * HEAD_NUMBERS, "bounds of the head") : 0;
    const work = { ns: NS.scan * rows * columns, units: groups, most: Math.max(present, Math.min(2 * present, 16)) }; // each share computes some rows exactly
    const shares = sharesOf(work, present);
    const bytes = headScratchBytes(columns, maxRows, shares, rows);
    const scratch = { address: this.arena.allocate(threads * bytes, "scratch of the head"), bytes };
    const results = this.arena.allocate(maxRows * shares * resultBytes(maxBest), "best ids");
    const masks = this.arena.allocate(maskBytes({ maxRows, vocabulary: rows }), "masks of ids");
    const packing = { ns: NS.logits * rows * columns, units: groups };
    if (scanned) {
      this.emit("headPack", packing, { table, codes, numbers, scratch });
      await this.run();
    }
    return { weight, kind, maxRows, maxBest, codes, numbers, scratch, shares, results, masks };
  }

  async readBest(head: Head, row: number): Promise<Best> {
    return this.#bestOf(head, row);
  }
  sample(head: Head): void {
    const batch = this.batch;
    const draws = drawsOf(batch, head.maxBest);
    this.#draw = () => this.#sampled.draw(batch, draws, (row) => this.#bestOf(head, row));
  }

  mark(name: string, tensor: Tensor, rows: MarkRows = "all"): void {
    if (this.#tracer === undefined) return;
    const count = markedRows(this.batch, rows);
    this.#marks.push({ at: this.recorder.end, name, tensor: tensor as CpuTensor, rows: count });
  }
  setTracer(tracer: Tracer | undefined): void {
    this.#tracer = tracer;
  }

  async run(): Promise<Int32Array> {
    this.#pool.throwIfEnded();
    const [marks, draw] = [this.#marks, this.#draw];
    this.#marks = [];
    this.#draw = undefined;
    const { end, threads } = this.recorder.take();
    const options = { threads, measure: this.#profile };
    let begin = 0;
    for (const { at, name, tensor, rows } of marks) {
      if (at > begin) await this.#pool.execute(begin, at, options);
      begin = at;
      this.#tracer?.(name, this.#rowsOf(tensor, 0, rows), rows, tensor.width);
    }
    if (end > begin) await this.#pool.execute(begin, end, options);
    return draw?.() ?? new Int32Array();
  }

  write(tensor: Tensor, data: Float32Array): void {
    this.#pool.throwIfEnded();
    if (data.length > tensor.maxRows * tensor.width) {
      throw new RangeError(`write: expected at most ${tensor.maxRows} x ${tensor.width} values, got ${data.length}`);
    }
    this.arena.f32.set(data, addressOf(tensor) / 4);
  }
  async read(tensor: Tensor, first: number, count: number): Promise<Float32Array> {
    return this.#rowsOf(tensor as CpuTensor, first, count);
  }
  async readQuantized(x: Quantized, first: number, count: number) {
    this.#pool.throwIfEnded();
    const { values, scales, width } = x as CpuQuantized;
    return {
      values: this.arena.i8.slice(values + first * width, values + (first + count) * width),
      scales: this.arena.f32.slice(scales / 4 + first, scales / 4 + first + count),
    };
  }

  takeProfile(): OpTime[] {
    if (this.closed) return [];
    const times = new Float64Array(this.arena.memory.buffer, this.#control + CONTROL.times, OPS.length);
    const calls = new Int32Array(this.arena.memory.buffer, this.#control + CONTROL.calls, OPS.length);
    const profile = OPS.map((op, i) => ({ op, calls: calls[i], ms: times[i] }));
    times.fill(0);
    calls.fill(0);
    return profile.filter(({ calls }) => calls > 0);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }
  async #close(): Promise<void> {
    await this.#pool.close();
    this.arena.release(); // whoever still holds this backend holds no memory by it
  }

  protected get closed(): boolean {
    return this.#closing !== undefined;
  }
  get #profile(): boolean {
    return this.options.profile ?? false;
  }

  #bestOf(head: Head, row: number): Best {
    this.#pool.throwIfEnded();
    const { shares, results } = head as CpuHead;
    const at = results + row * shares * resultBytes(this.bestCount);
    return joinResults(this.arena, at, shares, this.bestCount);
  }

  #rowsOf({ address, width }: CpuTensor, first: number, count: number): Float32Array {
    this.#pool.throwIfEnded();
    return this.arena.f32.slice(address / 4 + first * width, address / 4 + (first + count) * width);
  }

  #weightOf(source: WeightSource, address: number, scale: number): CpuWeight {
    const { name, type, rows, columns, byteLength, factor = 1 } = source;
    const blocks = hasBlockScales(source) ? this.#scalesOf(source, address) : { scale, scales: 0 };
    const rowBytes = isTernary(source) ? 0 : byteLength / rows;
    return { name, rows, columns, type, address, rowBytes, scale: factor * blocks.scale, scales: blocks.scales };
  }

  /**
   * The one scale of all blocks of a weight that are not 0, as those have that were trained with one: its products are as
   * fast as those of I2_S. Else where the scales are.
   */
  #scalesOf({ rows, columns }: WeightSource, address: number): Pick<CpuWeight, "scale" | "scales"> {
    const scales = address + codeBytes(rows, columns);
    const values = this.arena.f32.subarray(scales / 4, scales / 4 + blockScales(rows, columns));
    const scale = values.find((value) => value !== 0) ?? 0;
    return values.every((value) => value === 0 || value === scale) ? { scale, scales: 0 } : { scale: 1, scales };
  }
}
