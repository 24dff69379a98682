/** What both WebAssembly binaries export, as the threads call it. choose.ts decides which of them it is. */

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
type Gate = (gate: number, up: number, out: number, n: number) => void;

/** Half-precision constants of asm/dense.ts: its mask and 2^112. */
export const HALF = [0x8fffe000 | 0, 2 ** 112] as const;

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
  gateRelu2: Gate;
  gateSilu: Gate;
  decodeF32: Decode;
  decodeF16: Decode;
  decodeBF16: Decode;
  decodeQ8_0: Decode;
  decodeQ6_K: Decode;
  dotF32(x: number, y: number, n: number): number;
  logitsF16(table: number, x: number, out: number, n: number, rows: number, mask: number, half: number): void;
  rope(x: number, table: number, heads: number, headDim: number): void;
  storeKey(k: number, keys: number, position: number, headDim: number): void;
  storeValue(v: number, values: number, position: number, headDim: number): void;
  attendChunk(
    q: number,
    keys: number,
    values: number,
    first: number,
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
    first: number,
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

/** Masks of the codes of even and odd rows, as asm/ternary.ts wants them. */
export const MASKS = [0x03, 0x0c] as const;

export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Kernels;
}
