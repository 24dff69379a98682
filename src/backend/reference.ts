/**
 * The oracle: every op as the plain loop of its formula, in float64, on one thread. Slow and obviously right; the other
 * backends are held to it. Weights are decoded whole, so it is for small models and single layers.
 */

import type { DecodedWeight } from "../formats/decode.js";
import { readWeight } from "../formats/read.js";
import { KNOWN_TYPES } from "../formats/table.js";
import { drawsOf, Sampled } from "../sampling/draw.js";
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
  type Tensor,
  type Tracer,
  type Weight,
  type WeightSource,
} from "./backend.js";
import { checkQuantizedWidth, copyBatch, isAllowed, markedRows, masksOf, rankedOf, wholeOf } from "./batch.js";
import { BlockTable } from "./blocks.js";
import { ACTIVATIONS, attendHead, dot, rmsNorm, rotateHeads, roundHalfEven, scaledDot } from "./formulas.js";

class ReferenceTensor implements Tensor {
  readonly data: Float64Array;
  constructor(
    readonly maxRows: number,
    readonly width: number,
  ) {
    this.data = new Float64Array(maxRows * width);
  }
  row(index: number): Float64Array {
    return this.data.subarray(index * this.width, (index + 1) * this.width);
  }
}

class ReferenceQuantized implements Quantized {
  readonly normed: ReferenceTensor;
  readonly values: Int8Array; // (maxRows, width)
  readonly scales: Float64Array; // (maxRows) max|y| / 127
  constructor(
    maxRows: number,
    readonly width: number,
  ) {
    this.normed = new ReferenceTensor(maxRows, width);
    this.values = new Int8Array(maxRows * width);
    this.scales = new Float64Array(maxRows);
  }
}

/** Positions of one block of the cache. */
const BLOCK_POSITIONS = 32;

