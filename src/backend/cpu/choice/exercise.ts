/**
 * All kernels over a small memory of their own, with random numbers and the ends of the number ranges: two binaries, or two
 * ways of compiling one, are alike if they leave the same bytes everywhere. Integer sums are exact and float sums have one
 * fixed order, so that any difference is a wrong result.
 */

import { HALF, instantiate, type Kernels, MASKS, PACKED } from "../kernels.js";
import { MAX_PAGES, sharedMemory } from "../memory.js";
import { CHUNK, HEAD_GROUP, HEAD_NUMBERS, SCALE_BLOCK, scanLimit, tableScratchBytes } from "../sizes.js";
import { DOT_FORMS, type DotForm } from "./forms.js";

export interface Shape {
  /** a multiple of 256 */
  readonly columns: number;
  /** of 8 rows */
  readonly groups: number;
  /** rows of activations that the tables take: 32 or 64 */
  readonly tile: number;
  readonly heads: number;
  readonly headDim: number;
  /** at most CHUNK */
  readonly positions: number;
}

const PAGES = 32;

export class Exercise {
  readonly bytes: Uint8Array;
  readonly #calls: readonly (() => void)[];
  #end = 64;
  #seed = 1;

  constructor(
    module: WebAssembly.Module,
    dot: DotForm,
    readonly shape: Shape,
  ) {
    const memory = sharedMemory(PAGES, MAX_PAGES);
    this.bytes = new Uint8Array(memory.buffer);
    const kernels = instantiate(module, memory);
    this.#calls = [
      ...this.#ternary(kernels, dot),
      ...this.#rows(kernels),
      ...this.#dense(kernels),
      ...this.#head(kernels),
      ...this.#attention(kernels),
    ];
  }

  run(times: number): void {
    for (let i = 0; i < times; i++) for (const call of this.#calls) call();
  }

  #allocate(bytes: number): number {
    const address = this.#end;
    this.#end = Math.ceil((address + bytes) / 64) * 64;
    if (this.#end > this.bytes.byteLength)
      throw new RangeError(`exercise: expected at most ${PAGES} pages of operands`);
    return address;
  }
  /** 0 to below 1 */
  #random(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) | 0;
    return (this.#seed >>> 8) / 2 ** 24;
  }
  /** Every value of a byte of which `allowed` is true, in random order. */
  #randomBytes(count: number, allowed: (byte: number) => boolean = () => true): number {
    const address = this.#allocate(count);
    const values = Array.from({ length: 256 }, (_, byte) => byte).filter(allowed);
    for (let i = 0; i < count; i++) this.bytes[address + i] = values[Math.floor(this.#random() * values.length)];
    return address;
  }
  /** Floats of both signs and all sizes, with zeros. */
  #floats(count: number, size = 1): number {
    const address = this.#allocate(4 * count);
    const values = new Float32Array(this.bytes.buffer, address, count);
    for (let i = 0; i < count; i++) values[i] = size * 2 ** (i % 23 === 0 ? -40 : 0) * (2 * this.#random() - 1);
    values.fill(0, count >> 1, (count >> 1) + 3);
    return address;
  }
  /** Where a kernel's own result is kept. */
  #store(value: () => number): () => void {
    const kept = new Float64Array(this.bytes.buffer, this.#allocate(8), 1);
    return () => {
      kept[0] = value();
    };
  }

  /** Half-precision numbers that are finite. */
  #halves(count: number, low = 0xff): number {
    const address = this.#randomBytes(2 * count);
    for (let i = 0; i < count; i++) {
      this.bytes[address + 2 * i] &= low;
      this.bytes[address + 2 * i + 1] &= 0xbf;
    }
    return address;
  }

  /** Sums of a row of 127, of one of -128 and of random ones; the same by tables; and both ways of scaling. */
  #ternary(k: Kernels, dot: DotForm): (() => void)[] {
    const { columns, groups, tile } = this.shape;
    const rows = 8 * groups;
    const codes = this.#randomBytes((rows * columns) / 4, (byte) => (byte & (byte >> 1) & 0x55) === 0);
    const x = this.#randomBytes(tile * columns);
    this.bytes.fill(127, x, x + columns).fill(128, x + columns, x + 2 * columns);
    const weights = this.#allocate(2 * columns * groups);
    const outs = [0, 1, 2].map(() => this.#allocate(4 * rows));
    const sums = outs.map((_, row) => {
      return new Int8Array(this.bytes.buffer, x + row * columns, columns).reduce((a, b) => a + b, 0);
    });
    const [input, acc] = [this.#allocate(2 * tile * columns), this.#allocate(4 * tile * rows)];
    const [scratch, factors] = [this.#allocate(tableScratchBytes(rows, tile)), this.#floats(tile)];
    const scaled = this.#allocate(4 * tile * rows);
    const added = this.#floats(tile * rows);
    return [
      this.#store(() => k.ternaryPack(codes, weights, columns, rows)),
      ...outs.map((out, row) => () => k[dot](weights, x + row * columns, out, columns, groups, sums[row], ...MASKS)),
      ...outs.map((out) => () => k.ternaryScale(out, scaled, added, rows, 2 ** -20)),
      () => k.tableTranspose(x, input, columns, tile),
      () => k.tableDot(weights, input, acc, scratch, columns, groups, tile, MASKS[0]),
      () => k.tableScale(acc, scaled, 0, 4 * rows, rows, tile - 1, factors, tile),
      ...this.#blocks(k, dot, { weights, x }),
    ];
  }

  /** The same weights with a scale for each block, and rows of the types that have such. */
  #blocks(k: Kernels, dot: DotForm, { weights, x }: { weights: number; x: number }): (() => void)[] {
    const { columns, groups } = this.shape;
    const rows = 8 * groups;
    const blocks = columns / SCALE_BLOCK;
    const [scales, sums, out] = [
      this.#floats(rows * blocks),
      this.#allocate(4 * blocks),
      this.#allocate(4 * rows + 32),
    ];
    const packed = this.#halves(columns);
    const unpacked = [this.#allocate(columns / 4), this.#allocate(columns / 4)];
    const found = [this.#allocate(32 * blocks), this.#allocate(32 * blocks)];
    return [
      () => k.blockSums(x, sums, columns),
      () => k.ternaryBlocks(weights, x, sums, scales, out, columns, groups, DOT_FORMS.indexOf(dot), ...MASKS),
      () => k.scaleFloats(out, out, 0, rows, 2 ** -10),
      () => k.unpackTQ1_0(packed, unpacked[0], found[0], 32, columns),
      () => k.unpackTQ2_0(packed, unpacked[1], found[1], 32, columns),
    ];
  }

  #rows(k: Kernels): (() => void)[] {
    const { columns, heads, headDim } = this.shape;
    const [x, weight, huge] = [this.#floats(columns), this.#floats(columns), this.#floats(columns, 3e4)];
    const [normed, q, numbers] = [this.#allocate(4 * columns), this.#allocate(columns), this.#allocate(8)];
    const plain = this.#allocate(4 * columns);
    const [squared, silu] = [this.#allocate(4 * columns), this.#allocate(4 * columns)];
    const [rotated, table] = [this.#floats(heads * headDim), this.#floats(headDim, 0.7)];
    const [found, threads, shares] = [this.#allocate(4 * columns), this.#allocate(256), this.#randomBytes(16)];
    return [
      this.#store(() => k.norm(huge, weight, normed, columns, 1e-5)),
      () => k.normQuantize(x, weight, normed, q, numbers, numbers + 4, columns, 1e-5),
      () => k.quantize(x, plain, q, numbers, numbers + 4, columns),
      () => k.gateRelu2(x, huge, squared, columns),
      () => k.gateSilu(huge, x, silu, columns),
      () => k.rope(rotated, table, heads, headDim),
      () => k.ropeAdjacent(rotated, table, heads, headDim),
      this.#store(() => k.atLeast(x, columns, 0.5, found)),
      this.#store(() => k.read(x, 4 * columns)),
      this.#store(() => k.takeShare(shares, 4, 70)),
      this.#store(() => k.pollChange(threads, 1, 1)),
      this.#store(() => k.barrier(threads, threads + 64, threads + 128, threads + 192, 1, 1)),
    ];
  }

  #dense(k: Kernels): (() => void)[] {
    const { columns, groups } = this.shape;
    const rows = 8 * groups;
    const [x, y, table] = [this.#floats(columns), this.#floats(3 * columns), this.#halves(rows * columns)];
    const [logits, decoded] = [this.#allocate(4 * rows), Array.from({ length: 9 }, () => this.#allocate(4 * columns))];
    const blocks = this.#halves(columns, 0xbf); // quantised blocks, and more; any two bytes may be a scale
    return [
      () => k.decodeF32(x, decoded[0], columns),
      () => k.decodeF16(table, decoded[1], columns),
      () => k.decodeBF16(table, decoded[2], columns),
      () => k.decodeQ8_0(blocks, decoded[3], columns),
      () => k.decodeQ6_K(blocks, decoded[4], columns),
      () => k.decodeQ4_0(blocks, decoded[5], columns),
      () => k.decodeQ4_K(blocks, decoded[6], columns),
      () => k.decodeQ2_0(blocks, decoded[7], columns),
      () => k.decodePQ2_0(blocks, decoded[8], columns),
      this.#store(() => k.dotF32(x, y, columns)),
      this.#store(() => k.firstNonFinite(table, columns, 2, 0x7c00)),
      () => k.logitsF16(table, x, logits, columns, rows, ...HALF),
      () => k.logitsBF16(table, x, logits, columns, rows),
      () => k.dotRows(x, y, logits, 8, columns, 3),
      ...this.#packed(k),
    ];
  }

  /** Rows of blocks times one row and four rows of floats, which agree in all bits. */
  #packed(k: Kernels): (() => void)[] {
    const { columns } = this.shape;
    const rows = 7;
    const table = this.#halves((rows * columns * 34) / 64);
    const [x, fixed, factors] = [
      this.#floats(4 * columns, 90),
      this.#allocate(16 * columns),
      this.#allocate(columns / 2),
    ];
    const outs = Array.from({ length: 4 }, () => this.#allocate(16 * rows));
    const part = (row: number) => [fixed + 4 * row * columns, factors + 4 * row, 16] as const;
    return [
      ...[0, 1, 2, 3].map((row) => () => k.fixedPoint(x + 4 * row * columns, ...part(row), columns)),
      () => k.rowsQ8_0(table, ...part(1), outs[0], columns, rows, ...PACKED),
      () => k.tileQ8_0(table, ...part(0), outs[1], 4 * rows, columns, rows, ...PACKED),
      () => k.rowsQ4_0(table, ...part(2), outs[2], columns, rows, ...PACKED),
      () => k.tileQ4_0(table, ...part(0), outs[3], 4 * rows, columns, rows, ...PACKED),
    ];
  }

  #head(k: Kernels): (() => void)[] {
    const { columns, groups } = this.shape;
    const rows = HEAD_GROUP * groups;
    const table = this.#floats(rows * columns);
    const [codes, numbers] = [this.#allocate(rows * columns), this.#allocate(groups * HEAD_NUMBERS)];
    const [x, u, factors] = [this.#floats(columns, 50), this.#allocate(2 * columns), this.#allocate(64)];
    const [lower, upper] = [this.#allocate(4 * rows), this.#allocate(4 * rows)];
    const packs = Array.from({ length: rows }, (_, row) => () => {
      const group = Math.floor(row / HEAD_GROUP);
      const to = [codes + group * HEAD_GROUP * columns, numbers + group * HEAD_NUMBERS] as const;
      k.headPack(table + 4 * columns * row, ...to, row % HEAD_GROUP, columns);
    });
    return [
      ...packs,
      () => k.headQuantize(x, u, factors, columns, scanLimit(columns)),
      () => k.headScan(codes, numbers, u, factors, lower, upper, columns, groups),
    ];
  }

  /** A chunk of positions in both precisions, folded into another. */
  #attention(k: Kernels): (() => void)[] {
    const { heads, headDim, positions } = this.shape;
    const limit = Math.floor(Math.sqrt((2 ** 31 - 1) / headDim));
    const line = 4 * headDim;
    const [q, rows] = [this.#floats(heads * headDim, 3), this.#floats(positions * headDim)];
    const [keys, values, keys16, values16] = [4, 4, 2, 2].map((bytes) => this.#allocate(CHUNK * headDim * bytes));
    const [keyScales, valueScales] = [this.#allocate(4 * CHUNK), this.#allocate(4 * CHUNK)];
    const scores = this.#allocate(heads * (4 * CHUNK + line + 64));
    const partial = heads * (line + 16);
    const [state, next, out] = [this.#allocate(partial), this.#allocate(partial), this.#allocate(heads * line)];
    const stores = Array.from({ length: positions }, (_, position) => () => {
      const from = rows + position * line;
      k.storeKey(from, keys, position, headDim);
      k.storeValue(from, values, position, headDim);
      k.storeKey16(from, keys16, keyScales, position, headDim, limit);
      k.storeValue16(from, values16, valueScales, position, headDim);
    });
    const folds = Array.from({ length: heads }, (_, head) => () => {
      k.fold(state + head * (line + 16), next + head * (line + 16), headDim);
      k.finish(state + head * (line + 16), out + head * line, headDim);
    });
    const cache = [keys16, values16, keyScales, valueScales] as const;
    return [
      ...stores,
      () => k.attendChunk(q, keys, values, positions, heads, headDim, scores, state),
      () => k.attendChunk16(q, ...cache, positions, heads, headDim, scores, next, limit),
      ...folds,
    ];
  }
}
