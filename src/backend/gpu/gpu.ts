/**
 * The GPU backend on the main thread: it gives out handles, records ops as words, and leaves the rest to the device's
 * thread (worker.ts), since Dawn keeps the thread of a device busy.
 */

import { drawsOf } from "../../sampling/draw.js";
import {
  type Activation,
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
  type Projection,
  type Quantized,
  SAMPLED,
  type Tensor,
  type Tracer,
  type Weight,
  type WeightSource,
} from "../backend.js";
import { checkQuantizedWidth, copyBatch, markedRows, masksOf, rankedBy } from "../batch.js";
import { BlockTable } from "../blocks.js";
import { Channel } from "./channel.js";
import { addTimes } from "./device/timestamps.js";
import { TAKES } from "./formats.js";
import { BLOCK } from "./kernels/cache.js";
import { loadWeights } from "./load.js";
import type { DeviceOptions, Opened } from "./protocol.js";
import { NONE, Recorder, Records } from "./record.js";

/** Runs under way before the host waits for the first. */
const RUNS_AHEAD = 4;

interface Handle {
  readonly id: number;
}
type GpuQuantized = Quantized & Handle;
type GpuCache = Cache & Handle & { readonly placed: BlockTable };
type GpuWeight = Weight & Handle;
type GpuHead = Head & Handle;

interface Mark {
  readonly name: string;
  readonly rows: number;
  readonly width: number;
}

export class GpuBackend implements Backend {
  readonly kind = "gpu";
  readonly runsAhead = RUNS_AHEAD;
  readonly blockPositions = BLOCK;
  readonly takes = TAKES;
  readonly features = FEATURES;
  readonly #channel: Channel;
  readonly #opened: Opened;
  readonly #records = new Records();
  #handles = 0;
  readonly #recorder = new Recorder();
  #batch: Batch = { tokens: none, slots: none, positions: none, outputs: none };
  #tracer: Tracer | undefined;
  #marks: Mark[] = [];
  #bestCount = 0;
  /** slots that an id was sampled for */
  readonly #sampledSlots = new Set<number>();
  /** what `best` found in the last run that was called */
  #best: Promise<{ bytes: ArrayBuffer; count: number } | undefined> = Promise.resolve(undefined);
  readonly #times = new Map<string, OpTime>();

  /** Opens the device; rejects with BACKEND_UNAVAILABLE where there is none. */
  static async create(options: DeviceOptions): Promise<GpuBackend> {
    const channel = new Channel();
    try {
      return new GpuBackend(channel, await channel.ask("open", options), options);
    } catch (error) {
      await channel.close();
      throw error;
    }
  }

  private constructor(
    channel: Channel,
    opened: Opened,
    readonly options: DeviceOptions,
  ) {
    this.#channel = channel;
    this.#opened = opened;
  }

  get description(): string {
    return this.#opened.description;
  }
  get memoryBytes(): number {
    return this.#channel.memoryBytes;
  }

