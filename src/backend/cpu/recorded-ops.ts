/**
 * The ops of the contract as commands: each method records one, with an estimate of its work. Nothing is computed here; the
 * backend that this is the base of hands the record to its threads.
 */
import type { Activation, Batch, Cache, Head, Projection, Quantized, Tensor, Weight } from "../backend.js";
import { copyBatch, masksOf, rankedBy, wholeOf } from "../batch.js";
import type { Values } from "../record.js";
import type { Arena } from "./arena.js";
import type { CpuCache } from "./cache.js";
import { type Arguments, type Fixed, isPacked, type OpName, RECORD_WORDS } from "./commands.js";
import { addressOf, type CpuHead, type CpuQuantized, type CpuWeight, denseOf } from "./handles.js";
import { writeMasks } from "./masks.js";
import { Recorder } from "./recorder.js";
import {
  CHUNK,
  FIXED_BLOCK,
  factorStride,
  GROUP,
  PACKED_ROWS,
  partialFloats,
  SPLIT_UNITS,
  scoreBytes,
  TILE_PARTIALS,
  TILED_ROWS,
} from "./sizes.js";
import { NS, type Work } from "./work.js";

/** Each thread's scores, and partial results for whole units and for split ones, see attention.ts; by the shape of heads. */
interface AttentionScratch {
  readonly scores: number;
  readonly tile: number;
  readonly split: number;
  readonly unitBytes: number;
}

export abstract class RecordedOps {
  /** address of the record */
  protected readonly record: number;
  protected readonly recorder: Recorder;
  /** the present one, a copy */
  protected batch: Batch = { tokens: none, slots: none, positions: none, outputs: none };
  /** ids of a row that the last `best` finds */
  protected bestCount = 0;
  /** for each thread, `bytes` for the ternary kernels (see ternary.ts) or one decoded row of the head */
  protected scratch = { address: 0, bytes: 0 };
  /** room for the input of packed weights: integers, factors */
  protected fixed = { values: 0, factors: 0 };
  #longest = 0; // last position of the batch
  #positions = 0; // that its rows look at, in all
  readonly #attention = new Map<string, AttentionScratch>();

  constructor(
    protected readonly arena: Arena,
    protected readonly threads: number,
  ) {
    this.record = arena.allocate(4 * RECORD_WORDS, "command record");
    this.recorder = new Recorder(arena, this.record / 4);
  }

  protected abstract get closed(): boolean;

  /** `present` threads take part in the batch, which has at most `maxRows` rows. */
  protected beginOps(batch: Batch, maxRows: number, present: number): void {
    const { tokens, positions } = batch;
    this.batch = copyBatch(batch, maxRows);
    this.recorder.begin(tokens.length, present);
    this.#longest = positions.reduce((most, position) => Math.max(most, position), 0);
    this.#positions = positions.reduce((sum, position) => sum + position + 1, 0);
  }

