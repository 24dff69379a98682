/**
 * The contract between the forward pass and whatever computes it. This file imports nothing, and a backend can be
 * written from it alone; `test/backend/conformance/` holds every backend to it.
 *
 * Order. Op calls record and return at once. `run()` executes all that was recorded, in recording order, as if one op
 * ended before the next began, and empties the record. Data enters by `write` and leaves by `read`.
 *
 * Ahead. At most `runsAhead` runs may be called before the first of them has ended. They execute in the order of their
 * calls, and end in it; a batch may begin, and ops may record, while they do. `read...` and `write` act on the state after the
 * last run that was called before them, and before any that is called later; `place` and `copyBlock` act on runs that are
 * called later. Where `runsAhead` is 1 this means that nothing is called while a run is under way.
 *
 * Rows. Every op works on the rows of the current batch (`begin`): row i of a tensor belongs to row i of the batch.
 * A result row depends on its own inputs only: not on the other rows of its batch, not on their number, not on the
 * number of threads, bit for bit.
 *
 * Memory. Handles are opaque, belong to the backend that made them, live until `close()`, and are made before the first
 * `begin`; nothing is allocated while running.
 *
 * Numbers. Float ops are IEEE float32 or better. The int8 rounding is to nearest, ties to even. Ternary sums are exact
 * integers.
 */

/** A float32 matrix of `maxRows` x `width`; of it the rows of the current batch are live. */
export interface Tensor {
  readonly maxRows: number;
  readonly width: number;
}

/** The result of `normQuantize`: int8 rows of `width` with one scale each, and the float rows they were rounded from. */
export interface Quantized {
  readonly width: number;
  /** (rows, width) normalised rows before rounding; for `read` and `mark` */
  readonly normed: Tensor;
}

/** A loaded weight: (rows, columns), `rows` outputs of `columns` inputs; a norm has one row. */
export interface Weight {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
}

/** A dense weight that is ready to find the best ids of a row. */
export interface Head {
  readonly weight: Weight;
  readonly kind: HeadKind;
  readonly maxRows: number;
  /** most ids of one row */
  readonly maxBest: number;
}

/**
 * How the best ids are found. "exact": as fast as the backend can without changing a bit; default. "full": from whole rows
 * of logits, with no copy of the table. "int8": from an 8-bit copy, whose logits are off by up to a few per cent of their
 * spread.
 */
export type HeadKind = "exact" | "full" | "int8";

/** The best ids of one row, of those that its draw's mask allows: those with the highest logits, of equal ones the lower id. Ordered by id. */
export interface Best {
  readonly ids: Int32Array;
  readonly logits: Float32Array;
}

/**
 * Keys and values. They lie in blocks of positions; a block holds them for all layers. Which blocks are a slot's is up to
 * `place`.
 */
export interface Cache {
  readonly shape: CacheShape;
  /** positions of one block */
  readonly blockPositions: number;
  /** blocks in all */
  readonly blocks: number;
}

export interface CacheShape extends Rotation {
  readonly layers: number;
  /** timelines held at the same time */
  readonly slots: number;
  /** most positions of one slot */
  readonly positions: number;
  /** blocks that the slots get by `place`, and none has any before; default: each slot has its own for all positions */
  readonly blocks?: number;
  readonly kvHeads: number;
  /** elements of one head, a multiple of 8 */
  readonly headDim: number;
  /** least precision of what is stored; default "f32" */
  readonly type?: CacheType;
}

/** The rotary embedding of q and k; keys are stored rotated. */
export interface Rotation {
  /** pair i of a head turns by position * ropeBase^(-2i / headDim) */
  readonly ropeBase: number;
  /** which elements make pair i: i and i + headDim / 2, or 2i and 2i + 1; default "halves" */
  readonly ropePairs?: RopePairs | undefined;
  /** (headDim / 2) divide the angles of the pairs */
  readonly ropeFactors?: readonly number[] | undefined;
  /** multiplies the rotated q and k; default 1 */
  readonly ropeMagnitude?: number | undefined;
}
export type RopePairs = "halves" | "adjacent";

/** What a position of a cache consists of. */
export type PositionShape = Pick<CacheShape, "layers" | "kvHeads" | "headDim" | "type">;

/** float32, or 16-bit integers with a float32 scale for each head and position. */
export type CacheType = "f32" | "i16";

