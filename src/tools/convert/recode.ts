/** The bytes of a weight in another type, batch by batch. Whether the change is sound the callers decide. */
import type { WeightSource } from "../../backend/backend.js";
import { TernionError } from "../../errors.js";
import { absmeanCodes, absmeanScale, sumOfMagnitudes } from "../../formats/absmean.js";
import { checkHalf, DENSE_ENCODERS, encodeTQ2 } from "../../formats/encode.js";
import { rowBytes } from "../../formats/format.js";
import { LAYOUT_ROWS, packI2S, tailOf } from "../../formats/i2_s.js";
import { readBytes, readScale } from "../../formats/read.js";
import { denseFormatOf, formatOf, hasLayouts } from "../../formats/table.js";
import { TQ2_0 } from "../../formats/tq2_0.js";

type Bytes = AsyncGenerator<Uint8Array>;

/** Weights of a batch, where a few rows are not more. */
const BATCH = 1 << 17;

interface Rows {
  readonly first: number;
  readonly count: number;
}

/** Whole groups of rows, in order. */
function* batchesOf({ rows, columns }: WeightSource, signal: AbortSignal | undefined): Generator<Rows> {
  const most = Math.max(1, Math.floor(BATCH / columns / LAYOUT_ROWS)) * LAYOUT_ROWS;
  for (let first = 0; first < rows; first += most) {
    signal?.throwIfAborted();
    yield { first, count: Math.min(most, rows - first) };
  }
}

function read(source: WeightSource, { first, count }: Rows): Promise<Uint8Array<ArrayBuffer>> {
  const inRow = rowBytes(formatOf(source.type), source.columns);
  return readBytes(source, first * inRow, count * inRow);
}

async function* floatsOf(source: WeightSource, signal: AbortSignal | undefined): AsyncGenerator<Float32Array> {
  const format = denseFormatOf(source.type);
  const inRow = rowBytes(format, source.columns);
  for (const rows of batchesOf(source, signal)) {
    const bytes = await read(source, rows);
    format.check(source, bytes, rows.first * inRow);
    yield format.decode(bytes, rows.count * source.columns);
  }
}

/** Floats in another type of floats. */
export async function* asDense(source: WeightSource, type: string, signal?: AbortSignal): Bytes {
  const encode = DENSE_ENCODERS[type];
  const format = denseFormatOf(type);
  const inRow = rowBytes(format, source.columns);
  let at = 0;
  for await (const values of floatsOf(source, signal)) {
    const bytes = encode(values);
    format.check(source, bytes, at); // a value beyond the type's range
    yield bytes;
    at += (values.length / source.columns) * inRow;
  }
}

/** Floats made ternary by their mean magnitude, in the type that has one scale. They are read twice. */
export async function* asAbsmean(source: WeightSource, signal?: AbortSignal): Bytes {
  let sum = 0;
  for await (const values of floatsOf(source, signal)) sum += sumOfMagnitudes(values);
  const scale = absmeanScale(sum, source.rows * source.columns);
  for await (const values of floatsOf(source, signal)) {
    const codes = new Uint8Array(values.length);
    absmeanCodes(values, scale, codes);
    yield packedCodes(codes);
  }
  yield tailOf(scale);
}

function packedCodes(codes: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(codes.length / 4);
  packI2S(codes, bytes);
  return bytes;
}

/** Ternary values with a scale for each `group` of them. */
interface Ternary {
  readonly values: Int8Array;
  readonly scales: Float32Array;
  readonly group: number;
}

/** `group` does not exceed a batch. */
async function* ternaryOf(source: WeightSource, signal: AbortSignal | undefined): AsyncGenerator<Ternary> {
  const format = formatOf(source.type);
  if (format.kind !== "ternary") throw new TypeError(`${source.name}: expected a ternary weight, got ${source.type}`);
  const tail = hasLayouts(source) ? tailOf(await readScale(source)) : new Uint8Array();
  for (const rows of batchesOf(source, signal)) {
    const codes = await read(source, rows);
    const bytes = new Uint8Array(codes.length + tail.length);
    bytes.set(codes);
    bytes.set(tail, codes.length);
    yield format.decode({ ...source, rows: rows.count }, bytes);
  }
}

const isAllZero = (values: Int8Array) => values.every((value) => value === 0);

/** Ternary weights with a scale for each block, which they have or get. */
export async function* asBlocks(source: WeightSource, signal?: AbortSignal): Bytes {
  for await (const { values, scales, group } of ternaryOf(source, signal)) {
    if (values.includes(2)) throw notTernary(source);
    const blocks = values.length / TQ2_0.block;
    const each = Float32Array.from({ length: blocks }, (_, n) => scales[Math.floor((n * TQ2_0.block) / group)]);
    for (const scale of new Set(each)) checkHalf(source.name, scale);
    yield encodeTQ2(values, each);
  }
}

/** Ternary weights with one scale, where theirs are all one but for blocks of zeros. They are read twice. */
export async function* asOneScale(source: WeightSource, signal?: AbortSignal): Bytes {
  const scale = await oneScaleOf(source, signal);
  for await (const { values, scales, group } of ternaryOf(source, signal)) {
    const codes = new Uint8Array(values.length);
    for (let i = 0; i < codes.length; i++) codes[i] = scales[Math.floor(i / group)] === 0 ? 1 : values[i] + 1;
    yield packedCodes(codes);
  }
  yield tailOf(scale);
}

async function oneScaleOf(source: WeightSource, signal: AbortSignal | undefined): Promise<number> {
  let found: number | undefined;
  for await (const { values, scales, group } of ternaryOf(source, signal)) {
    if (values.includes(2)) throw notTernary(source);
    for (const [n, scale] of scales.entries()) {
      if (scale === 0 || isAllZero(values.subarray(n * group, (n + 1) * group))) continue;
      found ??= scale;
      if (scale !== found || scale < 0) throw manyScales(source, found, scale);
    }
  }
  return found ?? absmeanScale(0, 1);
}

function manyScales({ name, type }: WeightSource, one: number, other: number): TernionError {
  return new TernionError(
    "MODEL_TENSOR",
    `${name}: expected one positive scale for all of the weight, got ${one} and ${other} in its ${type} blocks. ` +
      "Choose a type with a scale for each block.",
  );
}

function notTernary({ name, type }: WeightSource): TernionError {
  return new TernionError("MODEL_TENSOR", `${name}: expected weights of -1, 0 and 1, got 2 in its ${type} blocks.`);
}
