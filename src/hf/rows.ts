/**
 * Tensors of a directory whose bytes differ from those of a GGUF file, made row by row when they are read: rows in another
 * order, ternary codes in another packing, floats of another type. Reads are bounded: a batch of rows at a time.
 */
import type { Weight } from "../backend/backend.js";
import { TernionError } from "../errors.js";
import { absmeanCodes, absmeanScale, sumOfMagnitudes } from "../formats/absmean.js";
import type { DenseFormat } from "../formats/format.js";
import { packI2S, tailOf } from "../formats/i2_s.js";
import { denseFormatOf } from "../formats/table.js";
import type { StoredTensor } from "./safetensors.js";

/** What stands in the place of a stored tensor. */
export interface MadeTensor {
  readonly byteLength: number;
  /** Fills all of `into` with the bytes from `offset` on. */
  read(offset: number, into: Uint8Array): Promise<void>;
}

/** How its rows are made. */
interface Rows {
  readonly count: number;
  readonly rowBytes: number;
  /** rows made at once */
  readonly batch: number;
  /** The bytes of `count` rows from `first` on. */
  make(first: number, count: number): Promise<Uint8Array>;
  /** What comes after the last row. */
  tail?(): Promise<Uint8Array>;
  readonly tailBytes: number;
}

/** Most bytes of stored rows read at once. */
const BATCH = 1 << 20;

const batchOf = (storedRow: number) => Math.max(1, Math.floor(BATCH / storedRow));

function made({ count, rowBytes, batch, make, tail, tailBytes }: Rows): MadeTensor {
  const codes = count * rowBytes;
  const byteLength = codes + tailBytes;
  return {
    byteLength,
    async read(offset, into) {
      for (let done = 0; done < into.byteLength; ) {
        const at = offset + done;
        const isTail = at >= codes;
        const first = Math.floor(at / rowBytes);
        const last = Math.floor((offset + into.byteLength - 1) / rowBytes);
        const part =
          isTail && tail ? await tail() : await make(first, Math.min(batch, count - first, last - first + 1));
        const skipped = at - (isTail ? codes : first * rowBytes);
        const piece = part.subarray(skipped, skipped + into.byteLength - done);
        into.set(piece, done);
        done += piece.byteLength;
      }
    },
  };
}

/** Where row `row` of the tensor in a GGUF file lies in the stored one. */
export type RowOrder = (row: number) => number;

export const inOrder: RowOrder = (row) => row;

/**
 * Of q and k: row i of a half of a head becomes row 2 i, and of the other half 2 i + 1, since llama.cpp's `llama` graph turns
 * adjacent elements (its converter: `LlamaModel.permute`).
 */
export const adjacentPairs =
  (headDim: number): RowOrder =>
  (row) => {
    const inHead = row % headDim;
    return row - inHead + (inHead % 2) * (headDim / 2) + Math.floor(inHead / 2);
  };

/** Stored rows, gathered. They lie near each other, as rows of a head do: what lies between them is read too. */
async function gather(tensor: StoredTensor, rows: readonly number[], rowBytes: number): Promise<Uint8Array> {
  const [low, high] = rows.reduce(([a, b], row) => [Math.min(a, row), Math.max(b, row)], [rows[0], rows[0]]);
  const span = new Uint8Array((high - low + 1) * rowBytes);
  await tensor.bytes.read(tensor.offset + low * rowBytes, span);
  if (rows.every((row, i) => row === low + i)) return span;
  const out = new Uint8Array(rows.length * rowBytes);
  for (const [i, row] of rows.entries()) {
    out.set(span.subarray((row - low) * rowBytes, (row - low + 1) * rowBytes), i * rowBytes);
  }
  return out;
}

const rowsFrom = (first: number, count: number, order: RowOrder) =>
  Array.from({ length: count }, (_, i) => order(first + i));

/** Rows as they are, in another order. */
export function reordered(tensor: StoredTensor, order: RowOrder): MadeTensor {
  const count = tensor.shape[0];
  const rowBytes = tensor.byteLength / count;
  const make = (first: number, rows: number) => gather(tensor, rowsFrom(first, rows, order), rowBytes);
  return made({ count, rowBytes, batch: batchOf(rowBytes), make, tailBytes: 0 });
}

/** One row, in float32. */
export function asFloats(tensor: StoredTensor): MadeTensor {
  const columns = tensor.shape[0];
  const make = async () => bytesOf(await floatsOf(tensor, [0], columns));
  return made({ count: 1, rowBytes: 4 * columns, batch: 1, make, tailBytes: 0 });
}

/** Numbers that no file holds. */
export function ofValues(values: Float32Array): MadeTensor {
  const make = async () => bytesOf(values);
  return made({ count: 1, rowBytes: values.byteLength, batch: 1, make, tailBytes: 0 });
}

const bytesOf = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** Stored rows of floats, each finite. */
async function floatsOf(tensor: StoredTensor, rows: readonly number[], columns: number): Promise<Float32Array> {
  const format = floatFormatOf(tensor);
  const bytes = await gather(tensor, rows, columns * format.bytes);
  const weight: Weight = { name: tensor.name, rows: rows.length, columns };
  format.check(weight, bytes);
  return format.decode(bytes, rows.length * columns);
}

