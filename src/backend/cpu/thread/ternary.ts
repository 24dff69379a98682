/**
 * The op `ternary`: one share of the rows of each matrix, for every row of the batch. Tiles of
 * 64 and 32 batch rows go by tables (asm/table.ts), what is left goes row by row (asm/ternary.ts); all give the same bits.
 */
import { DOT_FORMS } from "../choice/forms.js";
import { COMMANDS } from "../commands.js";
import { MASKS } from "../kernels.js";
import { GROUP, groupBytes, SCALE_BLOCK, TILE_GROUPS, TILES, tileScratch } from "../sizes.js";
import { BLOCK_BYTES, type Op, type OpContext } from "./context.js";

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
      for (let matrix = begin; matrix < end; matrix += words) {
        if (w[matrix + MATRIX.scales] === 0) multiplyTile(t, matrix, input, row, tile);
      }
    }
  }
  for (let matrix = begin; matrix < end; matrix += words) {
    if (w[matrix + MATRIX.scales] === 0) multiplyRows(t, matrix, input, row);
    else multiplyBlocks(t, matrix, input);
  }
};

/** All rows of the batch times a matrix whose blocks have scales of their own. */
function multiplyBlocks(t: OpContext, matrix: number, x: Input): void {
  const { weight, outputs, out, addTo, scale, scales } = matrixAt(t, matrix);
  const form = DOT_FORMS.indexOf(t.job.dot);
  const [begin, end] = t.share(Math.ceil(outputs / GROUP));
  const groupScales = (4 * GROUP * x.columns) / SCALE_BLOCK;
  const step = Math.ceil(BLOCK_BYTES / groupBytes(x.columns));
  const sums = x.scratch + 4 * GROUP * (step + 1);
  for (let group = begin; group < end; group += step) {
    const groups = Math.min(step, end - group);
    const count = Math.min(groups * GROUP, outputs - group * GROUP);
    const [codes, factors] = [weight + group * groupBytes(x.columns), scales + group * groupScales];
    for (let row = 0; row < t.rows; row++) {
      const q = x.q + row * x.columns;
      t.kernels.blockSums(q, sums, x.columns);
      t.kernels.ternaryBlocks(codes, q, sums, factors, x.scratch, x.columns, groups, form, ...MASKS);
      const to = 4 * (row * outputs + group * GROUP);
      const factor = scale * t.floats[(x.scales >>> 2) + row];
      t.kernels.scaleFloats(x.scratch, out + to, addTo === 0 ? 0 : addTo + to, count, factor);
    }
  }
}

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
    scales: w[at + MATRIX.scales],
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
