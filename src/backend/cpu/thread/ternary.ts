/**
 * The op `ternary`: one share of the rows of each matrix, for every row of the batch. Tiles of
 * 64 and 32 batch rows go by tables (asm/table.ts), what is left goes row by row (asm/ternary.ts); all give the same bits.
 */
import { COMMANDS } from "../commands.js";
import { MASKS } from "../kernels.js";
import { BLOCK_BYTES, type Op, type OpContext } from "./context.js";
import { GROUP, groupBytes } from "./load.js";

/** Batch rows of the largest tile of the table kernel. */
export const TILE = 64;

/**
 * [rows of a tile, fewest that are left to take one], the largest first. A tile costs the same whatever is in it: on Zen 3
 * one of 32 goes at 1.7 times the rate of rows one by one, one of 64 at 1.15 times that of 32.
 */
const TILES = [
  [TILE, 46],
  [TILE / 2, 20],
] as const;

/** Rows from which on a batch goes by tiles. */
export const TILED_ROWS = TILES[1][1];

/** Groups that the table kernel takes at a time: its scratch stays in a cache of 512 KB. */
export const TILE_GROUPS = 216;

/** Bytes of scratch of `tableDot`: 16 tables of 81 lines, (rows, tile) int16, (3, rows, 16) indices. */
export function tableScratchBytes(rows: number, tile: number): number {
  return 16 * 81 * 2 * tile + rows * (2 * tile + 3 * 16);
}

/** Bytes of a thread's scratch for a matrix: for the table kernel, or for the int32 sums of its rows. */
export function ternaryScratchBytes(rows: number, columns: number): number {
  return Math.max(tileScratch(0, columns, TILE).end, 4 * GROUP * Math.ceil(rows / GROUP));
}

function tileScratch(address: number, columns: number, tile: number) {
  const rows = GROUP * TILE_GROUPS;
  const factors = address + 2 * tile * columns; // (tile) float32
  const acc = factors + 4 * tile; // (rows, tile) int32
  const kernel = acc + 4 * tile * rows;
  return { input: address, factors, acc, kernel, end: kernel + tableScratchBytes(rows, tile) };
}

const ARGUMENTS = COMMANDS.ternary.at;
const MATRIX = ARGUMENTS.matrices.at;

/** The quantised input, and this thread's scratch. */
interface Input {
  readonly q: number; // (rows, columns) int8
  readonly scales: number;
  readonly sums: number;
  readonly columns: number;
  readonly scratch: number;
}

export const ternary: Op = (t, at) => {
  const w = t.words;
  const [q, columns] = [w[at + ARGUMENTS.values], w[at + ARGUMENTS.width]];
  const [scales, sums] = [w[at + ARGUMENTS.scales], w[at + ARGUMENTS.sums]];
  const input = { q, scales, sums, columns, scratch: t.scratch(at, ARGUMENTS.scratch) };
  const { first, words } = ARGUMENTS.matrices;
  const [begin, end] = [at + first, at + first + words * w[at + ARGUMENTS.matrices.count]];
  let row = 0;
  for (const [tile, fewest] of TILES) {
    for (; t.rows - row >= fewest; row += tile) {
      t.kernels.tableTranspose(q + row * columns, input.scratch, columns, tile);
      for (let matrix = begin; matrix < end; matrix += words) multiplyTile(t, matrix, input, row, tile);
    }
  }
  for (let matrix = begin; matrix < end; matrix += words) multiplyRows(t, matrix, input, row);
};

/** Batch rows `first` .. `first + tile`, as many as there are, times the matrix whose words begin at `matrix`. */
function multiplyTile(t: OpContext, matrix: number, x: Input, first: number, tile: number): void {
  const { weight, outputs, out, addTo, scale } = matrixAt(t, matrix);
  const s = tileScratch(x.scratch, x.columns, tile);
  const tokens = Math.min(tile, t.rows - first);
  for (let i = 0; i < tokens; i++) {
    t.floats[(s.factors >>> 2) + i] = scale * t.floats[(x.scales >>> 2) + first + i];
  }
  const [begin, end] = t.share(Math.ceil(outputs / GROUP));
  for (let group = begin; group < end; group += TILE_GROUPS) {
    const groups = Math.min(TILE_GROUPS, end - group);
    const from = weight + group * groupBytes(x.columns);
    t.kernels.tableDot(from, s.input, s.acc, s.kernel, x.columns, groups, tile, MASKS[0]);
    const rows = Math.min(groups * GROUP, outputs - group * GROUP);
    const to = 4 * (first * outputs + group * GROUP);
    t.kernels.tableScale(s.acc, out + to, addTo === 0 ? 0 : addTo + to, 4 * outputs, rows, tokens, s.factors, tile);
  }
}

function matrixAt(t: OpContext, at: number) {
  const w = t.words;
  return {
    weight: w[at + MATRIX.weight],
    outputs: w[at + MATRIX.rows],
    out: w[at + MATRIX.out],
    addTo: w[at + MATRIX.addTo],
    scale: t.float(at, MATRIX.scale),
  };
}

/** Batch rows from `firstRow` on, one by one, over blocks of weights that stay in the cache. */
function multiplyRows(t: OpContext, matrix: number, x: Input, firstRow: number): void {
  const { weight, outputs, out, addTo, scale } = matrixAt(t, matrix);
  const dot = t.kernels[t.job.dot];
  const [begin, end] = t.share(Math.ceil(outputs / GROUP));
  const bytes = groupBytes(x.columns);
  const step = t.rows - firstRow === 1 ? end - begin : Math.ceil(BLOCK_BYTES / bytes);
  for (let group = begin; group < end; group += step) {
    const groups = Math.min(step, end - group);
    const first = group * GROUP;
    const count = Math.min(groups * GROUP, outputs - first);
    for (let row = firstRow; row < t.rows; row++) {
      const sum = t.words[(x.sums >>> 2) + row];
      dot(weight + group * bytes, x.q + row * x.columns, x.scratch, x.columns, groups, sum, ...MASKS);
      const to = 4 * (row * outputs + first);
      const factor = scale * t.floats[(x.scales >>> 2) + row];
      t.kernels.ternaryScale(x.scratch, out + to, addTo === 0 ? 0 : addTo + to, count, factor);
    }
  }
}