/** Name of a weight type: a key of the table of formats/. */
export type WeightType = string;

/**
 * What the ops do with a weight: "norm" multiplies by it (`normQuantize`, `normHeads`, `normOutputs`), "table" is read by
 * rows and multiplied with floats (`embed`, `logits`, `best`), "matrix" is multiplied with int8 rows where it is ternary
 * (`ternary`), else with floats (`linear`).
 */
export type WeightUse = "norm" | "table" | "matrix";
export type TypesByUse = Readonly<Record<WeightUse, readonly WeightType[]>>;

/** The op of that name, or pairs 2i and 2i + 1 in `ropeStore`. */
export const FEATURES = ["quantize", "linear", "normHeads", "adjacent pairs"] as const;
export type Feature = (typeof FEATURES)[number];

/** The orders of ternary codes in files whose type leaves it open, see formats/i2_s.ts; the first is the standard one. */
export const TERNARY_LAYOUTS = ["block128", "block64", "rows4"] as const;
export type TernaryLayout = (typeof TERNARY_LAYOUTS)[number];

/**
 * Bytes of a model, wherever they lie: a file, a Blob, memory, a server. They do not change, and may be read until the
 * `load` that was given them has ended; where it fails, until the backend is closed.
 */
export interface ByteSource {
  /** for messages: the path of a file, the address on a server */
  readonly name: string;
  readonly size: number;
  /**
   * Fills all of `into` with the bytes from `offset` on, and does not keep it; rejects where they end before that, or cannot
   * be read. May be called again before it has ended.
   */
  read(offset: number, into: Uint8Array): Promise<void>;
  /** by what another thread reads the same bytes itself: plain data for `openShared` of the platform; absent where none can */
  readonly shared?: unknown;
}

/** Where a weight's bytes lie in a model, as the model has them. */
export interface WeightSource {
  readonly name: string;
  readonly type: WeightType;
  readonly rows: number;
  readonly columns: number;
  readonly bytes: ByteSource;
  /** from the start of `bytes` */
  readonly offset: number;
  readonly byteLength: number;
  /** of a type whose files differ in it; default "block128" */
  readonly layout?: TernaryLayout;
  /** multiplies all of a matrix; default 1 */
  readonly factor?: number;
}

export interface LoadOptions {
  /** called as weights arrive, with bytes so far of all bytes of the sources */
  onProgress?(loaded: number, total: number): void;
  signal?: AbortSignal | undefined;
}

/** A token that stands for the id that the last `sample` before this run chose for the row's slot; there must be one. */
export const SAMPLED = -1;

/** In the place of a sampled id: the row's logits have NaN or Infinity, which no op turns into finite numbers. */
export const NO_DISTRIBUTION = -2;

/**
 * The rows of one forward pass. `tokens`, `slots` and `positions` have one element a row. Of the rows that reach the head
 * (`outputs`) the first `ranked` are ranked: `best` finds their best ids, `sample` draws from these. The last `hidden` are
 * hidden states, which are read as `normOutputs` leaves them. Of the others `logits` computes whole rows. So one run serves
 * all kinds.
 */
export interface Batch {
  /** ids, or SAMPLED */
  readonly tokens: Int32Array;
  readonly slots: Int32Array;
  readonly positions: Int32Array;
  /** requested rows, those whose scores are needed; may be empty. Those of one kind ascend */
  readonly outputs: Int32Array;
  /** how many of the best ids the forward pass finds of each ranked row */
  readonly best?: number;
  /**
   * how many rows of `outputs` are ranked, 0 to all. Absent: the op `best` and the op `logits` each take all of them, and
   * the forward pass records `best` where the number above is not 0, else `logits`
   */
  readonly ranked?: number;
  /** how many rows of `outputs`, the last ones, need no scores: `normOutputs` alone sees them; default 0 */
  readonly hidden?: number;
  /** how `sample` chooses, one for each ranked row; undefined where the host does */
  readonly draws?: readonly (Draw | undefined)[] | undefined;
}

