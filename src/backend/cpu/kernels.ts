/** What both WebAssembly binaries export, as the threads call it. choose.ts decides which of them it is. */
import { TernionError } from "../../errors.js";
import { MASK_BITS } from "./control.js";
import {
  CHUNK,
  FIXED_BLOCK,
  GROUP,
  HEAD_GROUP,
  HEAD_NUMBERS,
  PARTIAL_HEADER,
  SCALE_BLOCK,
  TABLE_BLOCK,
  TABLE_ENTRIES,
  TABLE_RUN,
  TILE,
} from "./sizes.js";

type Dot = (
  w: number,
  x: number,
  out: number,
  cols: number,
  groups: number,
  sum: number,
  m3: number,
  mC: number,
) => void;
type Decode = (src: number, dst: number, n: number) => void;
type Unpack = (src: number, dst: number, scales: number, stride: number, columns: number) => void;
type PackedRows = (
  table: number,
  x: number,
  factors: number,
  stride: number,
  out: number,
  n: number,
  rows: number,
  mask: number,
  unit: number,
) => void;
type PackedTile = (
  table: number,
  x: number,
  factors: number,
  stride: number,
  out: number,
  outStride: number,
  n: number,
  rows: number,
  mask: number,
  unit: number,
) => void;
type Gate = (gate: number, up: number, out: number, n: number) => void;

/** Half-precision constants of asm/dense.ts. */
const [HALF_MASK, HALF_SCALE] = [0x8fffe000 | 0, 2 ** 112];
export const HALF = [HALF_MASK, HALF_SCALE] as const;

/** Of asm/packed.ts: the mask, and what the lower integer of a fixed-point number counts. */
const FIXED_UNIT = 2 ** -15;
export const PACKED = [HALF_MASK, FIXED_UNIT] as const;

/** Masks of the codes of even and odd rows, see asm/ternary.ts. */
const [EVEN_ROWS, ODD_ROWS] = [0x03, 0x0c];
export const MASKS = [EVEN_ROWS, ODD_ROWS] as const;

/** Constants that asm/ has under the same names; the binaries export theirs. */
const CONSTANTS = {
  GROUP,
  SCALE_BLOCK,
  EVEN_ROWS,
  ODD_ROWS,
  TILE,
  TABLE_ENTRIES,
  TABLE_BLOCK,
  TABLE_RUN,
  HALF_MASK,
  HALF_SCALE,
  FIXED_BLOCK,
  FIXED_UNIT,
  CHUNK,
  PARTIAL_HEADER,
  HEAD_GROUP,
  HEAD_NUMBERS,
  MASK_BITS,
} as const;

/** Exports of asm/index.ts; all numbers are byte addresses, counts of elements, or values. */
export interface Kernels {
  ternaryDot16: Dot;
  ternaryDot32: Dot;
  ternaryDotBaseline: Dot;
  ternaryScale(acc: number, out: number, addTo: number, n: number, factor: number): void;
  ternaryPack(src: number, dst: number, columns: number, rows: number): number;
  tableTranspose(x: number, out: number, columns: number, tile: number): void;
  tableDot(
    w: number,
    x: number,
    acc: number,
    scratch: number,
    columns: number,
    groups: number,
    tile: number,
    mask: number,
  ): void;
  tableScale(
    acc: number,
    out: number,
    addTo: number,
    stride: number,
    rows: number,
    tokens: number,
    factors: number,
    tile: number,
  ): void;
  norm(x: number, weight: number, out: number, n: number, eps: number): number;
  normQuantize(
    x: number,
    weight: number,
    normed: number,
    q: number,
    scale: number,
    sum: number,
    n: number,
    eps: number,
  ): void;
  quantize(x: number, normed: number, q: number, scale: number, sum: number, n: number): void;
  blockSums(x: number, out: number, columns: number): void;
  ternaryBlocks(
    w: number,
    x: number,
    sums: number,
    scales: number,
    out: number,
    columns: number,
    groups: number,
    form: number,
    low: number,
    high: number,
  ): void;
  scaleFloats(acc: number, out: number, addTo: number, n: number, factor: number): void;
  unpackTQ1_0: Unpack;
  unpackTQ2_0: Unpack;
  gateRelu2: Gate;
  gateSilu: Gate;
  decodeF32: Decode;
  decodeF16: Decode;
  decodeBF16: Decode;
  decodeQ8_0: Decode;
  decodeQ4_0: Decode;
  decodeQ4_K: Decode;
  decodeQ6_K: Decode;
  decodeQ2_0: Decode;
  decodePQ2_0: Decode;
  dotF32(x: number, y: number, n: number): number;
  dotRows(row: number, x: number, out: number, outStride: number, n: number, count: number): void;
  logitsBF16(table: number, x: number, out: number, n: number, rows: number): void;
  fixedPoint(x: number, to: number, factors: number, stride: number, n: number): void;
  rowsQ8_0: PackedRows;
  rowsQ4_0: PackedRows;
  tileQ8_0: PackedTile;
  tileQ4_0: PackedTile;
  logitsF16(table: number, x: number, out: number, n: number, rows: number, mask: number, half: number): void;
  rope(x: number, table: number, heads: number, headDim: number): void;
  ropeAdjacent(x: number, table: number, heads: number, headDim: number): void;
  storeKey(k: number, keys: number, position: number, headDim: number): void;
  storeValue(v: number, values: number, position: number, headDim: number): void;
  attendChunk(
    q: number,
    keys: number,
    values: number,
    count: number,
    heads: number,
    headDim: number,
    scores: number,
    partial: number,
  ): void;
  storeKey16(k: number, keys: number, scales: number, position: number, headDim: number, limit: number): void;
  storeValue16(v: number, values: number, scales: number, position: number, headDim: number): void;
  attendChunk16(
    q: number,
    keys: number,
    values: number,
    keyScales: number,
    valueScales: number,
    count: number,
    heads: number,
    headDim: number,
    scores: number,
    partial: number,
    limit: number,
  ): void;
  fold(state: number, next: number, headDim: number): void;
  finish(state: number, out: number, headDim: number): void;
  headPack(row: number, dst: number, numbers: number, lane: number, n: number): void;
  headQuantize(x: number, u: number, factors: number, n: number, limit: number): void;
  headScan(
    codes: number,
    numbers: number,
    u: number,
    factors: number,
    lower: number,
    upper: number,
    n: number,
    groups: number,
  ): void;
  atLeast(values: number, n: number, threshold: number, found: number): number;
  firstNonFinite(at: number, count: number, stride: number, exponent: number): number;
  read(from: number, bytes: number): number;
  takeShare(masks: number, words: number, first: number): number;
  pollChange(address: number, value: number, polls: number): number;
  barrier(count: number, generation: number, sleepers: number, failed: number, threads: number, spins: number): number;
}

/** Throws BACKEND_FAILED where the binary was built from other sources than this file. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  for (const [name, value] of Object.entries(CONSTANTS)) {
    const got: unknown = (exports[name] as WebAssembly.Global | undefined)?.value;
    if (got !== value) throw otherBuild(name, value, got);
  }
  return exports as unknown as Kernels;
}

function otherBuild(name: string, expected: number, got: unknown): TernionError {
  return new TernionError(
    "BACKEND_FAILED",
    `CPU kernels: expected ${name} ${expected}, got ${got ?? "none"} from the WebAssembly binary, which is of another build ` +
      "than the rest of the package. Install ternion again (in its repository: npm run build).",
  );
}