class ReferenceCache implements Cache {
  readonly blockPositions = BLOCK_POSITIONS;
  readonly placed: BlockTable;
  readonly #keys = new Map<number, Float64Array>();
  readonly #values = new Map<number, Float64Array>();
  constructor(readonly shape: CacheShape) {
    this.placed = new BlockTable(shape, BLOCK_POSITIONS);
  }
  get blocks(): number {
    return this.placed.blocks;
  }
  /** (headDim) the key, or the value, of one head at one position; allocated when first touched */
  head(part: "key" | "value", at: { layer: number; slot: number; position: number; head: number }): Float64Array {
    const { kvHeads, headDim } = this.shape;
    const map = part === "key" ? this.#keys : this.#values;
    const index = this.#blockAt(at.layer, this.placed.blockOf(at.slot, at.position));
    const own = index + (at.position % BLOCK_POSITIONS) * kvHeads + at.head;
    const found = map.get(own) ?? new Float64Array(headDim);
    map.set(own, found);
    return found;
  }
  copyBlock(from: number, to: number): void {
    for (const block of [from, to]) this.placed.checkBlock("copyBlock", block);
    for (let layer = 0; layer < this.shape.layers; layer++) {
      for (const map of [this.#keys, this.#values]) {
        for (let i = 0; i < BLOCK_POSITIONS * this.shape.kvHeads; i++) {
          const head = map.get(this.#blockAt(layer, from) + i);
          if (head !== undefined) map.set(this.#blockAt(layer, to) + i, head.slice());
        }
      }
    }
  }
  /** index of the first head of a block */
  #blockAt(layer: number, block: number): number {
    return (layer * this.blocks + block) * BLOCK_POSITIONS * this.shape.kvHeads;
  }
}

export class ReferenceBackend implements Backend {
  readonly kind = "reference";
  readonly description = "plain TypeScript, float64, 1 thread";
  readonly runsAhead = 1;
  readonly blockPositions = BLOCK_POSITIONS;
  readonly takes = KNOWN_TYPES;
  readonly features = FEATURES;
  memoryBytes = 0;
  #record: (() => void)[] = [];
  #batch: Batch = {
    tokens: new Int32Array(),
    slots: new Int32Array(),
    positions: new Int32Array(),
    outputs: new Int32Array(),
  };
  #tracer: Tracer | undefined;
  #best: Best[] = [];
  readonly #sampled = new Sampled();
  #chosen: Int32Array = new Int32Array(); // by `sample` in this run

  async load(sources: readonly WeightSource[], { onProgress, signal }: LoadOptions = {}): Promise<Weight[]> {
    const total = sources.reduce((sum, source) => sum + source.byteLength, 0);
    let loaded = 0;
    const weights: Weight[] = [];
    for (const source of sources) {
      signal?.throwIfAborted();
      weights.push(await readWeight(source));
      loaded += source.byteLength;
      onProgress?.(loaded, total);
    }
    this.memoryBytes += total;
    return weights;
  }

  tensor(maxRows: number, width: number): Tensor {
    return new ReferenceTensor(maxRows, width);
  }
  quantized(maxRows: number, width: number): Quantized {
    checkQuantizedWidth(width);
    return new ReferenceQuantized(maxRows, width);
  }
  cache(shape: CacheShape): Cache {
    return new ReferenceCache(shape);
  }
  positionBytes({ layers, kvHeads, headDim }: PositionShape): number {
    return 2 * layers * kvHeads * headDim * Float64Array.BYTES_PER_ELEMENT;
  }
  place(cache: Cache, slot: number, blocks: Int32Array): void {
    cacheOf(cache).placed.place(slot, blocks);
  }
  copyBlock(cache: Cache, from: number, to: number): void {
    cacheOf(cache).copyBlock(from, to);
  }

  begin(batch: Batch): void {
    this.#batch = copyBatch(batch);
  }

  embed(out: Tensor, table: Weight): void {
    const batch = this.#batch;
    this.#op(() => {
      this.#sampled.fill(batch).forEach((token, row) => {
        tensorOf(out).row(row).set(denseRow(table, token));
      });
    });
  }

  normQuantize(out: Quantized, x: Tensor, weight: Weight, eps: number): void {
    this.#rowOp((row) => {
      const { normed } = out as ReferenceQuantized;
      rmsNorm(normed.row(row), tensorOf(x).row(row), denseRow(weight, 0), eps);
      quantizeRow(out as ReferenceQuantized, row);
    });
  }

  quantize(out: Quantized, x: Tensor): void {
    this.#rowOp((row) => {
      const { normed } = out as ReferenceQuantized;
      normed.row(row).set(tensorOf(x).row(row));
      quantizeRow(out as ReferenceQuantized, row);
    });
  }

  ternary(projections: readonly Projection[], x: Quantized): void {
    this.#rowOp((row) => {
      for (const projection of projections) bitLinearRow(projection, x as ReferenceQuantized, row);
    });
  }

  linear(projections: readonly Projection[], x: Tensor): void {
    this.#rowOp((row) => {
      for (const projection of projections) linearRow(projection, tensorOf(x), row);
    });
  }

  normHeads(x: Tensor, weight: Weight, eps: number): void {
    this.#rowOp((row) => {
      const values = tensorOf(x).row(row);
      for (let start = 0; start < values.length; start += weight.columns) {
        const head = values.subarray(start, start + weight.columns);
        rmsNorm(head, head, denseRow(weight, 0), eps);
      }
    });
  }

  ropeStore(cache: Cache, layer: number, qkv: { q: Tensor; k: Tensor; v: Tensor }): void {
    cacheOf(cache).placed.check(this.#batch);
    const { slots, positions } = this.#batch;
    const { kvHeads, headDim } = cache.shape;
    this.#op(() => {
      positions.forEach((position, row) => {
        rotateHeads(tensorOf(qkv.q).row(row), headDim, position, cache.shape);
        const k = tensorOf(qkv.k).row(row);
        rotateHeads(k, headDim, position, cache.shape);
        const v = tensorOf(qkv.v).row(row);
        for (let head = 0; head < kvHeads; head++) {
          const at = { layer, slot: slots[row], position, head };
          cacheOf(cache)
            .head("key", at)
            .set(k.subarray(head * headDim, (head + 1) * headDim));
          cacheOf(cache)
            .head("value", at)
            .set(v.subarray(head * headDim, (head + 1) * headDim));
        }
      });
    });
  }

  attend(out: Tensor, q: Tensor, cache: Cache, layer: number): void {
    cacheOf(cache).placed.check(this.#batch);
    const { slots, positions } = this.#batch;
    const { kvHeads, headDim } = cache.shape;
    const heads = q.width / headDim;
    this.#op(() => {
      positions.forEach((position, row) => {
        for (let h = 0; h < heads; h++) {
          const slice = [h * headDim, (h + 1) * headDim] as const;
          const part = (kind: "key" | "value") =>
            Array.from({ length: position + 1 }, (_, past) => {
              const head = Math.floor(h / (heads / kvHeads));
              return cacheOf(cache).head(kind, { layer, slot: slots[row], position: past, head });
            });
          const query = tensorOf(q)
            .row(row)
            .subarray(...slice);
          attendHead(
            tensorOf(out)
              .row(row)
              .subarray(...slice),
            query,
            part("key"),
            part("value"),
          );
        }
      });
    });
  }

  gate(out: Tensor, gate: Tensor, up: Tensor, activation: Activation): void {
    const rows = this.#rows;
    const activate = ACTIVATIONS[activation];
    this.#op(() => {
      for (let i = 0; i < rows * out.width; i++) {
        tensorOf(out).data[i] = activate(tensorOf(gate).data[i]) * tensorOf(up).data[i];
      }
    });
  }

  normOutputs(out: Tensor, x: Tensor, weight: Weight, eps: number): void {
    const { outputs } = this.#batch;
    this.#op(() => {
      outputs.forEach((row, j) => {
        rmsNorm(tensorOf(out).row(j), tensorOf(x).row(row), denseRow(weight, 0), eps);
      });
    });
  }

  logits(out: Tensor, head: Weight, x: Tensor): void {
    const { first, count } = wholeOf(this.#batch);
    this.#op(() => {
      for (let j = 0; j < count; j++) logitsOf(tensorOf(out).row(j), head, tensorOf(x).row(first + j));
    });
  }

  async head(weight: Weight, maxRows: number, maxBest: number, kind: HeadKind = "exact"): Promise<Head> {
    return { weight, kind, maxRows, maxBest };
  }

  best(head: Head, x: Tensor, count: number): void {
    const rows = rankedOf(this.#batch);
    const { weight } = head;
    const masks = masksOf(this.#batch, weight.rows) ?? [];
    this.#op(() => {
      this.#best = Array.from({ length: rows }, (_, j) => {
        const logits = logitsOf(new Float64Array(weight.rows), weight, tensorOf(x).row(j));
        return bestOf(Float32Array.from(logits), count, masks[j]);
      });
    });
  }
  async readBest(_head: Head, row: number): Promise<Best> {
    return this.#best[row];
  }
  sample(head: Head): void {
    const batch = this.#batch;
    const draws = drawsOf(batch, head.maxBest);
    this.#op(() => {
      this.#chosen = this.#sampled.draw(batch, draws, (row) => this.#best[row]);
    });
  }

  mark(name: string, tensor: Tensor, rows: MarkRows = "all"): void {
    const tracer = this.#tracer;
    if (tracer === undefined) return;
    const count = markedRows(this.#batch, rows);
    const { width } = tensor;
    this.#op(() => tracer(name, Float32Array.from(tensorOf(tensor).data.subarray(0, count * width)), count, width));
  }
  setTracer(tracer: Tracer | undefined): void {
    this.#tracer = tracer;
  }

  async run(): Promise<Int32Array> {
    const record = this.#record;
    this.#record = [];
    this.#chosen = new Int32Array();
    for (const op of record) op();
    return this.#chosen;
  }

  write(tensor: Tensor, data: Float32Array): void {
    tensorOf(tensor).data.set(data);
  }
  async read(tensor: Tensor, first: number, count: number): Promise<Float32Array> {
    const { data, width } = tensorOf(tensor);
    return Float32Array.from(data.subarray(first * width, (first + count) * width));
  }
  async readQuantized(x: Quantized, first: number, count: number) {
    const { values, scales, width } = x as ReferenceQuantized;
    return {
      values: values.slice(first * width, (first + count) * width),
      scales: Float32Array.from(scales.subarray(first, first + count)),
    };
  }

  takeProfile(): OpTime[] {
    return [];
  }
  async close(): Promise<void> {}

  get #rows(): number {
    return this.#batch.tokens.length;
  }
  #op(execute: () => void): void {
    this.#record.push(execute);
  }
  /** An op that computes each row by itself. */
  #rowOp(execute: (row: number) => void): void {
    const rows = this.#rows;
    this.#op(() => {
      for (let row = 0; row < rows; row++) execute(row);
    });
  }
}

