/**
 * In which order a file has its ternary codes, and whether it was trained at all: evidence from a few of its bytes, before
 * it is loaded. What this leaves open is decided by the loss of a text that any trained model finds plain (self-check.ts).
 */

import { TERNARY_LAYOUTS, type TernaryLayout, type WeightSource } from "../backend/backend.js";
import { rowBytes } from "../formats/format.js";
import { countsByColumn, LAYOUT_ROWS } from "../formats/i2_s.js";
import { readBytes } from "../formats/read.js";
import { denseFormatOf, formatOf, hasLayouts } from "../formats/table.js";
import { type Metadata, stringsOf, TERNARY_LAYOUT } from "../gguf/metadata.js";

/** Blocks that are looked into, and rows of a matrix in each: at most 255, see countsByColumn. */
const BLOCKS = 4;
const ROWS = 128;
/** Standard deviations from which on evidence counts. Chance gives as much once in 10^9 files. */
const EVIDENT = 6;
const PAIRS = 64;
/** Ids among which pairs of words are looked for: a vocabulary begins with its most frequent ones. */
const FREQUENT = 4096;

export interface LayoutGuess {
  /** likeliest first */
  readonly layouts: readonly TernaryLayout[];
  /** the first of them needs no further proof */
  readonly certain: boolean;
}

/**
 * A neuron of the feed-forward network that matters little has a small gain in ffn_sub_norm and few weights that are not 0
 * in its column of ffn_down. In the right layout the two agree by rank; in a wrong one the columns are mixed up.
 * Random weights show no such thing, and are taken to be in the standard layout.
 */
export async function guessLayout(sources: readonly WeightSource[], metadata: Metadata): Promise<LayoutGuess> {
  if (!sources.some(hasLayouts)) return { layouts: TERNARY_LAYOUTS.slice(0, 1), certain: true };
  const said = TERNARY_LAYOUTS.find((layout) => layout === metadata.get(TERNARY_LAYOUT));
  if (said !== undefined) return { layouts: [said], certain: true };
  const possible = TERNARY_LAYOUTS.filter((layout) => layout !== "rows4" || sources.every(hasWholeGroups));
  const evidence = await gainEvidence(sources, possible);
  const layouts = [...possible].sort((a, b) => evidence[possible.indexOf(b)] - evidence[possible.indexOf(a)]);
  const [best, second] = [...evidence].sort((a, b) => b - a);
  const evident = best > EVIDENT && best > 2 * second;
  if (evident) return { layouts, certain: layouts[0] === "block128" };
  return (await isTrained(sources[0], metadata))
    ? { layouts: possible, certain: false }
    : { layouts: ["block128"], certain: true };
}

const hasWholeGroups = (source: WeightSource) => !hasLayouts(source) || source.rows % LAYOUT_ROWS === 0;

/** For each layout, how far the rank correlation of gains and columns is from 0, in standard deviations. */
async function gainEvidence(sources: readonly WeightSource[], layouts: readonly TernaryLayout[]): Promise<number[]> {
  const gains = sources.filter(({ name }) => name.endsWith(".ffn_sub_norm.weight"));
  const downs = sources.filter(({ name }) => name.endsWith(".ffn_down.weight"));
  const blocks = Math.min(BLOCKS, gains.length);
  // all at once: each small read waits longer for its turn than for its bytes
  const read = await Promise.all(
    Array.from({ length: blocks }, (_, i) => {
      const block = Math.floor((i * gains.length) / blocks);
      const { type, rows, columns } = downs[block];
      const count = Math.min(ROWS, rows - (rows % LAYOUT_ROWS));
      const codes = readBytes(downs[block], 0, count * rowBytes(formatOf(type), columns));
      return Promise.all([columns, codes, readBytes(gains[block], 0, 4 * columns)]);
    }),
  );
  const sums = layouts.map(() => 0);
  for (const [columns, codes, gains] of read) {
    const gain = ranks(magnitudes(gains));
    layouts.forEach((layout, j) => {
      sums[j] += correlation(ranks(countsByColumn(codes, layout, columns)), gain) * Math.sqrt(columns - 1);
    });
  }
  return sums.map((sum) => sum / Math.sqrt(Math.max(1, blocks)));
}

/** Bits of the magnitudes of little-endian float32, which are in the order of the magnitudes. */
function magnitudes(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true) & 0x7fffffff);
}

/** Of equal values the first has the lower rank. At most 2^20 values. */
function ranks(values: Uint32Array): Float64Array {
  const n = values.length;
  const sorted = Float64Array.from(values, (value, i) => value * n + i).sort();
  const out = new Float64Array(n);
  for (let rank = 0; rank < n; rank++) out[sorted[rank] % n] = rank;
  return out;
}

/** Pearson's, of two rankings of the same length. */
function correlation(a: Float64Array, b: Float64Array): number {
  const middle = (a.length - 1) / 2;
  let [ab, aa] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += (a[i] - middle) * (b[i] - middle);
    aa += (a[i] - middle) ** 2;
  }
  return aa === 0 ? 0 : ab / aa;
}

/**
 * Training brings a word and the same word after a space together in the embedding; random rows are as near to each
 * other as chance has it. The embedding holds no codes: damaged ones leave this as it is.
 */
async function isTrained(table: WeightSource, metadata: Metadata): Promise<boolean> {
  const { type, rows, columns } = table;
  const format = denseFormatOf(type);
  const inRow = rowBytes(format, columns);
  const row = async (id: number) => format.decode(await readBytes(table, id * inRow, inRow), columns);
  const pairs = wordPairs(stringsOf(metadata, "tokenizer.ggml.tokens") ?? []).filter(
    (pair) => Math.max(...pair) < rows,
  );
  const cosines = await Promise.all(pairs.map(async ([a, b]) => cosine(await row(a), await row(b))));
  const mean = cosines.reduce((sum, x) => sum + x, 0) / Math.max(1, cosines.length);
  // the cosine of random rows has deviation 1 / sqrt(columns)
  return mean * Math.sqrt(cosines.length * columns) > EVIDENT;
}

/** Ids of words with and without the space before them. */
function wordPairs(tokens: readonly string[]): [number, number][] {
  const pieces = tokens.slice(0, FREQUENT);
  const ids = new Map(pieces.map((piece, id) => [piece, id]));
  const pairs: [number, number][] = [];
  for (const [id, piece] of pieces.entries()) {
    const spaced = /^[A-Za-z]{2,}$/.test(piece) ? (ids.get(`\u0120${piece}`) ?? ids.get(`\u2581${piece}`)) : undefined;
    if (spaced !== undefined) pairs.push([id, spaced]);
    if (pairs.length === PAIRS) break;
  }
  return pairs;
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i] * b[i];
    aa += a[i] ** 2;
    bb += b[i] ** 2;
  }
  return ab === 0 ? 0 : ab / Math.sqrt(aa * bb);
}