  async load(sources: readonly WeightSource[], { onProgress, signal }: LoadOptions = {}): Promise<Weight[]> {
    signal?.throwIfAborted();
    await loadWeights(this.#channel, sources, { signal, ...(onProgress && { onProgress }) });
    const total = sources.reduce((sum, { byteLength }) => sum + byteLength, 0);
    signal?.throwIfAborted();
    onProgress?.(total, total);
    return sources.map(({ name, rows, columns }, id): GpuWeight => ({ id, name, rows, columns }));
  }

  tensor(maxRows: number, width: number): Tensor {
    const tensor = { id: this.#handles++, maxRows, width };
    this.#channel.post("tensor", tensor);
    return tensor;
  }

  quantized(maxRows: number, width: number): Quantized {
    checkQuantizedWidth(width);
    const id = this.#handles++;
    const normed = { id: this.#handles++, maxRows, width };
    this.#channel.post("quantized", { id, normed: normed.id, maxRows, width });
    return { id, width, normed } as GpuQuantized;
  }

  cache(shape: CacheShape): GpuCache {
    const id = this.#handles++;
    this.#channel.post("cache", { id, shape });
    const placed = new BlockTable(shape, BLOCK);
    return { id, shape, placed, blockPositions: BLOCK, blocks: placed.blocks };
  }
  place(cache: Cache, slot: number, blocks: Int32Array): void {
    placedOf(cache).place(slot, blocks);
    this.#channel.post("place", { cache: idOf(cache), slot, blocks: blocks.slice() });
  }
  copyBlock(cache: Cache, from: number, to: number): void {
    for (const block of [from, to]) placedOf(cache).checkBlock("copyBlock", block);
    this.#channel.post("copyBlock", { cache: idOf(cache), from, to });
  }
  /** Of float32, whatever type was asked for. */
  positionBytes({ layers, kvHeads, headDim }: PositionShape): number {
    return 2 * layers * kvHeads * headDim * Float32Array.BYTES_PER_ELEMENT;
  }

  async head(weight: Weight, maxRows: number, maxBest: number, kind: HeadKind = "exact"): Promise<Head> {
    const head: GpuHead = { id: this.#handles++, weight, kind, maxRows, maxBest };
    const best = Math.min(maxBest, weight.rows);
    if (kind !== "full") await this.#channel.ask("head", { id: head.id, weight: idOf(weight), maxRows, maxBest: best });
    return head;
  }

  begin(batch: Batch): void {
    const own = copyBatch(batch, this.options.maxRows);
    const { tokens, slots } = own;
    tokens.forEach((token, row) => {
      if (token !== SAMPLED || this.#sampledSlots.has(slots[row])) return;
      throw new RangeError(`batch: expected a sampled id in slot ${slots[row]}, got none so far`);
    });
    this.#batch = own;
  }

  embed(out: Tensor, table: Weight): void {
    this.#recorder.add({ op: "embed", out: idOf(out), table: idOf(table) });
  }
  normQuantize(out: Quantized, x: Tensor, weight: Weight, eps: number): void {
    this.#recorder.add({ op: "normQuantize", out: idOf(out), x: idOf(x), weight: idOf(weight), eps });
  }
  quantize(out: Quantized, x: Tensor): void {
    this.#recorder.add({ op: "quantize", out: idOf(out), x: idOf(x) });
  }
  ternary(projections: readonly Projection[], x: Quantized): void {
    this.#recorder.add({ op: "ternary", x: idOf(x), projections: projections.map(idsOf) });
  }
  linear(projections: readonly Projection[], x: Tensor): void {
    this.#recorder.add({ op: "linear", x: idOf(x), projections: projections.map(idsOf) });
  }
  normHeads(x: Tensor, weight: Weight, eps: number): void {
    this.#recorder.add({ op: "normHeads", x: idOf(x), weight: idOf(weight), eps });
  }
  ropeStore(cache: Cache, layer: number, { q, k, v }: { q: Tensor; k: Tensor; v: Tensor }): void {
    placedOf(cache).check(this.#batch);
    this.#recorder.add({ op: "ropeStore", cache: idOf(cache), layer, q: idOf(q), k: idOf(k), v: idOf(v) });
  }
  attend(out: Tensor, q: Tensor, cache: Cache, layer: number): void {
    placedOf(cache).check(this.#batch);
    this.#recorder.add({ op: "attend", out: idOf(out), q: idOf(q), cache: idOf(cache), layer });
  }
  gate(out: Tensor, gate: Tensor, up: Tensor, activation: Activation): void {
    this.#recorder.add({ op: "gate", out: idOf(out), gate: idOf(gate), up: idOf(up), activation });
  }
  normOutputs(out: Tensor, x: Tensor, weight: Weight, eps: number): void {
    this.#recorder.add({ op: "normOutputs", out: idOf(out), x: idOf(x), weight: idOf(weight), eps });
  }
  logits(out: Tensor, head: Weight, x: Tensor): void {
    this.#recorder.add({ op: "logits", out: idOf(out), table: idOf(head), x: idOf(x) });
  }
  best(head: Head, x: Tensor, count: number): void {
    rankedBy(head, this.#batch, count);
    const masked = masksOf(this.#batch, head.weight.rows) !== undefined;
    this.#bestCount = Math.min(count, head.weight.rows);
    this.#recorder.add({ op: "best", head: idOf(head), x: idOf(x), count, masked });
  }
  sample(head: Head): void {
    const { slots, outputs } = this.#batch;
    for (const [j, draw] of drawsOf(this.#batch, head.maxBest).entries()) {
      if (draw !== undefined) this.#sampledSlots.add(slots[outputs[j]]);
    }
    this.#recorder.add({ op: "sample", head: idOf(head) });
  }

  mark(name: string, tensor: Tensor, rows: MarkRows = "all"): void {
    if (this.#tracer === undefined) return;
    this.#marks.push({ name, rows: markedRows(this.#batch, rows), width: tensor.width });
    this.#recorder.add({ op: "mark", tensor: idOf(tensor), rows });
  }
  setTracer(tracer: Tracer | undefined): void {
    this.#tracer = tracer;
  }

  async run(): Promise<Int32Array> {
    const { number: record, fresh: words } = this.#records.numberOf(this.#recorder.take());
    const [marks, tracer] = [this.#marks, this.#tracer];
    this.#marks = [];
    const running = this.#channel.ask("run", { record, ...(words !== undefined && { words }), batch: this.#batch });
    const count = this.#bestCount;
    this.#best = running.then(
      ({ best }) => best && { bytes: best, count },
      () => undefined,
    );
    const { ids, traces, times, host } = await running;
    const own: OpTime = { op: "host", place: "host", calls: host.dispatches, ms: host.ms };
    for (const time of [...times, own]) this.#times.set(time.op, addTimes(this.#times.get(time.op), time));
    for (const [i, { name, rows, width }] of marks.entries()) tracer?.(name, traces[i], rows, width);
    return ids;
  }

  write(tensor: Tensor, data: Float32Array): void {
    const { maxRows, width } = tensor;
    if (data.length > maxRows * width) {
      throw new RangeError(`write: expected at most ${maxRows} x ${width} values, got ${data.length}`);
    }
    this.#channel.post("write", { tensor: idOf(tensor), data: data.slice() });
  }
  async read(tensor: Tensor, first: number, count: number): Promise<Float32Array> {
    if (count === 0) return new Float32Array();
    return this.#channel.ask("read", { tensor: idOf(tensor), first, count });
  }
  async readBest(_head: Head, row: number): Promise<Best> {
    const best = await this.#best;
    if (best === undefined) throw new TypeError("readBest: the last run found no best ids");
    const { bytes, count } = best;
    const ids = new Int32Array(bytes, 8 * count * row, count);
    const logits = new Float32Array(bytes, 8 * count * row + 4 * count, count);
    const isId = (_: number, i: number) => ids[i] >= 0; // a mask may leave fewer
    return { ids: ids.filter(isId), logits: logits.filter(isId) };
  }
  readQuantized(x: Quantized, first: number, count: number): Promise<{ values: Int8Array; scales: Float32Array }> {
    return this.#channel.ask("readQuantized", { id: idOf(x), first, count });
  }

  takeProfile(): OpTime[] {
    const { copyRate } = this.#opened;
    const profile = [...this.#times.values()].map((time): OpTime => {
      if (!time.bytes || copyRate === undefined) return time;
      return { ...time, shareOfCopy: (1000 * time.bytes) / time.ms / copyRate };
    });
    this.#times.clear();
    return profile;
  }

  /** Ends the device as a fault of its driver would. */
  destroyDevice(): void {
    this.#channel.post("destroy", undefined);
  }

  close(): Promise<void> {
    return this.#channel.close();
  }
}

const none = new Int32Array();

/** The handles of this backend carry their numbers. */
const idOf = (handle: Tensor | Quantized | Weight | Cache | Head): number => (handle as unknown as Handle).id;
const placedOf = (cache: Cache): BlockTable => (cache as GpuCache).placed;
const idsOf = ({ weight, out, addTo }: Projection) => ({
  weight: idOf(weight),
  out: idOf(out),
  addTo: addTo === undefined ? NONE : idOf(addTo),
});
