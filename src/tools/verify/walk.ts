/**
 * The walk over a model's named intermediates, in the order of computation and one layer of weights in memory at a time.
 * Each is judged on the subject's own inputs to it: one activation on an int8 rounding boundary moves everything after
 * it by a per cent, and would drown a fault.
 */
import { FEATURES, type WeightSource } from "../../backend/backend.js";
import { dot } from "../../backend/formulas.js";
import { readWeight } from "../../formats/read.js";
import { KNOWN_TYPES } from "../../formats/table.js";
import type { ModelConfig } from "../../model/config.js";
import { loadWeights, type ModelWeights } from "../../model/weights.js";
import { causeOf, layerMistakes, normMistakes } from "./causes.js";
import { Evaluator, type Formulas, type Rows } from "./evaluate.js";
import { LAYER_OPS, layerFormulas, norm, readLayer } from "./formulas.js";
import { type Difference, judge, type OpVerdict } from "./judge.js";

/** The model as its file has it. */
export interface ModelFile {
  readonly config: ModelConfig;
  readonly sources: readonly WeightSource[];
}

/** One engine's intermediates for the tokens, by the names of a trace; what is missing is computed. */
export interface Subject {
  readonly known: ReadonlyMap<string, Rows>;
  /** of an op ("attn_ctx"), see OpVerdict */
  tolerance(op: string): number;
}

/** The first intermediate that is wrong. */
export interface Fault extends Difference {
  /** "blk.3.attn_ctx" */
  readonly name: string;
  /** none for embd, result_norm and logits */
  readonly layer?: number;
  /** "attn_ctx" */
  readonly op: string;
  /** what that usually means, for people */
  readonly cause: string;
}

export interface Walked {
  /** in the order of computation */
  readonly ops: readonly OpVerdict[];
  readonly firstFault?: Fault;
  /** (tokens, vocabularySize): the subject's own, computed where it has none */
  readonly logits: Rows;
}

export interface WalkOptions {
  readonly signal?: AbortSignal | undefined;
  /** called with the layers judged so far of all, first with 0, when the backend has computed */
  readonly onLayer?: ((done: number, total: number) => void) | undefined;
}

/** Where inputs had to be computed through a rounding to int8, rows may be off by its steps. */
const LOOSE_TOLERANCE = 5e-2;
/** rows of the head in memory at a time */
const HEAD_ROWS = 4096;

/** Walks all subjects side by side, so that each weight is read once. */
export async function walk(
  { config, sources }: ModelFile,
  tokens: readonly number[],
  subjects: readonly Subject[],
  { signal, onLayer }: WalkOptions = {},
): Promise<Walked[]> {
  // weights stay in the file: each handle is its source
  const weights = await loadWeights(
    [...sources],
    config,
    { kind: "reference", takes: KNOWN_TYPES, features: FEATURES, load: async (all) => [...all] },
    {},
  );
  const walkers = subjects.map((subject) => new Walker(subject, tokens.length));

  onLayer?.(0, config.layers);
  const embedded = await embeddingRows(weights, tokens);
  for (const walker of walkers) {
    walker.judge(new Evaluator({ embd: ({ row }) => embedded[row] }, walker.part("")), ["embd"], "", () => []);
  }
  for (const [i, layer] of weights.layers.entries()) {
    signal?.throwIfAborted();
    const decoded = await readLayer(layer);
    const formulas = layerFormulas(config, decoded);
    for (const walker of walkers) {
      const evaluator = new Evaluator(formulas, walker.part(`blk.${i}.`), walker.looseStream);
      walker.judge(evaluator, LAYER_OPS, `blk.${i}.`, (op) => layerMistakes(op, config, decoded));
    }
    onLayer?.(i + 1, config.layers);
  }
  signal?.throwIfAborted();
  const outputNorm = await readWeight(weights.outputNorm as WeightSource);
  const result = {
    result_norm: ({ of }) => norm(of("x"), outputNorm, config.normEps),
  } satisfies Formulas;
  for (const walker of walkers) {
    const evaluator = new Evaluator(result, walker.part(""), walker.looseStream);
    walker.judge(evaluator, ["result_norm"], "", () => normMistakes(({ of }) => of("x"), outputNorm.dense, config));
  }
  const logits = await headRows(
    weights,
    walkers.flatMap(({ stream }) => stream),
    signal,
  );
  walkers.forEach((walker, i) => {
    const expected = logits.slice(i * tokens.length, (i + 1) * tokens.length);
    const evaluator = new Evaluator({ logits: ({ row }) => expected[row] }, walker.part(""));
    walker.judge(evaluator, ["logits"], "", () => [
      ["the head's rows are one off: each logit is that of the token before", ({ row }) => shifted(expected[row], 1)],
      ["the head's rows are one off: each logit is that of the next token", ({ row }) => shifted(expected[row], -1)],
    ]);
  });
  return walkers.map(({ ops, firstFault, stream }) => ({ ops, firstFault, logits: stream }));
}

