/**
 * The op `ternary` on one thread: this thread's share of the rows of each matrix, for every row of the batch. Whole tiles
 * of 32 batch rows go by tables (asm/table.ts), what is left goes row by row (asm/ternary.ts); both give the same bits.
 */
import { MASKS } from "./kernels.js";
import { GROUP, groupBytes } from "./loader.js";
import { BLOCK_BYTES, type Op, type OpContext } from "./op-context.js";

/** Batch rows of one tile of the table kernel. */
export const TOKENS = 32;

/** A tile with fewer rows than this is faster row by row (90 against 53 GMAC/s of a whole tile on Zen 3). */
const FEWEST_TOKENS = 20;

/** Bytes of 16 tables and their indices, as asm/table.ts has them. */
const TABLE_BYTES = 16 * 81 * 2 * TOKENS + 128;

/** Bytes of a thread's scratch for a matrix: transposed input, factors, int32 sums, tables and int16 sums. */
export function ternaryScratchBytes(rows: number, columns: number, threads: number): number {
  const share = GROUP * (Math.floor(Math.ceil(rows / GROUP) / threads) + 1);
  return scratchOf(0, columns, share).end;
}

function scratchOf(address: number, columns: number, rows: number) {
  const factors = address + 2 * TOKENS * columns; // (TOKENS) float32
  const acc = factors + 4 * TOKENS; // (rows, TOKENS) int32
  const tables = acc + 4 * TOKENS * rows; // TABLE_BYTES, then (rows, TOKENS) int16
  return { input: address, factors, acc, tables, end: Math.ceil((tables + TABLE_BYTES + 2 * TOKENS * rows) / 64) * 64 };
}

/** Arguments before the list of projections, and of one projection. */
const ARGUMENTS = 7;
const PROJECTION_ARGUMENTS = 5;

/** The quantised input, and this thread's scratch. */
interface Input {
  readonly q: number; // (rows, columns) int8
  readonly scales: number;
  readonly sums: number;
  readonly columns: number;
  readonly scratch: number;
}

interface Matrix {
  readonly weight: number;
  readonly outputs: number;
  readonly out: number;
  readonly addTo: number;
  readonly scale: number;
}

export const ternary: Op = (t, at) => {
  const [q, scales, sums, columns, scratch, scratchBytes, count] = t.words.subarray(at, at + ARGUMENTS);
  const input = { q, scales, sums, columns, scratch: scratch + t.job.thread * scratchBytes };
  const matrices = Array.from({ length: count }, (_, i): Matrix => {
    const from = at + ARGUMENTS + i * PROJECTION_ARGUMENTS;
    const [weight, outputs, out, addTo] = t.words.subarray(from, from + 4);
    return { weight, outputs, out, addTo, scale: t.floats[from + 4] };
  });
  let row = 0;
  for (; t.rows - row >= FEWEST_TOKENS; row += TOKENS) {
    t.kernels.tableTranspose(q + row * columns, input.scratch, columns);
    for (const matrix of matrices) multiplyTile(t, matrix, input, row);
  }
  for (const matrix of matrices) multiplyRows(t, matrix, input, row);
};

/** Batch rows `first` .. `first + TOKENS`, as many as there are. */
function multiplyTile(t: OpContext, { weight, outputs, out, addTo, scale }: Matrix, x: Input, first: number): void {
  const [begin, end] = t.share(Math.ceil(outputs / GROUP));
  const s = scratchOf(x.scratch, x.columns, GROUP * (end - begin));
  const tokens = Math.min(TOKENS, t.rows - first);
  for (let i = 0; i < tokens; i++) {
    t.floats[(s.factors >>> 2) + i] = scale * t.floats[(x.scales >>> 2) + first + i];
  }
  const from = weight + begin * groupBytes(x.columns);
  t.kernels.tableDot(from, s.input, s.acc, s.tables, x.columns, end - begin, MASKS[0]);
  const to = 4 * (first * outputs + begin * GROUP);
  const rows = Math.min(end * GROUP, outputs) - begin * GROUP;
  t.kernels.tableScale(s.acc, out + to, addTo === 0 ? 0 : addTo + to, 4 * outputs, rows, tokens, s.factors);
}

/** Batch rows from `firstRow` on, one by one, over blocks of weights that stay in the cache. */
function multiplyRows(t: OpContext, { weight, outputs, out, addTo, scale }: Matrix, x: Input, firstRow: number): void {
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
