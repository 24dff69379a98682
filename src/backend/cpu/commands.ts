/**
 * The commands: one for each recorded op. A command is a header and the op's arguments in int32 words (see record.ts). The
 * main thread writes it by the names given here, the worker threads read it by the same names. An op is cut into `shares`
 * parts, whatever the number of threads that take them.
 */
import type { Activation, TypesByUse, WeightType } from "../backend.js";
import { Layout, List, type Struct, type Values } from "../record.js";

/** Words of the command record. A layer takes about 150. */
export const RECORD_WORDS = 1 << 18;

/** How a dense table's rows are decoded. */
export const DENSE_TYPES = ["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q4_0", "Q4_K", "Q2_0", "PQ2_0"] as const;
export type DenseType = (typeof DENSE_TYPES)[number];

/** Types whose products are computed from the bytes of their blocks (asm/packed.ts), from x in fixed point. */
const PACKED_TYPES = ["Q8_0", "Q4_0"] as const;
export type PackedType = (typeof PACKED_TYPES)[number];
export const isPacked = (type: DenseType): type is PackedType => PACKED_TYPES.some((packed) => packed === type);

/** The older form of Q2_0 has the blocks of PQ2_0. */
export const denseTypeOf = (type: WeightType): DenseType | undefined =>
  type === "Q2_0_128" ? "PQ2_0" : DENSE_TYPES.find((dense) => dense === type);

/** Types of weights that the kernels take; `ternaryPack` reads I2_S, and what `unpackTQ...` makes of the others. */
const TABLES = [...DENSE_TYPES, "Q2_0_128"];
export const TAKES: TypesByUse = { norm: ["F32"], table: TABLES, matrix: ["I2_S", "TQ1_0", "TQ2_0", ...TABLES] };

export const ACTIVATIONS = ["relu2", "silu"] as const satisfies readonly Activation[];

const DENSE = { address: "pointer", type: DENSE_TYPES, rowBytes: "count", rows: "count", columns: "count" } as const;

/** Rows in fixed point, see asm/packed.ts; zeros where no table of the op is packed. */
const FIXED = { values: "pointer", factors: "pointer", stride: "count" } as const;

/** `bytes` for each thread */
const SCRATCH = { address: "pointer", bytes: "count" } as const;

/** Where one layer of a cache lies; see CpuCache. */
const CACHE_LAYER = {
  kvHeads: "count",
  headDim: "count",
  blocks: "count",
  keys: "pointer",
  values: "pointer",
  /** 0 for f32 */
  keyScales: "pointer",
  valueScales: "pointer",
  /** (slots, slotBlocks) the block of each CHUNK positions of a slot */
  table: "pointer",
  slotBlocks: "count",
} as const;

/** One matrix of `ternary`. */
const MATRIX = {
  weight: "pointer",
  rows: "count",
  out: "pointer",
  addTo: "pointer",
  scale: "float",
  /** of blocks, see asm/blocks.ts; 0 where `scale` is all */
  scales: "pointer",
} as const;

/** One matrix of `linear`. */
const FLOAT_MATRIX = { table: DENSE, out: "pointer", addTo: "pointer", factor: "float" } as const;

const ATTENTION = {
  cache: CACHE_LAYER,
  q: "pointer",
  out: "pointer",
  heads: "count",
  /** each thread's scores; its partial results for whole units, for split ones; bytes of those of one unit */
  scratch: { scores: "pointer", tile: "pointer", split: "pointer", unitBytes: "count" },
} as const;

const STRUCTS = {
  embed: { out: "pointer", table: DENSE },
  normQuantize: {
    x: "pointer",
    weight: "pointer",
    normed: "pointer",
    values: "pointer",
    scales: "pointer",
    sums: "pointer",
    width: "count",
    eps: "float",
  },
  quantize: {
    x: "pointer",
    normed: "pointer",
    values: "pointer",
    scales: "pointer",
    sums: "pointer",
    width: "count",
  },
  normHeads: { x: "pointer", weight: "pointer", width: "count", headDim: "count", eps: "float" },
  fixedPoint: { x: "pointer", rows: "count", width: "count", fixed: FIXED },
  linear: { x: "pointer", fixed: FIXED, scratch: SCRATCH, matrices: new List(FLOAT_MATRIX) },
  ternary: {
    values: "pointer",
    scales: "pointer",
    sums: "pointer",
    width: "count",
    scratch: SCRATCH,
    matrices: new List(MATRIX),
  },
  ropeStore: {
    cache: CACHE_LAYER,
    q: "pointer",
    k: "pointer",
    v: "pointer",
    heads: "count",
    angles: "pointer",
    /** pairs 2i and 2i + 1 */
    adjacent: "flag",
  },
  attend: ATTENTION,
  attendSplit: ATTENTION,
  combine: ATTENTION,
  gate: { gate: "pointer", up: "pointer", out: "pointer", width: "count", activation: ACTIVATIONS },
  normOutputs: { x: "pointer", weight: "pointer", out: "pointer", width: "count", eps: "float" },
  logits: {
    x: "pointer",
    rows: "count",
    table: DENSE,
    out: "pointer",
    fixed: FIXED,
    scratch: SCRATCH,
  },
  headPack: {
    table: DENSE,
    codes: "pointer",
    numbers: "pointer",
    scratch: SCRATCH,
  },
  best: {
    x: "pointer",
    /** rows of x */
    ranked: "count",
    fixed: FIXED,
    /** see masks.ts; 0 where no row has one */
    masks: "pointer",
    table: DENSE,
    codes: "pointer",
    numbers: "pointer",
    scratch: SCRATCH,
    results: "pointer",
    count: "count",
    /** rows that the scratch is laid out for */
    maxRows: "count",
    /** take the copy's word */
    int8: "flag",
  },
} as const satisfies Record<string, Struct>;

export type OpName = keyof typeof STRUCTS;
export type Arguments<N extends OpName> = Values<(typeof STRUCTS)[N]>;
export type Scratch = typeof SCRATCH;
export type Fixed = typeof FIXED;
export type CacheLayer = typeof CACHE_LAYER;
export type Dense = typeof DENSE;

export const OPS = Object.keys(STRUCTS) as readonly OpName[];

export const HEADER = new Layout({
  op: OPS,
  /** in all */
  words: "count",
  shares: "count",
  /** that a share should take */
  microseconds: "count",
} as const);

/** The arguments of each op; they follow the header. */
export const COMMANDS = Object.fromEntries(
  Object.entries(STRUCTS).map(([op, struct]) => [op, new Layout<Struct>(struct)]),
) as { readonly [N in OpName]: Layout<(typeof STRUCTS)[N]> };

/** [begin, end) of `count` things in part `part` of `parts`: contiguous, sizes differ by one at most. */
export function share(count: number, part: number, parts: number): [begin: number, end: number] {
  return [Math.floor((count * part) / parts), Math.floor((count * (part + 1)) / parts)];
}
