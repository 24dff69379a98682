/**
 * Products of a table, or a matrix, of floats or of quantised blocks with rows of floats: `linear`, `logits`, and the exact
 * logits of `best`. Nothing is rounded to the type of the weights. Which rows of x go together changes no bit.
 */
import type { Offsets } from "../../record.js";
import { COMMANDS, DENSE_TYPES, type Dense, type DenseType, type Fixed, isPacked } from "../commands.js";
import { HALF, PACKED } from "../kernels.js";
import { FIXED_BLOCK, PACKED_ROWS } from "../sizes.js";
import { BLOCK_BYTES, type Op, type OpContext } from "./context.js";

const FIXED = COMMANDS.fixedPoint.at;
const LINEAR = COMMANDS.linear.at;
const LOGITS = COMMANDS.logits.at;

/** Where a table lies. */
interface Table {
  readonly type: DenseType;
  readonly address: number;
  readonly rowBytes: number;
  readonly columns: number;
  /** rows of it to be multiplied */
  readonly begin: number;
  readonly end: number;
}

/** Rows of floats. */
interface Input {
  readonly x: number; // (rows, columns) float32
  readonly rows: number;
  /** the same in fixed point, for the types that are packed: integers, factors, and bytes to the factors of the next block */
  readonly fixed: number;
  readonly factors: number;
  readonly factorStride: number;
  /** room for a decoded row of the table */
  readonly row: number;
}

/** Element (row of x, row of the table) is at address + row of x * stride + 4 * row of the table. */
interface Output {
  readonly address: number;
  readonly stride: number;
}

/** x in fixed point, the share's part of all its blocks. */
export const fixedPoint: Op = (t, at) => {
  const w = t.words;
  const [x, values, factors] = [w[at + FIXED.x], w[at + FIXED.fixed.values], w[at + FIXED.fixed.factors]];
  const [stride, width] = [w[at + FIXED.fixed.stride], w[at + FIXED.width]];
  const blocks = width / FIXED_BLOCK;
  const [begin, end] = t.share(w[at + FIXED.rows] * blocks);
  for (let block = begin; block < end; ) {
    const [row, first] = [Math.floor(block / blocks), block % blocks];
    const count = Math.min(blocks - first, end - block);
    const from = 4 * FIXED_BLOCK * block; // as many bytes in both forms
    t.kernels.fixedPoint(x + from, values + from, factors + first * stride + 4 * row, stride, FIXED_BLOCK * count);
    block += count;
  }
};

export const linear: Op = (t, at) => {
  const w = t.words;
  const input = inputOf(t, at, LINEAR, w[at + LINEAR.x], t.rows);
  const { first, words, count } = LINEAR.matrices;
  for (let i = 0; i < w[at + count]; i++) multiplyMatrix(t, at + first + i * words, input);
};

/** One matrix of `linear`. */
function multiplyMatrix(t: OpContext, at: number, input: Input): void {
  const w = t.words;
  const { table, out: outAt, addTo, factor } = LINEAR.matrices.at;
  const [out, sum, by, outputs] = [w[at + outAt], w[at + addTo], t.float(at, factor), w[at + table.rows]];
  const share = shareOf(t, at, table);
  multiply(t, share, input, { address: out, stride: 4 * outputs });
  if (by === 1 && sum === 0) return;
  for (let j = 0; j < input.rows; j++) {
    const to = 4 * (j * outputs + share.begin);
    t.kernels.scaleFloats(out + to, out + to, sum === 0 ? 0 : sum + to, share.end - share.begin, by);
  }
}

export const logits: Op = (t, at) => {
  const w = t.words;
  const input = inputOf(t, at, LOGITS, w[at + LOGITS.x], w[at + LOGITS.rows]);
  const stride = 4 * w[at + LOGITS.table.rows];
  multiply(t, shareOf(t, at, LOGITS.table), input, { address: w[at + LOGITS.out], stride });
};