/** How one of a row's best ids is chosen; draw.ts has the formula. */
export interface Draw {
  /** divides the logits; 0 takes the best id, and of the rest only `mask` counts */
  readonly temperature: number;
  /** keep this many of the best, 1 to `maxBest` of the head; fewer where `best` found fewer */
  readonly topK: number;
  /** of them keep the fewest that hold this probability, 0 to 1; 1 keeps all */
  readonly topP: number;
  /** of them keep those of at least this part of the best one's probability, 0 to 1; 0 keeps all */
  readonly minP: number;
  /** 0 to below 1; where in the distribution of what is left the chosen one lies */
  readonly random: number;
  /**
   * The ids that may be chosen: bit id & 31 of word id >> 5 is set, ceil(vocabulary / 32) words; bits beyond the vocabulary
   * do not count. `best` finds the best of these, as from whole logits with -Infinity for all others. Absent: all.
   */
  readonly mask?: Uint32Array | undefined;
}

/** One matrix of a `ternary` op, and where its result goes. */
export interface Projection {
  readonly weight: Weight;
  readonly out: Tensor;
  /** the residual stream: receives `+= out` as well */
  readonly addTo?: Tensor;
}

export type Activation = "relu2" | "silu";

export interface Backend {
  readonly kind: "reference" | "cpu" | "gpu";
  /** what runs, for people: "4 threads, relaxed SIMD (int16 dot)" */
  readonly description: string;
  /** how many runs may be called before the first of them has ended; 1 where running ahead gains nothing */
  readonly runsAhead: number;

  /** positions of one block of its caches */
  readonly blockPositions: number;

  /** types of weights that it can compute with */
  readonly takes: TypesByUse;

  /** what it has of that which some models need only */
  readonly features: readonly Feature[];

  /** Reads and checks all weights, of types in `takes`; the handles come back in the order of `sources`. May be called again; what was loaded stays. */
  load(sources: readonly WeightSource[], options?: LoadOptions): Promise<Weight[]>;
  tensor(maxRows: number, width: number): Tensor;
  /** A RangeError where `width` is no multiple of 16. */
  quantized(maxRows: number, width: number): Quantized;
  cache(shape: CacheShape): Cache;
  /** Bytes that one position of one slot takes in a cache of that shape. */
  positionBytes(shape: PositionShape): number;
  /**
   * Lays a slot out: its position p is in block `blocks[floor(p / blockPositions)]`, and those beyond the last block have
   * no place. What blocks hold stays. Slots may share blocks, such as those of a common beginning, that no batch stores to.
   * Acts on the runs that are called later; not called between `begin` and `run`. Copies the array.
   */
  place(cache: Cache, slot: number, blocks: Int32Array): void;
  /**
   * Copies what block `from` holds after the runs called before, of all layers, to block `to`, as the runs called later see
   * it. Called as `place` is, in one order with it.
   */
  copyBlock(cache: Cache, from: number, to: number): void;
  /**
   * Makes a loaded weight the head of `best`, for at most `maxRows` ranked rows and `maxBest` ids a row. Unless the head
   * is "int8", `best` finds what `logits` would give, with the same bits.
   */
  head(weight: Weight, maxRows: number, maxBest: number, kind?: HeadKind): Promise<Head>;

  /**
   * Makes `batch` the current one for the ops recorded from here to `run`; once a run, before its ops. Copies the arrays.
   * A RangeError where `ranked` is none of 0 to the number of outputs, `hidden` none of 0 to what is left of them, or where a
   * mask allows no id.
   */
  begin(batch: Batch): void;

