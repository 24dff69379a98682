/**
 * The CPU backend: the contract over one shared memory and a pool of worker threads. Handles are addresses in the arena;
 * an op writes one command into the record, `run` hands the record to the pool. Kernels are in asm/.
 */

import * as check from "../../check.js";
import { readScale } from "../../formats/read.js";
import { formatOf } from "../../formats/table.js";
import { availableProcessors } from "../../platform/processors.js";
import { drawsOf, Sampled } from "../../sampling/draw.js";
import type {
  Activation,
  Backend,
  Batch,
  Best,
  Cache,
  CacheShape,
  Head,
  HeadKind,
  LoadOptions,
  MarkRows,
  OpTime,
  PositionShape,
  Projection,
  Quantized,
  Tensor,
  Tracer,
  Weight,
  WeightSource,
} from "../backend.js";
import { copyBatch, markedRows, masksOf, rankedOf, wholeOf } from "../batch.js";
import { Arena } from "./arena.js";
import { type CpuCache, makeCache, placeSlot, positionBytes } from "./cache.js";
import { chooseKernels, type KernelChoice } from "./choice/choose.js";
import type { DotForm } from "./choice/forms.js";
import { type Arguments, OPS, type OpName, RECORD_WORDS, TAKES } from "./commands.js";
import { CONTROL, CONTROL_BYTES, THREAD_BYTES } from "./control.js";
import { addressOf, type CpuHead, type CpuQuantized, type CpuTensor, type CpuWeight, denseOf } from "./handles.js";
import { loadPieces } from "./load.js";
import { maskBytes, writeMasks } from "./masks.js";
import { packedBytes } from "./pieces.js";
import { Recorder } from "./recorder.js";
import { joinResults, resultBytes } from "./results.js";
import {
  CHUNK,
  GROUP,
  HEAD_GROUP,
  HEAD_NUMBERS,
  headScratchBytes,
  partialFloats,
  SPLIT_UNITS,
  scoreBytes,
  TILE,
  TILE_PARTIALS,
  TILED_ROWS,
  ternaryScratchBytes,
} from "./sizes.js";
import { ThreadPool } from "./thread-pool.js";
import { NS, sharesOf, type Work } from "./work.js";

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

/** A named intermediate to be read between two ranges of commands. */
interface Mark {
  readonly at: number;
  readonly name: string;
  readonly tensor: CpuTensor;
  readonly rows: number;
}

export class CpuBackend implements Backend {
  readonly kind = "cpu";
  readonly runsAhead = 1;
  readonly takes = TAKES;
  readonly #arena = new Arena();
  readonly #pool: ThreadPool;
  readonly #control: number;
  readonly #recorder: Recorder;
  readonly #batch: { tokens: number; slots: number; positions: number; outputs: number };
  #closing: Promise<void> | undefined;
  #rows = 0;
  #outputs = 0;
  #longest = 0; // last position of the batch
  #positions = 0; // that its rows look at, in all
  #best = 0; // ids of a row that the last `best` found
  #current: Batch = { tokens: none, slots: none, positions: none, outputs: none };
  #draw: (() => Int32Array) | undefined; // what `sample` recorded
  readonly #sampled = new Sampled();
  #marks: Mark[] = [];
  #tracer: Tracer | undefined;
  /** for each thread, `bytes` for the ternary kernels (see ternary.ts) or one decoded row of the head */
  #scratch = { address: 0, bytes: 0 };
  /** each thread's scores, and partial results for whole units and for split ones, see attention.ts */
  #attention = { scores: 0, tile: 0, split: 0, unitBytes: 0 };

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
    const rows = () => this.#arena.allocate(4 * maxRows, "batch");
    this.#control = this.#arena.allocate(CONTROL_BYTES, "control block");
    const record = this.#arena.allocate(4 * RECORD_WORDS, "command record");
    this.#recorder = new Recorder(this.#arena, record / 4);
    this.#batch = { tokens: rows(), slots: rows(), positions: rows(), outputs: rows() };
    const { module, dot } = kernels;
    const { memory } = this.#arena;
    const lines = this.#arena.allocate(threads * THREAD_BYTES, "control words of the threads");
    const setup = { memory, module, dot, control: this.#control, lines, record, batch: this.#batch };
    this.#pool = new ThreadPool({ ...setup, threads });
  }

  get description(): string {
    const { threads } = this.#pool;
    return `${threads} thread${threads === 1 ? "" : "s"}, ${this.kernels.description}`;
  }
  get memoryBytes(): number {
    return this.#arena.byteLength;
  }