function inputOf(t: OpContext, at: number, command: typeof LINEAR | typeof LOGITS, x: number, rows: number): Input {
  return { x, rows, ...fixedAt(t, at, command.fixed), row: t.scratch(at, command.scratch) };
}

export function fixedAt(t: OpContext, at: number, fixed: Offsets<Fixed>) {
  const w = t.words;
  return { fixed: w[at + fixed.values], factors: w[at + fixed.factors], factorStride: w[at + fixed.stride] };
}

/** This share of the table whose words stand at `table`, from word `at` on: whole groups of rows. */
function shareOf(t: OpContext, at: number, table: Offsets<Dense>): Table {
  const w = t.words;
  const rows = w[at + table.rows];
  const [begin, end] = t.share(Math.ceil(rows / PACKED_ROWS));
  return {
    type: DENSE_TYPES[w[at + table.type]],
    address: w[at + table.address],
    rowBytes: w[at + table.rowBytes],
    columns: w[at + table.columns],
    begin: PACKED_ROWS * begin,
    end: Math.min(PACKED_ROWS * end, rows),
  };
}

/** out = table . x: blocks of the table's rows that stay in the cache, for all rows of x. */
export function multiply(t: OpContext, table: Table, x: Input, { address, stride }: Output): void {
  const { type, rowBytes, begin, end } = table;
  const step = x.rows === 1 ? end - begin : PACKED_ROWS * Math.ceil(BLOCK_BYTES / (PACKED_ROWS * rowBytes));
  const kernel = isPacked(type) ? packed : floats;
  for (let first = begin; first < end; first += step) {
    const block = { ...table, begin: first, end: Math.min(first + step, end) };
    kernel(t, block, x, { address: address + 4 * first, stride });
  }
}

/** `out`: of the first of these rows of the table. */
function packed(t: OpContext, { type, address, rowBytes, columns, begin, end }: Table, x: Input, out: Output): void {
  if (!isPacked(type)) return;
  const [from, rows, n] = [address + begin * rowBytes, end - begin, columns];
  const { fixed, factors, factorStride: stride } = x;
  let j = 0;
  for (; j + PACKED_ROWS <= x.rows; j += PACKED_ROWS) {
    const to = out.address + j * out.stride;
    t.kernels[`tile${type}`](from, fixed + 4 * j * n, factors + 4 * j, stride, to, out.stride, n, rows, ...PACKED);
  }
  for (; j < x.rows; j++) {
    const to = out.address + j * out.stride;
    t.kernels[`rows${type}`](from, fixed + 4 * j * n, factors + 4 * j, stride, to, n, rows, ...PACKED);
  }
}

/** `out`: of the first of these rows of the table. */
function floats(t: OpContext, table: Table, x: Input, out: Output): void {
  const { type, address, rowBytes, columns, begin, end } = table;
  const from = address + begin * rowBytes;
  const rows = end - begin;
  if (x.rows === 1 && type === "F16") t.kernels.logitsF16(from, x.x, out.address, columns, rows, ...HALF);
  else if (x.rows === 1 && type === "BF16") t.kernels.logitsBF16(from, x.x, out.address, columns, rows);
  else decoded(t, table, x, out);
}

/** Rows of x that a decoded row of the table is used for: they stay in the cache from one to the next. */
const FLOAT_ROWS = 16;

function decoded(t: OpContext, { type, address, rowBytes, columns, begin, end }: Table, x: Input, out: Output): void {
  const decode = type === "F32" ? undefined : t.kernels[`decode${type}`];
  for (let first = 0; first < x.rows; first += FLOAT_ROWS) {
    const [input, to] = [x.x + 4 * first * columns, out.address + first * out.stride];
    const count = Math.min(FLOAT_ROWS, x.rows - first);
    for (let i = 0; i < end - begin; i++) {
      const from = address + (begin + i) * rowBytes;
      decode?.(from, x.row, columns);
      t.kernels.dotRows(decode ? x.row : from, input, to + 4 * i, out.stride, columns, count);
    }
  }
}