  /** out[row] = table[token of row], as float32. */
  embed(out: Tensor, table: Weight): void;
  /** RMSNorm `x / sqrt(mean(x^2) + eps) * weight`, then absmax int8: `round(y * 127 / max(max|y|, 1e-5))`. */
  normQuantize(out: Quantized, x: Tensor, weight: Weight, eps: number): void;
  /**
   * For each projection `out = (q . (code - 1)) * weight scale / activation scale`, and `addTo += out` where asked.
   * All projections share the quantised input.
   */
  ternary(projections: readonly Projection[], x: Quantized): void;
  /** The rounding of `normQuantize` alone: `normed` becomes a copy of `x`. For a BitLinear without a norm of its own. */
  quantize(out: Quantized, x: Tensor): void;
  /** For each projection `out = weight . x` in floats, of weights that are not ternary, and `addTo += out` where asked. */
  linear(projections: readonly Projection[], x: Tensor): void;
  /** RMSNorm of each head of x in place, by one weight of headDim elements for all heads. */
  normHeads(x: Tensor, weight: Weight, eps: number): void;
  /**
   * Rotary embedding of q and k in place at each row's position, see `Rotation`, then stores k and v at (layer, slot,
   * position).
   */
  ropeStore(cache: Cache, layer: number, qkv: { q: Tensor; k: Tensor; v: Tensor }): void;
  /**
   * out = softmax(q k^T / sqrt(headDim)) v over positions 0..position of the row's slot; query head h reads key-value
   * head floor(h / (heads / kvHeads)). Positions that this batch stored are seen.
   */
  attend(out: Tensor, q: Tensor, cache: Cache, layer: number): void;
  /** out = activation(gate) * up, in float32 (relu2 is max(x, 0)^2). `out` may be `gate`. */
  gate(out: Tensor, gate: Tensor, up: Tensor, activation: Activation): void;
  /** RMSNorm of the rows named by `outputs`, packed: row j of `out` is row outputs[j] of `x`. */
  normOutputs(out: Tensor, x: Tensor, weight: Weight, eps: number): void;
  /** out[j] = head . x[ranked + j] for each output that is neither ranked nor hidden: float dot products, (rows, vocabulary). */
  logits(out: Tensor, head: Weight, x: Tensor): void;
  /**
   * Finds the `count` best ids of each ranked row, fewer where its mask allows fewer, and keeps them until the next `best`;
   * not for a "full" head. A RangeError where a mask has not the length for the head's vocabulary.
   */
  best(head: Head, x: Tensor, count: number): void;
  /**
   * For each ranked row with a draw (`Batch.draws`) chooses one of the ids that `best` found, and keeps it under the row's
   * slot; of several rows of one slot the last one's stays. At most once a run, after its `best`. What rows compute
   * from a SAMPLED that is NO_DISTRIBUTION means nothing.
   */
  sample(head: Head): void;

  /**
   * Names an intermediate. While a tracer is set, `run` hands it the value that `tensor` has at this point of the record;
   * `rows` says which rows of the batch the tensor has. Without a tracer this costs nothing.
   */
  mark(name: string, tensor: Tensor, rows?: MarkRows): void;
  setTracer(tracer: Tracer | undefined): void;

  /**
   * Executes the record; gives the ids that `sample` chose, one for each ranked row, -1 where that has no draw, or
   * NO_DISTRIBUTION; none at all where `sample` was not recorded. Rejects with a TernionError, and then every later call
   * does.
   */
  run(): Promise<Int32Array>;

  /** Copies `data` (whole rows) into the first rows of `tensor`. */
  write(tensor: Tensor, data: Float32Array): void;
  /** A copy of `count` rows of `tensor` from row `first` on. */
  read(tensor: Tensor, first: number, count: number): Promise<Float32Array>;
  /** What the last `best` found for ranked row `row`; fewer than asked for where the vocabulary, or its mask, has fewer. */
  readBest(head: Head, row: number): Promise<Best>;
  /** The int8 rows and their dequantisation factors (max|y| / 127), for tests and `verify`. */
  readQuantized(x: Quantized, first: number, count: number): Promise<{ values: Int8Array; scales: Float32Array }>;

  /** Time by op of the runs since the last call, where the backend measures it (see `profile` in its options). */
  takeProfile(): OpTime[];
  /** Bytes that the backend holds for weights, caches and activations. */
  readonly memoryBytes: number;
  /** Frees threads, devices and memory; safe to call twice and in the middle of a run, which then rejects. */
  close(): Promise<void>;
}

/** All rows of the batch, its `outputs`, or of these the ones whose whole logits are computed. */
export type MarkRows = "all" | "outputs" | "whole";

/** Receives one named intermediate: `rows` x `width` values, row-major. The array is the receiver's to keep. */
export type Tracer = (name: string, data: Float32Array, rows: number, width: number) => void;

export interface OpTime {
  readonly op: string;
  readonly calls: number;
  /** milliseconds, all calls together */
  readonly ms: number;
  /** of weights that the calls read, where it is known */
  readonly bytes?: number;
  /** of `bytes` over `ms`, in the rate at which this device copies memory */
  readonly shareOfCopy?: number;
  /** "host": what a device's runs cost the processor beside the device's own time; `calls` counts its dispatches */
  readonly place?: "host";
}