  async load(sources: readonly WeightSource[], { onProgress, signal }: LoadOptions = {}): Promise<Weight[]> {
    signal?.throwIfAborted();
    const { threads } = this.#pool;
    const scales = await Promise.all(
      sources.map((source) => (formatOf(source.type).kind === "ternary" ? readScale(source) : 0)),
    );
    const weights = sources.map((source, i) => this.#place(source, scales[i]));
    const matrices = sources.filter(({ type }) => formatOf(type).kind === "ternary");
    const bytes = Math.max(
      0,
      ...sources.map(({ columns }) => 4 * columns),
      ...matrices.map(({ rows, columns }) => ternaryScratchBytes(rows, columns)),
    );
    this.#scratch = { address: this.#arena.allocate(threads * bytes, "scratch rows"), bytes };
    const loading = { arena: this.#arena, pool: this.#pool, module: this.kernels.module, control: this.#control };
    const addresses = weights.map(({ address }) => address);
    await loadPieces(loading, sources, addresses, { signal, ...(onProgress && { onProgress }) });
    const total = sources.reduce((sum, { byteLength }) => sum + byteLength, 0);
    signal?.throwIfAborted();
    onProgress?.(total, total);
    return weights;
  }

  tensor(maxRows: number, width: number): CpuTensor {
    return { maxRows, width, address: this.#arena.allocate(4 * maxRows * width, `activations of width ${width}`) };
  }

  quantized(maxRows: number, width: number): CpuQuantized {
    if (width % 16 !== 0) throw new RangeError(`width: expected a multiple of 16, got ${width}`);
    // the table kernel reads whole tiles of rows
    const values = this.#arena.allocate(Math.ceil(maxRows / TILE) * TILE * width, `int8 activations of width ${width}`);
    const scales = this.#arena.allocate(4 * maxRows, "scales");
    const sums = this.#arena.allocate(4 * maxRows, "sums");
    return { width, normed: this.tensor(maxRows, width), values, scales, sums };
  }

  cache(shape: CacheShape): CpuCache {
    return makeCache(this.#arena, shape);
  }
  positionBytes(shape: PositionShape): number {
    return positionBytes(shape);
  }
  place(cache: Cache, slot: number, blocks: Int32Array): void {
    this.#pool.throwIfEnded();
    placeSlot(this.#arena, cache as CpuCache, slot, blocks);
  }

  begin(batch: Batch): void {
    this.#pool.throwIfEnded();
    const { tokens, slots, positions, outputs } = batch;
    const { maxRows } = this.options;
    if (tokens.length > maxRows) throw new RangeError(`batch: expected at most ${maxRows} rows, got ${tokens.length}`);
    this.#current = copyBatch(batch);
    const words = this.#arena.i32;
    words.set(this.#sampled.fill(batch), this.#batch.tokens / 4);
    words.set(slots, this.#batch.slots / 4);
    words.set(positions, this.#batch.positions / 4);
    words.set(outputs, this.#batch.outputs / 4);
    this.#rows = tokens.length;
    this.#recorder.begin(this.#rows, this.#pool.present);
    this.#outputs = outputs.length;
    this.#longest = positions.reduce((most, position) => Math.max(most, position), 0);
    this.#positions = positions.reduce((sum, position) => sum + position + 1, 0);
    words[(this.#control + CONTROL.rows) / 4] = this.#rows;
    words[(this.#control + CONTROL.outputs) / 4] = this.#outputs;
  }

  embed(out: Tensor, table: Weight): void {
    const work = { ns: NS.copy * this.#rows * out.width, units: this.#rows };
    this.#emit("embed", work, { out: addressOf(out), table: denseOf(table) });
  }

  normQuantize(out: Quantized, x: Tensor, weight: Weight, eps: number): void {
    const { normed, values, scales, sums, width } = out as CpuQuantized;
    const work = { ns: NS.norm * this.#rows * width, units: this.#rows };
    this.#emit("normQuantize", work, {
      x: addressOf(x),
      weight: denseOf(weight).address,
      normed: normed.address,
      values,
      scales,
      sums,
      width,
      eps,
    });
  }

  ternary(projections: readonly Projection[], x: Quantized): void {
    const { values, scales, sums, width } = x as CpuQuantized;
    const matrices = projections.map(({ weight, out, addTo }) => {
      const { address, rows, scale } = weight as CpuWeight;
      const sum = addTo === undefined ? 0 : addressOf(addTo);
      return { weight: address, rows, out: addressOf(out), addTo: sum, scale };
    });
    const outputs = projections.reduce((sum, { weight }) => sum + weight.rows, 0);
    const tiled = this.#rows >= TILED_ROWS;
    const work = {
      ns: (tiled ? NS.tiled : NS.ternary) * this.#rows * outputs * width,
      units: Math.ceil(Math.max(...projections.map(({ weight }) => weight.rows)) / GROUP),
    };
    this.#emit("ternary", work, { values, scales, sums, width, scratch: this.#scratch, matrices });
  }

  ropeStore(cache: Cache, layer: number, { q, k, v }: { q: Tensor; k: Tensor; v: Tensor }): void {
    const heads = q.width / cache.shape.headDim;
    const { angles } = cache as CpuCache;
    const { kvHeads, headDim } = cache.shape;
    const work = { ns: NS.rope * this.#rows * (heads + 2 * kvHeads) * headDim, units: this.#rows * kvHeads };
    this.#emit("ropeStore", work, {
      cache: this.#layerOf(cache, layer),
      q: addressOf(q),
      k: addressOf(k),
      v: addressOf(v),
      heads,
      angles,
    });
  }

  attend(out: Tensor, q: Tensor, cache: Cache, layer: number): void {
    const { kvHeads, headDim } = cache.shape;
    const heads = q.width / headDim;
    const scratch = this.#attentionScratch(heads / kvHeads, cache as CpuCache);
    const all = { cache: this.#layerOf(cache, layer), q: addressOf(q), out: addressOf(out), heads, scratch };
    const units = this.#rows * kvHeads;
    const manyUnits = units >= SPLIT_UNITS * this.#pool.threads;
    const ns = NS.attend * this.#positions * q.width + NS.attendHead * this.#rows * heads;
    if (manyUnits || this.#longest < CHUNK) {
      this.#emit("attend", { ns, units }, all);
    } else {
      this.#emit("attendSplit", { ns, units: units * Math.ceil((this.#longest + 1) / CHUNK) }, all);
      this.#emit("combine", { ns: NS.copy * this.#rows * q.width, units }, all);
    }
  }

  gate(out: Tensor, gate: Tensor, up: Tensor, activation: Activation): void {
    const count = this.#rows * out.width;
    const work = { ns: NS.gate * count, units: Math.ceil(count / 16) };
    this.#emit("gate", work, {
      gate: addressOf(gate),
      up: addressOf(up),
      out: addressOf(out),
      width: out.width,
      activation,
    });
  }

  normOutputs(out: Tensor, x: Tensor, weight: Weight, eps: number): void {
    const work = { ns: NS.norm * this.#outputs * out.width, units: this.#outputs };
    this.#emit("normOutputs", work, {
      x: addressOf(x),
      weight: denseOf(weight).address,
      out: addressOf(out),
      width: out.width,
      eps,
    });
  }

  logits(out: Tensor, head: Weight, x: Tensor): void {
    const { first, count: rows } = wholeOf(this.#current);
    const work = { ns: NS.logits * rows * head.rows * x.width, units: head.rows };
    this.#emit("logits", work, {
      x: addressOf(x) + 4 * first * x.width,
      rows,
      table: denseOf(head),
      out: addressOf(out),
      scratch: this.#scratch,
    });
  }

  async head(weight: Weight, maxRows: number, maxBest: number, kind: HeadKind = "exact"): Promise<CpuHead> {
    const none = { codes: 0, numbers: 0, scratch: { address: 0, bytes: 0 }, shares: 1, results: 0, masks: 0 };
    if (kind === "full") return { weight, kind, maxRows: 0, maxBest: 0, ...none };
    const { threads, present } = this.#pool;
    const { rows, columns } = weight;
    const groups = Math.ceil(rows / HEAD_GROUP);
    const codes = this.#arena.allocate(groups * HEAD_GROUP * columns, "int8 copy of the head");
    const numbers = this.#arena.allocate(groups * HEAD_NUMBERS, "bounds of the head");
    const work = { ns: NS.scan * rows * columns, units: groups, most: Math.max(present, Math.min(2 * present, 16)) }; // each share computes some rows exactly
    const shares = sharesOf(work, present);
    const bytes = headScratchBytes(columns, maxRows, shares, rows);
    const scratch = { address: this.#arena.allocate(threads * bytes, "scratch of the head"), bytes };
    const results = this.#arena.allocate(maxRows * shares * resultBytes(maxBest), "best ids");
    const masks = this.#arena.allocate(maskBytes({ maxRows, vocabulary: rows }), "masks of ids");
    const packing = { ns: NS.logits * rows * columns, units: groups };
    this.#emit("headPack", packing, { table: denseOf(weight), codes, numbers, scratch });
    await this.run();
    return { weight, kind, maxRows, maxBest, codes, numbers, scratch, shares, results, masks };
  }

  best(head: Head, x: Tensor, count: number): void {
    const { weight, kind, codes, numbers, scratch, shares, results, maxRows, maxBest } = head as CpuHead;
    const ranked = rankedOf(this.#current);
    if (count < 1 || count > maxBest || ranked > maxRows) {
      throw new RangeError(`best: expected 1 to ${maxBest} ids of at most ${maxRows} rows, got ${count} of ${ranked}`);
    }
    this.#best = count;
    const ns = NS.scan * ranked * weight.rows * weight.columns;
    const work = { ns, units: shares, exactly: shares };
    this.#emit("best", work, {
      x: addressOf(x),
      ranked,
      masks: this.#masks(head as CpuHead),
      table: denseOf(weight),
      codes,
      numbers,
      scratch,
      results,
      count,
      maxRows,
      int8: kind === "int8",
    });
  }
  /** Where the masks of the batch lie; 0 where no row has one. */
  #masks({ weight, maxRows, masks: address }: CpuHead): number {
    const masks = masksOf(this.#current, weight.rows);
    if (masks === undefined) return 0;
    writeMasks(this.#arena.i32, { address, maxRows, vocabulary: weight.rows }, masks);
    return address;
  }
  async readBest(head: Head, row: number): Promise<Best> {
    return this.#bestOf(head, row);
  }
  sample(head: Head): void {
    const batch = this.#current;
    const draws = drawsOf(batch, head.maxBest);
    this.#draw = () => this.#sampled.draw(batch, draws, (row) => this.#bestOf(head, row));
  }

  mark(name: string, tensor: Tensor, rows: MarkRows = "all"): void {
    if (this.#tracer === undefined) return;
    const count = markedRows(this.#current, rows);
    this.#marks.push({ at: this.#recorder.end, name, tensor: tensor as CpuTensor, rows: count });
  }
  setTracer(tracer: Tracer | undefined): void {
    this.#tracer = tracer;
  }

  async run(): Promise<Int32Array> {
    this.#pool.throwIfEnded();
    const [marks, draw] = [this.#marks, this.#draw];
    this.#marks = [];
    this.#draw = undefined;
    const { end, threads } = this.#recorder.take();
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
    this.#arena.f32.set(data, addressOf(tensor) / 4);
  }
  async read(tensor: Tensor, first: number, count: number): Promise<Float32Array> {
    return this.#rowsOf(tensor as CpuTensor, first, count);
  }
  async readQuantized(x: Quantized, first: number, count: number) {
    this.#pool.throwIfEnded();
    const { values, scales, width } = x as CpuQuantized;
    return {
      values: this.#arena.i8.slice(values + first * width, values + (first + count) * width),
      scales: this.#arena.f32.slice(scales / 4 + first, scales / 4 + first + count),
    };
  }

  takeProfile(): OpTime[] {
    if (this.#closing !== undefined) return [];
    const times = new Float64Array(this.#arena.memory.buffer, this.#control + CONTROL.times, OPS.length);
    const calls = new Int32Array(this.#arena.memory.buffer, this.#control + CONTROL.calls, OPS.length);
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
    this.#arena.release(); // whoever still holds this backend holds no memory by it
  }

  get #profile(): boolean {
    return this.options.profile ?? false;
  }

  /** A spread in the literals that go here costs 3 to 6 us, a hundred times the command (Node.js 20). */
  #emit<N extends OpName>(op: N, work: Work, args: Arguments<N>): void {
    if (this.#closing !== undefined) return; // run() says so
    this.#recorder.write(op, work, args);
  }

  #layerOf(cache: Cache, layer: number) {
    const { placed, layers } = cache as CpuCache;
    placed.check(this.#current);
    return layers[layer];
  }

  #bestOf(head: Head, row: number): Best {
    this.#pool.throwIfEnded();
    const { shares, results } = head as CpuHead;
    const at = results + row * shares * resultBytes(this.#best);
    return joinResults(this.#arena, at, shares, this.#best);
  }

  #rowsOf({ address, width }: CpuTensor, first: number, count: number): Float32Array {
    this.#pool.throwIfEnded();
    return this.#arena.f32.slice(address / 4 + first * width, address / 4 + (first + count) * width);
  }

  #place(source: WeightSource, scale: number): CpuWeight {
    const { name, type, rows, columns, byteLength } = source;
    const address = this.#arena.allocate(packedBytes(source), name);
    const inRow = formatOf(type).kind === "ternary" ? 0 : byteLength / rows;
    return { name, rows, columns, type, address, rowBytes: inRow, scale };
  }

  /** Scratch of attention, made once: all layers have one shape. */
  #attentionScratch(group: number, { placed, shape: { headDim } }: CpuCache) {
    if (this.#attention.unitBytes === 0) {
      const { threads } = this.#pool;
      const chunkBytes = 4 * group * partialFloats(headDim);
      const unitBytes = placed.slotBlocks * chunkBytes;
      const scores = this.#arena.allocate(threads * scoreBytes(group, headDim), "attention scores");
      const tile = this.#arena.allocate(threads * TILE_PARTIALS * chunkBytes, "attention partials");
      const split = this.#arena.allocate(threads * SPLIT_UNITS * unitBytes, "attention partials");
      this.#attention = { scores, tile, split, unitBytes };
    }
    return this.#attention;
  }
}

const none = new Int32Array();
