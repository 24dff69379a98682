/**
 * From ops to dispatches: which kernels compute a record for a batch of a given shape. Neighbouring ops are joined where a
 * kernel does both, unless a mark stands between them.
 */
import { maskWords } from "../../batch.js";
import type { Call, Window } from "../device/kernel.js";
import { type Attention, attend, attendSplit, CHUNK, chunksOf, isChunked, partialBytes } from "../kernels/attend.js";
import { best, bestScratchBytes } from "../kernels/best.js";
import { embed } from "../kernels/embed.js";
import { gate } from "../kernels/gate.js";
import { linear } from "../kernels/linear.js";
import { logits } from "../kernels/logits.js";
import { normHeads } from "../kernels/norm-heads.js";
import { normOutputs } from "../kernels/norm-outputs.js";
import { gateNormQuantize, normQuantize } from "../kernels/norm-quantize.js";
import { quantize } from "../kernels/quantize.js";
import { ropeStore } from "../kernels/rope-store.js";
import { DRAW_WORDS, sample } from "../kernels/sample.js";
import { ternary } from "../kernels/ternary.js";
import { type Attend, type Gate, NONE, type NormQuantize, type Op, type Ternary } from "../record.js";
import type { Memory } from "./memory.js";
import { partOf } from "./memory.js";
import { joinRow } from "./plan-row.js";

/** Ranked rows whose logits `best` holds at a time. */
export const HEAD_ROWS = 32;

/** Matrices of one `ternary` call. */
const MOST_PROJECTIONS = 3;

/** Chunks of attention that every workgroup of the matrix after them merges for itself; more have a dispatch of their own. */
const MOST_MERGED = 8;

/** What a plan depends on beside its ops. */
export interface BatchShape {
  readonly rows: number;
  readonly outputs: number;
  /** outputs that `best` ranks; the first of those whose whole logits are computed, and how many they are */
  readonly ranked: number;
  readonly whole: { readonly first: number; readonly count: number };
  /** the largest position, taken up as `longestOf` does */
  readonly longest: number;
}

/** The batch's arrays on the device, i32. */
export interface BatchWindows {
  readonly tokens: Window;
  readonly slots: Window;
  readonly positions: Window;
  readonly outputs: Window;
  /** how `sample` chooses, see kernels/sample.ts */
  readonly draws: Window;
  /** ids that `sample` chose, one for each ranked row */
  readonly ids: Window;
  /** the last id that `sample` chose for each slot */
  readonly sampled: Window;
}

export type Step =
  | { readonly kind: "call"; readonly call: Call }
  | { readonly kind: "copy"; readonly from: Window; readonly to: Window }
  | { readonly kind: "mark"; readonly from: Window };

/**
 * Of positions only the number of their chunks of attention counts, and their number is taken up to a power of two, so that a plan serves
 * many tokens.
 */
export function longestOf(positions: Int32Array): number {
  const longest = positions.reduce((a, b) => Math.max(a, b), 0);
  return 2 ** Math.ceil(Math.log2(chunksOf(longest))) * CHUNK - 1;
}

export class Planner {
  #partials: Window | undefined;
  #alias: Window | undefined;

  constructor(
    readonly memory: Memory,
    readonly batch: BatchWindows,
    readonly options: { readonly maxRows: number; readonly joinRows: boolean },
  ) {}

