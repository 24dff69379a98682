/**
 * The exact head: the best ids of a row without computing every logit from the table. Each share scans the int8 copy of
 * its part of the table, which bounds every logit from both sides; a row whose upper bound is below the k-th largest
 * lower bound of the share cannot be among the best k. What is left, a few dozen rows, is computed from the table by the
 * kernel of the full head. asm/head.ts has the bounds. A packed table has no copy: all its logits are computed, and each is
 * its own bound.
 */
import { COMMANDS, DENSE_TYPES, type DenseType, isPacked } from "../commands.js";
import { HALF } from "../kernels.js";
import { allows, maskOf } from "../masks.js";
import { resultBytes, writeResult } from "../results.js";
import { HEAD_GROUP, HEAD_NUMBERS, headScratch, headShareRows, scanLimit } from "../sizes.js";
import { BLOCK_BYTES, type Op, type OpContext } from "./context.js";
import { fixedAt, multiply } from "./dense.js";

const PACK = COMMANDS.headPack.at;
const BEST = COMMANDS.best.at;

/** Writes the int8 copy of this share of the table's rows. */
export const headPack: Op = (t, at) => {
  const w = t.words;
  const [table, rowBytes] = [w[at + PACK.table.address], w[at + PACK.table.rowBytes]];
  const [columns, vocabulary] = [w[at + PACK.table.columns], w[at + PACK.table.rows]];
  const [codes, numbers] = [w[at + PACK.codes], w[at + PACK.numbers]];
  const decode = t.kernels[`decode${DENSE_TYPES[w[at + PACK.table.type]]}`];
  const row = t.scratch(at, PACK.scratch);
  const [begin, end] = t.share(Math.ceil(vocabulary / HEAD_GROUP));
  const last = Math.min(vocabulary, HEAD_GROUP * end);
  for (let id = HEAD_GROUP * begin; id < last; id++) {
    const group = Math.floor(id / HEAD_GROUP);
    const lane = id % HEAD_GROUP;
    decode(table + id * rowBytes, row, columns);
    t.kernels.headPack(row, codes + group * HEAD_GROUP * columns, numbers + group * HEAD_NUMBERS, lane, columns);
  }
};

export const best: Op = (t, at) => {
  const w = t.words;
  const [table, rowBytes] = [w[at + BEST.table.address], w[at + BEST.table.rowBytes]];
  const [x, columns, vocabulary] = [w[at + BEST.x], w[at + BEST.table.columns], w[at + BEST.table.rows]];
  const ranked = w[at + BEST.ranked];
  const [codes, numbers] = [w[at + BEST.codes], w[at + BEST.numbers]];
  const [results, count] = [w[at + BEST.results], w[at + BEST.count]];
  const type = DENSE_TYPES[w[at + BEST.table.type]];
  const [begin, end] = t.share(Math.ceil(vocabulary / HEAD_GROUP));
  const rows = headShareRows(vocabulary, t.parts);
  const s = headScratch(t.scratch(at, BEST.scratch), columns, w[at + BEST.maxRows], rows);
  const first = HEAD_GROUP * begin;
  const length = Math.min(HEAD_GROUP * end, vocabulary) - first;
  const packed = isPacked(type);
  if (packed) {
    const share = { type, address: table, rowBytes, columns, begin: first, end: first + length };
    const input = { x, rows: ranked, ...fixedAt(t, at, BEST.fixed), row: s.row };
    multiply(t, share, input, { address: s.lower - 4 * first, stride: s.boundBytes });
  } else scan(t, { x, ranked, columns, codes, numbers, begin, end }, s);
  for (let j = 0; j < ranked; j++) {
    const share = {
      first,
      length,
      lower: s.lower + j * s.boundBytes,
      upper: (packed ? s.lower : s.upper) + j * s.boundBytes,
      found: s.found,
      mask: maskOf(w, w[at + BEST.masks], j),
    };
    const input = x + 4 * j * columns;
    const exact = (id: number) =>
      packed
        ? rankable(t.floats[(share.lower >>> 2) + id - first])
        : exactLogit(t, table + id * rowBytes, type, input, s.row, columns);
    const top = w[at + BEST.int8] === 1 ? pickApproximate(t, share, count) : pick(t, share, count, exact);
    writeResult(t.memory, results + (j * t.parts + t.part) * resultBytes(count), top);
  }
};

interface Scanned {
  readonly x: number;
  /** rows of x */
  readonly ranked: number;
  readonly columns: number;
  readonly codes: number;
  readonly numbers: number;
  /** groups */
  readonly begin: number;
  readonly end: number;
}