const tensorOf = (tensor: Tensor) => tensor as ReferenceTensor;
const cacheOf = (cache: Cache) => cache as ReferenceCache;

function denseRow(weight: Weight, row: number): Float32Array {
  const { dense, columns } = weight as DecodedWeight;
  if (dense === undefined) throw new TypeError(`${weight.name}: expected a dense weight, got a ternary one`);
  return dense.subarray(row * columns, (row + 1) * columns);
}

/** Fills a row of logits. */
function logitsOf(row: Float64Array, head: Weight, x: Float64Array): Float64Array {
  for (let token = 0; token < head.rows; token++) row[token] = dot(denseRow(head, token), x);
  return row;
}

/** NaN ranks first, so that it is not lost. */
function bestOf(logits: Float32Array, count: number, mask: Uint32Array | undefined): Best {
  const rank = logits.map((logit) => (Number.isNaN(logit) ? Number.POSITIVE_INFINITY : logit));
  const allowed = Int32Array.from(logits.keys()).filter((id) => isAllowed(mask, id));
  const ids = allowed.sort((a, b) => rank[b] - rank[a] || a - b);
  const best = ids.slice(0, count).sort();
  return { ids: best, logits: Float32Array.from(best, (id) => logits[id]) };
}

/** Rounds row `row` of `normed` to int8 by its absmax. */
function quantizeRow({ normed, values, scales, width }: ReferenceQuantized, row: number): void {
  const y = normed.row(row);
  const absmax = y.reduce((max, value) => Math.max(max, Math.abs(value)), 1e-5);
  scales[row] = absmax / 127;
  for (let i = 0; i < width; i++) {
    values[row * width + i] = Math.min(127, Math.max(-128, roundHalfEven(y[i] * (127 / absmax))));
  }
}

function bitLinearRow({ weight, out, addTo }: Projection, x: ReferenceQuantized, row: number): void {
  const { ternary, rows, columns, name, factor } = weight as DecodedWeight;
  if (ternary === undefined) throw new TypeError(`${name}: expected a ternary weight, got a dense one`);
  const input = x.values.subarray(row * columns, (row + 1) * columns);
  for (let r = 0; r < rows; r++) {
    put({ out, addTo }, row, r, scaledDot(ternary, r * columns, input) * x.scales[row] * factor);
  }
}

function linearRow({ weight, out, addTo }: Projection, x: ReferenceTensor, row: number): void {
  const { rows, factor } = weight as DecodedWeight;
  for (let r = 0; r < rows; r++) put({ out, addTo }, row, r, dot(denseRow(weight, r), x.row(row)) * factor);
}

function put({ out, addTo }: Pick<Projection, "out" | "addTo">, row: number, column: number, value: number): void {
  tensorOf(out).row(row)[column] = value;
  if (addTo !== undefined) tensorOf(addTo).row(row)[column] += value;
}
