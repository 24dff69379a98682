/**
 * Which I2_S layout a file has, and whether it was trained at all: evidence from a few of its bytes, before it is loaded.
 * What this leaves open is decided by the loss of a text that any trained model finds plain (self-check.ts).
 */
import { type FileHandle, open } from "node:fs/promises";
import type { TernaryLayout, WeightSource } from "../backend/backend.js";
import { decodeDense } from "../backend/decode.js";
import { LAYOUT_ROWS, toStandardLayout } from "../backend/layout.js";
import type { GgufValue } from "../gguf/gguf.js";

const LAYOUTS: readonly TernaryLayout[] = ["block128", "block64", "rows4"];
/** Blocks that are looked into, and rows of a matrix in each. */
const BLOCKS = 4;
const ROWS = 128;
/** Standard deviations from which on evidence counts. Chance gives as much once in 10^9 files. */
const EVIDENT = 6;
const PAIRS = 256;

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
export async function guessLayout(
  sources: readonly WeightSource[],
  metadata: ReadonlyMap<string, GgufValue>,
): Promise<LayoutGuess> {
  const file = await open(sources[0].path);
  try {
    const possible = LAYOUTS.filter((layout) => layout !== "rows4" || sources.every(hasWholeGroups));
    const evidence = await gainEvidence(file, sources, possible);
    const layouts = [...possible].sort((a, b) => evidence[possible.indexOf(b)] - evidence[possible.indexOf(a)]);
    const [best, second] = [...evidence].sort((a, b) => b - a);
    const evident = best > EVIDENT && best > 2 * second;
    if (evident) return { layouts, certain: layouts[0] === "block128" };
    return (await isTrained(file, sources[0], metadata))
      ? { layouts: possible, certain: false }
      : { layouts: ["block128"], certain: true };
  } finally {
    await file.close();
  }
}

const hasWholeGroups = ({ type, rows }: WeightSource) => type !== "I2_S" || rows % LAYOUT_ROWS === 0;

/** For each layout, how far the rank correlation of gains and columns is from 0, in standard deviations. */
async function gainEvidence(file: FileHandle, sources: readonly WeightSource[], layouts: readonly TernaryLayout[]) {
  const gains = sources.filter(({ name }) => name.endsWith(".ffn_sub_norm.weight"));
  const downs = sources.filter(({ name }) => name.endsWith(".ffn_down.weight"));
  const blocks = Math.min(BLOCKS, gains.length);
  const sums = layouts.map(() => 0);
  for (let i = 0; i < blocks; i++) {
    const block = Math.floor((i * gains.length) / blocks);
    const { rows, columns, offset } = downs[block];
    const count = Math.min(ROWS, rows - (rows % LAYOUT_ROWS));
    const codes = await read(file, offset, (count * columns) / 4);
    const gain = ranks(decodeDense("F32", await read(file, gains[block].offset, 4 * columns), columns).map(Math.abs));
    layouts.forEach((layout, j) => {
      const copy = codes.slice();
      toStandardLayout(layout, copy, columns);
      sums[j] += correlation(ranks(columnCounts(copy, columns)), gain) * Math.sqrt(columns - 1);
    });
  }
  return sums.map((sum) => sum / Math.sqrt(Math.max(1, blocks)));
}

/** (columns) weights of each column that are not 0; `codes` in the standard layout */
function columnCounts(codes: Uint8Array, columns: number): Int32Array {
  const counts = new Int32Array(columns);
  const rowBytes = columns / 4;
  for (let i = 0; i < codes.length; i++) {
    const inRow = i % rowBytes;
    const column = 4 * (inRow - (inRow % 32)) + (inRow % 32);
    for (let n = 0; n < 4; n++) if (((codes[i] >> (6 - 2 * n)) & 3) !== 1) counts[column + 32 * n]++;
  }
  return counts;
}

function ranks(values: Int32Array | Float32Array): Float64Array {
  const order = Array.from(values, (_, i) => i).sort((a, b) => values[a] - values[b]);
  const out = new Float64Array(values.length);
  for (const [rank, i] of order.entries()) out[i] = rank;
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
 * Training brings a word and the same word behind a space together in the embedding; random rows are as near to each
 * other as chance has it. The embedding holds no codes: damaged ones leave this as it is.
 */
async function isTrained(
  file: FileHandle,
  { type, rows, columns, offset, byteLength }: WeightSource,
  metadata: ReadonlyMap<string, GgufValue>,
): Promise<boolean> {
  if (type === "I2_S") return false;
  const rowBytes = byteLength / rows;
  const row = async (id: number) => decodeDense(type, await read(file, offset + id * rowBytes, rowBytes), columns);
  const pairs = wordPairs(metadata.get("tokenizer.ggml.tokens")).filter((pair) => Math.max(...pair) < rows);
  const cosines: number[] = [];
  for (const [a, b] of pairs) cosines.push(cosine(await row(a), await row(b)));
  const mean = cosines.reduce((sum, x) => sum + x, 0) / Math.max(1, cosines.length);
  // the cosine of random rows has deviation 1 / sqrt(columns)
  return mean * Math.sqrt(cosines.length * columns) > EVIDENT;
}

/** Ids of words with and without the space before them. */
function wordPairs(tokens: GgufValue | undefined): [number, number][] {
  if (typeof tokens !== "object" || tokens.type !== "STRING") return [];
  const pieces = tokens.values as readonly string[];
  const ids = new Map(pieces.map((piece, id) => [piece, id]));
  const pairs: [number, number][] = [];
  for (const [id, piece] of pieces.entries()) {
    const spaced = /^[A-Za-z]{2,}$/.test(piece) ? ids.get(`\u0120${piece}`) : undefined;
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

async function read(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await file.read(bytes, 0, length, position);
  return bytes;
}