  async steps(ops: readonly Op[], shape: BatchShape): Promise<Step[]> {
    const steps: Step[] = [];
    for (let i = 0; i < ops.length; i++) {
      const [op, next] = [ops[i], ops[i + 1]];
      const row = await this.#joined(ops, i, shape);
      if (row !== undefined) {
        steps.push(...calls(row.calls));
        i += row.count - 1;
      } else if (op.op === "gate" && next?.op === "normQuantize" && next.x === op.out && op.up !== op.out) {
        steps.push(...calls([this.#gateNorm(op, next, shape)]));
        i++;
      } else {
        steps.push(...(await this.#stepsOf(op, shape)));
      }
    }
    return steps;
  }

  /** The calls of several ops of a single row, from ops[i] on; undefined where none can be joined. */
  async #joined(
    ops: readonly Op[],
    i: number,
    shape: BatchShape,
  ): Promise<{ calls: readonly Call[]; count: number } | undefined> {
    const { memory, batch } = this;
    if (!this.options.joinRows || shape.rows > 1) return undefined;
    const [op, next] = [ops[i], ops[i + 1]];
    if (op.op !== "attend") {
      const row = joinRow(memory, ops, i, { batch });
      return row && { calls: [row.call], count: row.count };
    }
    const attention = await this.#attention(op, shape);
    const { longest, partials, positions, out: context, cache } = attention;
    const chunks = chunksOf(longest);
    const follows = next?.op === "normQuantize" && next.x === op.out;
    if (!follows || !isChunked(1, longest) || chunks > MOST_MERGED) return undefined;
    const { headDim } = cache;
    const row = joinRow(memory, ops, i + 1, { batch, partials: { partials, positions, context, chunks, headDim } });
    return row && { calls: [attendSplit(attention), row.call], count: row.count + 1 };
  }

  async #stepsOf(op: Op, shape: BatchShape): Promise<Step[]> {
    const { memory, batch } = this;
    const { rows, outputs, ranked, whole } = shape;
    const window = (id: number) => memory.tensor(id).window;
    switch (op.op) {
      case "embed": {
        const { tokens, slots, sampled } = batch;
        const table = memory.tableOf(op.table);
        return calls(embed({ table, tokens, slots, sampled, out: window(op.out), rows }));
      }
      case "normQuantize": {
        const out = memory.quantizedOf(op.out);
        const weight = memory.normOf(op.weight);
        return calls([normQuantize({ x: window(op.x), weight, eps: op.eps, width: out.width, rows, out })]);
      }
      case "quantize": {
        const out = memory.quantizedOf(op.out);
        return calls([quantize({ x: window(op.x), width: out.width, rows, out })]);
      }
      case "ternary":
        return calls(this.#ternary(op, rows));
      case "linear": {
        const projections = op.projections.map((each) => ({ ...memory.matrixOf(each.weight), ...this.#results(each) }));
        return calls(linear({ projections, rows, x: window(op.x) }));
      }
      case "normHeads": {
        const { width, window: x } = memory.tensor(op.x);
        const headDim = memory.tableOf(op.weight).columns;
        const weight = memory.normOf(op.weight);
        return calls([normHeads({ x, weight, eps: op.eps, headDim, heads: (rows * width) / headDim })]);
      }
      case "ropeStore": {
        const cache = memory.cacheOf(op.cache).layers[op.layer];
        const heads = memory.tensor(op.q).width / cache.headDim;
        const [q, k, v] = [window(op.q), window(op.k), window(op.v)];
        const { slots, positions } = batch;
        return calls([ropeStore({ cache, q, k, v, slots, positions, heads, rows })]);
      }
      case "attend":
        return calls(attend(await this.#attention(op, shape)));
      case "gate":
        return this.#gate(op, rows);
      case "normOutputs": {
        const { width, window: x } = memory.tensor(op.x);
        const weight = memory.normOf(op.weight);
        const out = window(op.out);
        return outputs === 0
          ? []
          : calls([normOutputs({ x, weight, eps: op.eps, width, outputs: batch.outputs, count: outputs, out })]);
      }
      case "logits": {
        const { first: from, count } = whole;
        const args = { table: memory.tableOf(op.table), x: window(op.x), from, count, out: window(op.out) };
        return count === 0 ? [] : calls(logits({ ...args, maxBinding: memory.device.maxWindow }));
      }
      case "best":
        return calls(this.#best(op, ranked));
      case "sample": {
        const { best: found } = memory.headOf(op.head);
        const { draws, slots, outputs, sampled, ids } = batch;
        const all = { best: found, k: this.bestCount, count: ranked, draws, slots, outputs, sampled, ids };
        return ranked === 0 ? [] : calls([sample(all)]);
      }
      case "mark": {
        const tensor = memory.tensor(op.tensor);
        const count = { all: rows, outputs, whole: whole.count }[op.rows];
        return [{ kind: "mark", from: partOf(tensor.window, 0, 4 * count * tensor.width) }];
      }
    }
  }

  /** ids of a row that the record's `best` finds; fewer than asked for where the vocabulary is smaller */
  bestCount = 0;

  #gateNorm(op: Gate, next: NormQuantize, { rows }: BatchShape): Call {
    const { memory } = this;
    const out = memory.quantizedOf(next.out);
    return gateNormQuantize({
      gate: memory.tensor(op.gate).window,
      up: memory.tensor(op.up).window,
      gated: memory.tensor(op.out).window,
      activation: op.activation,
      weight: memory.normOf(next.weight),
      eps: next.eps,
      width: out.width,
      rows,
      out,
    });
  }

  /** Where the results of a projection go. */
  #results({ out, addTo }: Ternary["projections"][number]): { out: Window; addTo?: Window } {
    const { memory } = this;
    return { out: memory.tensor(out).window, ...(addTo !== NONE && { addTo: memory.tensor(addTo).window }) };
  }

  #ternary({ x, projections }: Ternary, rows: number): Call[] {
    const { memory } = this;
    const subgroupMatrices = memory.device.features.has("subgroup matrices");
    const input = memory.quantizedOf(x);
    const all = projections.map((each) => ({ ...memory.ternaryOf(each.weight), ...this.#results(each) }));
    const calls: Call[] = [];
    for (let i = 0; i < all.length; i += MOST_PROJECTIONS) {
      const some = all.slice(i, i + MOST_PROJECTIONS);
      calls.push(...ternary({ projections: some, columns: input.width, rows, x: input, subgroupMatrices }));
    }
    return calls;
  }

  async #attention(op: Attend, { rows, longest }: BatchShape): Promise<Attention> {
    const { memory, batch } = this;
    const { shape, layers } = memory.cacheOf(op.cache);
    const cache = layers[op.layer];
    const q = memory.tensor(op.q);
    const heads = q.width / cache.headDim;
    const bytes = partialBytes({ rows: this.options.maxRows, heads, cache });
    if (this.#partials === undefined || this.#partials.size < bytes) {
      this.#partials = await memory.allocate(bytes, "attention partials");
    }
    return {
      out: memory.tensor(op.out).window,
      q: q.window,
      cache,
      slots: batch.slots,
      positions: batch.positions,
      partials: this.#partials,
      heads,
      rows,
      longest: Math.min(longest, shape.positions - 1),
    };
  }

  /** A buffer may be bound for reading and for writing, but not as both: an `up` that is the result is copied first. */
  async #gate(op: Gate, rows: number): Promise<Step[]> {
    const { memory } = this;
    const { window: out, width } = memory.tensor(op.out);
    const [a, b] = [memory.tensor(op.gate).window, memory.tensor(op.up).window];
    const args = { gate: a, out, activation: op.activation, count: rows * width };
    if (op.up !== op.out) return calls([gate({ ...args, up: b })]);
    const bytes = 4 * rows * width;
    if (this.#alias === undefined || this.#alias.size < bytes) {
      this.#alias = await memory.allocate(bytes, "a copy of gate's input");
    }
    const copy = partOf(this.#alias, 0, bytes);
    const from = partOf(b, 0, bytes);
    return [{ kind: "copy", from, to: copy }, ...calls([gate({ ...args, up: copy })])];
  }

  /** HEAD_ROWS ranked rows at a time: their logits, and the best of them. */
  #best({ head: id, x, count, masked }: Op & { op: "best" }, ranked: number): Call[] {
    const { memory, batch } = this;
    const head = memory.headOf(id);
    const table = memory.tableOf(head.weight);
    const k = Math.min(count, table.rows);
    this.bestCount = k;
    const input = memory.tensor(x);
    const all: Call[] = [];
    for (let first = 0; first < ranked; first += HEAD_ROWS) {
      const rows = Math.min(HEAD_ROWS, ranked - first);
      const part = partOf(input.window, 4 * first * input.width, 4 * rows * input.width);
      const out = partOf(head.best, 8 * first * k, 8 * rows * k);
      const maxBinding = memory.device.maxWindow;
      all.push(...logits({ table, x: part, count: rows, out: head.logits, maxBinding }));
      const { logits: from, scratch, masks } = head;
      const draws = partOf(batch.draws, 4 * DRAW_WORDS * first, 4 * DRAW_WORDS * rows);
      const ranking = { logits: from, vocabulary: table.rows, count: rows, k, scratch, out };
      all.push(...best({ ...ranking, masked: masked ? { draws, masks } : undefined }));
    }
    return all;
  }
}

export async function addHead(
  memory: Memory,
  { id, weight, maxRows, maxBest }: { id: number; weight: number; maxRows: number; maxBest: number },
): Promise<void> {
  const { rows: vocabulary } = memory.tableOf(weight);
  const rows = Math.min(maxRows, HEAD_ROWS);
  const logits = await memory.allocate(4 * rows * vocabulary, "logits of the head");
  const scratch = await memory.allocate(
    bestScratchBytes({ vocabulary, count: rows, k: maxBest }),
    "scratch of the head",
  );
  const best = await memory.allocate(8 * maxRows * maxBest, "best ids");
  const masks = await memory.allocate(4 * maxRows * maskWords(vocabulary), "masks of ids");
  memory.heads.set(id, { weight, maxRows, logits, scratch, best, masks });
}

const calls = (all: readonly Call[]): Step[] => all.map((call) => ({ kind: "call", call }));
