/**
 * Sizes that the main thread lays memory out by and the worker threads compute with. Those that asm/ has as well have the
 * same names there; the binary exports them, and kernels.ts compares.
 */
import type { PositionShape } from "../backend.js";

const line = (bytes: number) => Math.ceil(bytes / 64) * 64;

// Ternary matrices

/** Rows of one packed group. */
export const GROUP = 8;

/** Bytes of one packed group. */
export const groupBytes = (columns: number) => 2 * columns;

/** Columns of a block that has a scale of its own, where not the whole weight has one. */
export const SCALE_BLOCK = 256;

/** Batch rows of the largest tile of the table kernel. */
export const TILE = 64;

/**
 * [rows of a tile, fewest that are left to take one], the largest first. A tile costs the same whatever is in it: on Zen 3
 * one of 32 goes at 1.7 times the rate of rows one by one, one of 64 at 1.15 times that of 32.
 */
export const TILES = [
  [TILE, 46],
  [TILE / 2, 20],
] as const;

/** Rows from which on a batch goes by tiles. */
export const TILED_ROWS = TILES[1][1];

/** Groups that the table kernel takes at a time: its scratch stays in a cache of 512 KB. */
export const TILE_GROUPS = 216;

/** Lines of the table of 4 columns; columns whose tables are in use at a time; columns that int16 sums. */
export const TABLE_ENTRIES = 81;
export const TABLE_BLOCK = 64;
export const TABLE_RUN = 192;

/** Bytes of scratch of `tableDot`: the tables of a block, (rows, tile) int16, and for each 4 columns of a run an index a row. */
export function tableScratchBytes(rows: number, tile: number): number {
  return (TABLE_BLOCK / 4) * TABLE_ENTRIES * 2 * tile + rows * (2 * tile + TABLE_RUN / 4);
}

/** Where the parts of a thread's scratch for tiles lie. */
export function tileScratch(address: number, columns: number, tile: number) {
  const rows = GROUP * TILE_GROUPS;
  const factors = address + 2 * tile * columns; // (tile) float32
  const acc = factors + 4 * tile; // (rows, tile) int32
  const kernel = acc + 4 * tile * rows;
  return { input: address, factors, acc, kernel, end: kernel + tableScratchBytes(rows, tile) };
}

/** Bytes of a thread's scratch for a matrix: for the table kernel, or for the int32 sums of its rows. */
export function ternaryScratchBytes(rows: number, columns: number): number {
  // sums of rows, of one group more, and of the blocks of a row
  const sums = 4 * GROUP * (Math.ceil(rows / GROUP) + 1) + 4 * Math.ceil(columns / SCALE_BLOCK);
  return Math.max(tileScratch(0, columns, TILE).end, sums);
}

// Matrices of quantised blocks

/** Columns of a block of fixed point. */
export const FIXED_BLOCK = 32;

/** Rows of a table, or of a batch, that are multiplied side by side. */
export const PACKED_ROWS = 4;

/** Bytes of the factors of a block of `rows` rows in fixed point. */
export const factorStride = (rows: number) => 4 * PACKED_ROWS * Math.ceil(rows / PACKED_ROWS);

/** Bytes of rows in fixed point: their integers, then their factors. */
export const fixedBytes = (rows: number, columns: number) => 4 * rows * columns;
export const factorBytes = (rows: number, columns: number) => factorStride(rows) * Math.ceil(columns / FIXED_BLOCK);

// The cache and attention

/** Positions of one attention chunk. */
export const CHUNK = 128;

/** Bytes of one cached element. */
export const elementBytes = ({ type = "f32" }: PositionShape) => (type === "f32" ? 4 : 2);

/** Floats of one head's partial result before the headDim ones of the mix: its max, its sum, two unused. */
export const PARTIAL_HEADER = 4;
export const partialFloats = (headDim: number) => PARTIAL_HEADER + headDim;

/** Bytes of a thread's scores for the heads of one unit: CHUNK floats, 16-bit query and its scale for each. */
export const scoreBytes = (group: number, headDim: number) => line(group * (4 * CHUNK + 2 * headDim + 4));

/** Batch rows that go through a chunk of keys and values one after another, so that it is read from memory once. */
export const TILE_ROWS = 16;

/** Partial results that one thread of `attend` works with: those of a tile, and one more. */
export const TILE_PARTIALS = TILE_ROWS + 1;

/** Units (row, key-value head) a thread from which on a thread does whole ones instead of chunks. */
export const SPLIT_UNITS = 4;

// The exact head

/** Rows of one packed group. */
export const HEAD_GROUP = 4;
/** Bytes of scales and norms of one group. */
export const HEAD_NUMBERS = 64;

/** Largest |u|, so that sums of `columns` products with int8 codes stay exact in int32. */
export const scanLimit = (columns: number) => Math.min(8191, Math.floor((2 ** 31 - 1) / (127 * columns)));

/** Most rows of the table in one share. */
export const headShareRows = (vocabulary: number, shares: number) =>
  HEAD_GROUP * (Math.floor(Math.ceil(vocabulary / HEAD_GROUP) / shares) + 1);

/** Where the parts of a thread's scratch for `best` lie; `rows` of the table in a share. */
export function headScratch(address: number, columns: number, maxRows: number, rows: number) {
  const row = address; // (columns) float32, one decoded row of the table
  const inputBytes = line(2 * columns) + 64;
  const inputs = row + line(4 * columns); // for each ranked row: (columns) int16, 3 factors
  const boundBytes = line(4 * rows);
  const lower = inputs + maxRows * inputBytes; // for each ranked row: (rows) float32
  const upper = lower + maxRows * boundBytes;
  const found = upper + maxRows * boundBytes; // (rows) int32
  return {
    row,
    inputs,
    inputBytes,
    factors: line(2 * columns),
    lower,
    upper,
    boundBytes,
    found,
    end: found + boundBytes,
  };
}

/** Bytes of a thread's scratch for `best`. */
export function headScratchBytes(columns: number, maxRows: number, shares: number, vocabulary: number): number {
  return headScratch(0, columns, maxRows, headShareRows(vocabulary, shares)).end;
}