const FLOATS = ["F32", "F16", "BF16"];

export const isFloat = ({ dtype }: StoredTensor): boolean => FLOATS.includes(dtype);

/** dtypes of floats have the names of GGUF's types. */
const floatFormatOf = ({ dtype }: StoredTensor): DenseFormat => denseFormatOf(dtype);

/** The numbers of a small tensor. */
export async function readFloats(tensor: StoredTensor): Promise<Float32Array> {
  return floatsOf(
    tensor,
    [0],
    tensor.shape.reduce((product, size) => product * size, 1),
  );
}

/** Codes of ternary weights, 0 to 2, a byte each, and the scale that multiplies code - 1. */
export interface Codes {
  readonly rows: number;
  readonly columns: number;
  /** bytes read for a row */
  readonly storedRow: number;
  read(rows: readonly number[]): Promise<Uint8Array>;
  scale(): Promise<number>;
}

/** The ternary type of a GGUF file, out of codes. */
export function packed(codes: Codes, order: RowOrder): MadeTensor {
  const { rows: count, columns, storedRow } = codes;
  const rowBytes = columns / 4;
  const make = async (first: number, rows: number) => {
    const out = new Uint8Array(rows * rowBytes);
    packI2S(await codes.read(rowsFrom(first, rows, order)), out);
    return out;
  };
  const tail = async () => tailOf(await codes.scale());
  return made({ count, rowBytes, batch: batchOf(storedRow), make, tail, tailBytes: 32 });
}

/**
 * uint8 of (rows / 4, columns): row r + i * (rows / 4) of the weight is in bits 2 i and 2 i + 1 of row r (transformers,
 * `pack_weights`).
 */
export function packedCodes(tensor: StoredTensor, scale: () => Promise<number>): Codes {
  const [quarter, columns] = tensor.shape;
  const read = async (rows: readonly number[]) => {
    const out = new Uint8Array(rows.length * columns);
    for (let first = 0, end = 0; first < rows.length; first = end) {
      const part = Math.floor(rows[first] / quarter);
      end = first + 1;
      while (end < rows.length && Math.floor(rows[end] / quarter) === part) end++;
      const stored = rows.slice(first, end).map((row) => row % quarter);
      const bytes = await gather(tensor, stored, columns);
      shift(bytes, 2 * part, out.subarray(first * columns, end * columns));
    }
    return out;
  };
  return { rows: 4 * quarter, columns, storedRow: columns, read, scale };
}

/** The two bits at `bit` of each byte; lengths are multiples of 4. */
function shift(bytes: Uint8Array, bit: number, out: Uint8Array): void {
  const from = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const to = new Uint32Array(out.buffer, out.byteOffset, out.byteLength / 4);
  for (let i = 0; i < to.length; i++) to[i] = (from[i] >>> bit) & 0x03030303;
}

/** Floats that are -1, 0 or 1 (transformers, `AutoBitLinear` after its load hook). */
export function unpackedCodes(tensor: StoredTensor, scale: () => Promise<number>): Codes {
  const [count, columns] = tensor.shape;
  const read = async (rows: readonly number[]) => {
    const values = await floatsOf(tensor, rows, columns);
    const codes = new Uint8Array(values.length);
    for (const [i, value] of values.entries()) {
      if (value !== -1 && value !== 0 && value !== 1) throw notTernary(tensor, value);
      codes[i] = value + 1;
    }
    return codes;
  };
  return { rows: count, columns, storedRow: columns * floatFormatOf(tensor).bytes, read, scale };
}

function notTernary({ name }: StoredTensor, value: number): TernionError {
  const message = `${name}: expected -1, 0 and 1 beside a weight_scale, got ${value}. The file is damaged.`;
  return new TernionError("MODEL_CODES", message);
}

/** Master weights of training, made ternary by their mean magnitude. */
export function masterCodes(tensor: StoredTensor): Codes {
  const [count, columns] = tensor.shape;
  const storedRow = columns * floatFormatOf(tensor).bytes;
  let found: Promise<number> | undefined;
  const scale = () => {
    found ??= meanOf(tensor, batchOf(storedRow)).catch((error) => {
      found = undefined;
      throw error;
    });
    return found;
  };
  const read = async (rows: readonly number[]) => {
    const codes = new Uint8Array(rows.length * columns);
    absmeanCodes(await floatsOf(tensor, rows, columns), await scale(), codes);
    return codes;
  };
  return { rows: count, columns, storedRow, read, scale };
}

async function meanOf(tensor: StoredTensor, batch: number): Promise<number> {
  const [count, columns] = tensor.shape;
  let sum = 0;
  for (let first = 0; first < count; first += batch) {
    const rows = rowsFrom(first, Math.min(batch, count - first), inOrder);
    sum += sumOfMagnitudes(await floatsOf(tensor, rows, columns));
  }
  return absmeanScale(sum, count * columns);
}