  get #rows(): number {
    return this.batch.tokens.length;
  }
  get #outputs(): number {
    return this.batch.outputs.length;
  }

  embed(out: Tensor, table: Weight): void {
    const work = { ns: NS.copy * this.#rows * out.width, units: this.#rows };
    this.emit("embed", work, { out: addressOf(out), table: denseOf(table) });
  }

  normQuantize(out: Quantized, x: Tensor, weight: Weight, eps: number): void {
    const { normed, values, scales, sums, width } = out as CpuQuantized;
    const work = { ns: NS.norm * this.#rows * width, units: this.#rows };
    this.emit("normQuantize", work, {
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

  quantize(out: Quantized, x: Tensor): void {
    const { normed, values, scales, sums, width } = out as CpuQuantized;
    const work = { ns: NS.norm * this.#rows * width, units: this.#rows };
    this.emit("quantize", work, { x: addressOf(x), normed: normed.address, values, scales, sums, width });
  }

  normHeads(x: Tensor, weight: Weight, eps: number): void {
    const { width } = x;
    const headDim = weight.columns;
    if (headDim % 16 !== 0) throw new RangeError(`normHeads: expected heads of a multiple of 16, got ${headDim}`);
    const work = { ns: NS.norm * this.#rows * width, units: this.#rows };
    this.emit("normHeads", work, { x: addressOf(x), weight: denseOf(weight).address, width, headDim, eps });
  }

  linear(projections: readonly Projection[], x: Tensor): void {
    const { width } = x;
    const matrices = projections.map(({ weight, out, addTo }) => {
      const sum = addTo === undefined ? 0 : addressOf(addTo);
      return { table: denseOf(weight), out: addressOf(out), addTo: sum, factor: (weight as CpuWeight).scale };
    });
    const outputs = projections.reduce((sum, { weight }) => sum + weight.rows, 0);
    const units = Math.ceil(Math.max(...projections.map(({ weight }) => weight.rows)) / PACKED_ROWS);
    const packed = matrices.some(({ table }) => isPacked(table.type));
    const fixed = this.#fixedPoint(packed, addressOf(x), this.#rows, width);
    const ns = packed ? NS.packed : NS.logits;
    const work = { ns: ns * this.#rows * outputs * width, units };
    this.emit("linear", work, { x: addressOf(x), fixed, scratch: this.scratch, matrices });
  }

  /** Brings rows to fixed point, where the next op wants it; where they will be. */
  #fixedPoint(wanted: boolean, x: number, rows: number, width: number): Values<Fixed> {
    if (!wanted) return NO_FIXED;
    const fixed = { values: this.fixed.values, factors: this.fixed.factors, stride: factorStride(rows) };
    const work = { ns: NS.fixedPoint * rows * width, units: rows * Math.ceil(width / FIXED_BLOCK) };
    this.emit("fixedPoint", work, { x, rows, width, fixed });
    return fixed;
  }

  ternary(projections: readonly Projection[], x: Quantized): void {
    const { values, scales, sums, width } = x as CpuQuantized;
    const matrices = projections.map(({ weight, out, addTo }) => {
      const { address, rows, scale, scales: ofBlocks } = weight as CpuWeight;
      const sum = addTo === undefined ? 0 : addressOf(addTo);
      return { weight: address, rows, out: addressOf(out), addTo: sum, scale, scales: ofBlocks };
    });
    const outputs = projections.reduce((sum, { weight }) => sum + weight.rows, 0);
    const tiled = this.#rows >= TILED_ROWS;
    const work = {
      ns: (tiled ? NS.tiled : NS.ternary) * this.#rows * outputs * width,
      units: Math.ceil(Math.max(...projections.map(({ weight }) => weight.rows)) / GROUP),
    };
    this.emit("ternary", work, { values, scales, sums, width, scratch: this.scratch, matrices });
  }

  ropeStore(cache: Cache, layer: number, { q, k, v }: { q: Tensor; k: Tensor; v: Tensor }): void {
    const heads = q.width / cache.shape.headDim;
    const { angles } = cache as CpuCache;
    const { kvHeads, headDim } = cache.shape;
    const work = { ns: NS.rope * this.#rows * (heads + 2 * kvHeads) * headDim, units: this.#rows * kvHeads };
    this.emit("ropeStore", work, {
      cache: this.#layerOf(cache, layer),
      q: addressOf(q),
      k: addressOf(k),
      v: addressOf(v),
      heads,
      angles,
      adjacent: cache.shape.ropePairs === "adjacent",
    });
  }

  attend(out: Tensor, q: Tensor, cache: Cache, layer: number): void {
    const { kvHeads, headDim } = cache.shape;
    const heads = q.width / headDim;
    const scratch = this.#attentionScratch(heads / kvHeads, cache as CpuCache);
    const all = { cache: this.#layerOf(cache, layer), q: addressOf(q), out: addressOf(out), heads, scratch };
    const units = this.#rows * kvHeads;
    const manyUnits = units >= SPLIT_UNITS * this.threads;
    const ns = NS.attend * this.#positions * q.width + NS.attendHead * this.#rows * heads;
    if (manyUnits || this.#longest < CHUNK) {
      this.emit("attend", { ns, units }, all);
    } else {
      this.emit("attendSplit", { ns, units: units * Math.ceil((this.#longest + 1) / CHUNK) }, all);
      this.emit("combine", { ns: NS.copy * this.#rows * q.width, units }, all);
    }
  }

  gate(out: Tensor, gate: Tensor, up: Tensor, activation: Activation): void {
    const count = this.#rows * out.width;
    const work = { ns: NS.gate * count, units: Math.ceil(count / 16) };
    this.emit("gate", work, {
      gate: addressOf(gate),
      up: addressOf(up),
      out: addressOf(out),
      width: out.width,
      activation,
    });
  }

  normOutputs(out: Tensor, x: Tensor, weight: Weight, eps: number): void {
    const work = { ns: NS.norm * this.#outputs * out.width, units: this.#outputs };
    this.emit("normOutputs", work, {
      x: addressOf(x),
      weight: denseOf(weight).address,
      out: addressOf(out),
      width: out.width,
      eps,
    });
  }

  logits(out: Tensor, head: Weight, x: Tensor): void {
    const { first, count: rows } = wholeOf(this.batch);
    const from = addressOf(x) + 4 * first * x.width;
    const table = denseOf(head);
    const packed = isPacked(table.type);
    const fixed = this.#fixedPoint(packed, from, rows, x.width);
    const ns = (packed ? NS.packed : NS.logits) * rows * head.rows * x.width;
    this.emit(
      "logits",
      { ns, units: Math.ceil(head.rows / PACKED_ROWS) },
      {
        x: from,
        rows,
        table,
        out: addressOf(out),
        fixed,
        scratch: this.scratch,
      },
    );
  }

  best(head: Head, x: Tensor, count: number): void {
    const { weight, kind, codes, numbers, scratch, shares, results, maxRows } = head as CpuHead;
    const ranked = rankedBy(head, this.batch, count);
    this.bestCount = count;
    const table = denseOf(weight);
    const fixed = this.#fixedPoint(isPacked(table.type), addressOf(x), ranked, weight.columns);
    const ns = NS.scan * ranked * weight.rows * weight.columns;
    const work = { ns, units: shares, exactly: shares };
    this.emit("best", work, {
      x: addressOf(x),
      ranked,
      fixed,
      masks: this.#masks(head as CpuHead),
      table,
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
    const masks = masksOf(this.batch, weight.rows);
    if (masks === undefined) return 0;
    writeMasks(this.arena.i32, { address, maxRows, vocabulary: weight.rows }, masks);
    return address;
  }

  /** A spread in the literals that go here costs 3 to 6 us, a hundred times the command (Node.js 20). */
  protected emit<N extends OpName>(op: N, work: Work, args: Arguments<N>): void {
    if (!this.closed) this.recorder.write(op, work, args); // where it is closed, run() says so
  }

  #layerOf(cache: Cache, layer: number) {
    const { placed, layers } = cache as CpuCache;
    placed.check(this.batch);
    return layers[layer];
  }

  /** Made once for caches and heads of one shape. */
  #attentionScratch(group: number, { placed, shape: { headDim } }: CpuCache): AttentionScratch {
    const { slotBlocks } = placed;
    const key = `${group} ${headDim} ${slotBlocks}`;
    const known = this.#attention.get(key);
    if (known !== undefined) return known;
    const { threads } = this;
    const chunkBytes = 4 * group * partialFloats(headDim);
    const unitBytes = slotBlocks * chunkBytes;
    const scores = this.arena.allocate(threads * scoreBytes(group, headDim), "attention scores");
    const tile = this.arena.allocate(threads * TILE_PARTIALS * chunkBytes, "attention partials");
    const split = this.arena.allocate(threads * SPLIT_UNITS * unitBytes, "attention partials");
    const made = { scores, tile, split, unitBytes };
    this.#attention.set(key, made);
    return made;
  }
}

const none = new Int32Array();
const NO_FIXED: Values<Fixed> = { values: 0, factors: 0, stride: 0 };