/** Bounds of the logits of this share, for every ranked row. */
function scan(
  t: OpContext,
  { x, ranked, columns, codes, numbers, begin, end }: Scanned,
  s: ReturnType<typeof headScratch>,
): void {
  const { headQuantize, headScan } = t.kernels;
  for (let j = 0; j < ranked; j++) {
    const input = s.inputs + j * s.inputBytes;
    headQuantize(x + 4 * j * columns, input, input + s.factors, columns, scanLimit(columns));
  }
  const step = ranked === 1 ? end - begin : Math.ceil(BLOCK_BYTES / (HEAD_GROUP * columns));
  for (let group = begin; group < end; group += step) {
    const groups = Math.min(step, end - group);
    const [from, scales] = [codes + group * HEAD_GROUP * columns, numbers + group * HEAD_NUMBERS];
    for (let j = 0; j < ranked; j++) {
      const input = s.inputs + j * s.inputBytes;
      const to = j * s.boundBytes + 4 * HEAD_GROUP * (group - begin);
      headScan(from, scales, input, input + s.factors, s.lower + to, s.upper + to, columns, groups);
    }
  }
}

/** One logit by the kernels of the full head, as it ranks: Infinity for NaN, so that it is not lost; `row` is scratch. */
function exactLogit(t: OpContext, from: number, type: DenseType, x: number, row: number, columns: number): number {
  if (type === "F16") {
    t.kernels.logitsF16(from, x, row, columns, 1, ...HALF);
    return rankable(t.floats[row >>> 2]);
  }
  t.kernels[`decode${type}`](from, row, columns);
  return rankable(t.kernels.dotF32(row, x, columns));
}

/** NaN would rank nowhere; Infinity ranks first, and is refused as NaN is. */
const rankable = (logit: number) => (Number.isNaN(logit) ? Number.POSITIVE_INFINITY : logit);

/** Bounds of the logits of consecutive rows of the table. */
interface Share {
  /** id of the first row */
  readonly first: number;
  readonly length: number;
  readonly lower: number;
  readonly upper: number;
  readonly found: number;
  /** address of the mask of ids, or 0 */
  readonly mask: number;
}

/** The best `count` by the middle of their bounds. */
function pickApproximate(t: OpContext, { first, length, lower, upper, mask }: Share, count: number): TopList {
  const top = new TopList(count);
  for (let i = 0; i < length; i++) {
    if (allows(t.words, mask, first + i))
      top.add(first + i, rankable((t.floats[(lower >>> 2) + i] + t.floats[(upper >>> 2) + i]) / 2));
  }
  return top;
}

/**
 * The best `count` of a share: allowed ids whose upper bound reaches the count-th largest lower bound of such ids, computed
 * exactly.
 */
function pick(t: OpContext, share: Share, count: number, exact: (id: number) => number): TopList {
  const bounds = new TopList(count);
  visit(
    t,
    share,
    share.lower,
    () => bounds.least,
    (i, bound) => bounds.add(i, Number.isNaN(bound) ? Number.NEGATIVE_INFINITY : bound),
  );
  const threshold = bounds.least;
  const top = new TopList(count);
  visit(
    t,
    share,
    share.upper,
    () => threshold,
    (i) => top.add(share.first + i, exact(share.first + i)),
  );
  return top;
}

/** Values looked at between two looks at the threshold. */
const STRIDE = 1024;

/** Calls `use` for each allowed id of the share whose value reaches the threshold, in ascending order. */
function visit(
  t: OpContext,
  { first, length, found, mask }: Share,
  values: number,
  threshold: () => number,
  use: (index: number, value: number) => void,
): void {
  for (let at = 0; at < length; at += STRIDE) {
    const n = Math.min(STRIDE, length - at);
    const hits = t.kernels.atLeast(values + 4 * at, n, threshold(), found);
    for (let h = 0; h < hits; h++) {
      const i = at + t.words[(found >>> 2) + h];
      if (allows(t.words, mask, first + i)) use(i, t.floats[(values >>> 2) + i]);
    }
  }
}

/** The `count` largest values seen, the largest first; of equal ones the earlier stays ahead. */
class TopList {
  readonly ids: Int32Array;
  readonly values: Float32Array;
  length = 0;

  constructor(readonly count: number) {
    this.ids = new Int32Array(count);
    this.values = new Float32Array(count);
  }

  /** The value that a newcomer must reach. */
  get least(): number {
    return this.length < this.count ? Number.NEGATIVE_INFINITY : this.values[this.count - 1];
  }

  add(id: number, value: number): void {
    if (this.length === this.count && !(value > this.least)) return;
    let at = Math.min(this.length, this.count - 1);
    for (; at > 0 && this.values[at - 1] < value; at--) {
      this.ids[at] = this.ids[at - 1];
      this.values[at] = this.values[at - 1];
    }
    this.ids[at] = id;
    this.values[at] = value;
    this.length = Math.min(this.length + 1, this.count);
  }
}