/** One subject on its way through the model. */
class Walker {
  readonly ops: OpVerdict[] = [];
  firstFault: Fault | undefined;
  /** what the next stage reads, a row for each token: residual stream, then normalised, then logits */
  stream: Rows = [];
  looseStream: ReadonlySet<string> = new Set();

  constructor(
    readonly subject: Subject,
    readonly tokens: number,
  ) {}

  /** The known intermediates of a stage by their bare names, and the residual stream that enters it as "x". */
  part(prefix: string): Map<string, Rows> {
    const known = new Map<string, Rows>([["x", this.stream]]);
    for (const [name, rows] of this.subject.known) {
      if (name.startsWith(prefix)) known.set(name.slice(prefix.length), rows);
    }
    return known;
  }

  /** Judges the known ones of `ops`, and takes the last one's rows for the next stage. */
  judge(
    evaluator: Evaluator,
    ops: readonly string[],
    prefix: string,
    mistakes: (op: string) => Parameters<typeof causeOf>[3],
  ): void {
    for (const op of ops) {
      if (!evaluator.known.has(op)) continue;
      evaluator.compute(op, this.tokens - 1); // finds whether its inputs are loose
      const tolerance = Math.max(this.subject.tolerance(op), evaluator.isLoose(op) ? LOOSE_TOLERANCE : 0);
      const { verdict, difference } = judge(evaluator, op, prefix + op, tolerance);
      this.ops.push(verdict);
      if (difference === undefined || this.firstFault !== undefined) continue;
      const layer = prefix === "" ? undefined : Number(prefix.split(".")[1]);
      const cause = causeOf(evaluator, op, difference.row, mistakes(op));
      this.firstFault = { name: prefix + op, ...(layer !== undefined && { layer }), op, ...difference, cause };
    }
    const last = ops[ops.length - 1];
    this.stream = Array.from({ length: this.tokens }, (_, row) => evaluator.value(last, row));
    const loose = !evaluator.known.has(last) && evaluator.isLoose(last);
    this.looseStream = new Set(loose ? ["x"] : []);
  }
}

async function embeddingRows({ embedding }: ModelWeights, tokens: readonly number[]): Promise<Float64Array[]> {
  const rows = tokens.map((token) => denseRows(embedding as WeightSource, token, 1));
  return Promise.all(rows.map(async (row) => Float64Array.from(await row)));
}

/** head . x for each of `inputs`. */
async function headRows({ head }: ModelWeights, inputs: Rows, signal?: AbortSignal): Promise<Float64Array[]> {
  const out = inputs.map(() => new Float64Array(head.rows));
  for (let first = 0; first < head.rows; first += HEAD_ROWS) {
    signal?.throwIfAborted();
    const count = Math.min(HEAD_ROWS, head.rows - first);
    const table = await denseRows(head as WeightSource, first, count);
    for (let row = 0; row < count; row++) {
      const weights = Float64Array.from(table.subarray(row * head.columns, (row + 1) * head.columns));
      inputs.forEach((x, i) => {
        out[i][first + row] = dot(weights, x);
      });
    }
  }
  return out;
}

/** Rows of a dense weight, without the rest of it. */
async function denseRows(source: WeightSource, first: number, count: number): Promise<Float32Array> {
  const { rows, offset, byteLength } = source;
  const rowBytes = byteLength / rows;
  const part = { ...source, rows: count, offset: offset + first * rowBytes, byteLength: count * rowBytes };
  return (await readWeight(part)).dense as Float32Array;
}

function shifted(row: Float64Array, by: number): Float64Array {
  return row.map((_, i) => row[(i - by + row.length) % row.length]);
}
