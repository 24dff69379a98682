/**
 * The head of a safetensors file, read: 8 bytes of little-endian header length, a JSON header (name → dtype, shape,
 * data_offsets), then the data, without holes. The rules are those of the format's own reader
 * (github.com/huggingface/safetensors, README, "Format"). Nothing that a header says is trusted: any input gives tensors that
 * hold together or a TernionError.
 */
import type { ByteSource } from "../backend/backend.js";
import { integerKind, isRecord } from "../check.js";
import { quote, TernionError } from "../errors.js";

/** A tensor as the file has it. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: Dtype;
  /** outermost first */
  readonly shape: readonly number[];
  readonly bytes: ByteSource;
  /** from the start of `bytes` */
  readonly offset: number;
  readonly byteLength: number;
}

/** Bytes of a value. */
const DTYPES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;
export type Dtype = keyof typeof DTYPES;

const LENGTH_BYTES = 8;
/** The limit of the format. */
const MAX_HEADER = 100_000_000;
const MAX_DIMS = 8;

const SIZE = integerKind(0);

/** All tensors of a file, in the order of their bytes. */
export async function readSafetensors(bytes: ByteSource): Promise<StoredTensor[]> {
  const length = await headerLength(bytes);
  const header = new Uint8Array(length);
  await bytes.read(LENGTH_BYTES, header);
  const start = LENGTH_BYTES + length;
  const tensors = Object.entries(parseHeader(bytes.name, header))
    .filter(([name]) => name !== "__metadata__")
    .map(([name, entry]) => readEntry(bytes, start, name, entry));
  tensors.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  checkPlaces(bytes, start, tensors);
  return tensors;
}

async function headerLength(bytes: ByteSource): Promise<number> {
  const { name, size } = bytes;
  if (size < LENGTH_BYTES) throw damaged(name, `expected a header, got ${size} bytes`);
  const word = new Uint8Array(LENGTH_BYTES);
  await bytes.read(0, word);
  const length = new DataView(word.buffer).getBigUint64(0, true);
  const most = Math.min(MAX_HEADER, size - LENGTH_BYTES);
  if (length <= BigInt(most)) return Number(length);
  throw damaged(name, `expected a header of at most ${most} bytes, got ${length}`);
}

function parseHeader(name: string, bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const header: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (isRecord(header)) return { ...header };
  } catch {
    // the parser's own words quote the file
  }
  throw damaged(name, "expected a header of one JSON object, got other bytes");
}

function readEntry(bytes: ByteSource, start: number, name: string, entry: unknown): StoredTensor {
  const { dtype, shape, data_offsets: offsets } = Object(entry) as Readonly<Record<string, unknown>>;
  const refuse = (problem: string) => damaged(bytes.name, `tensor ${quote(name)}: ${problem}`);
  if (!isDtype(dtype)) throw refuse(`expected dtype ${Object.keys(DTYPES).join(" or ")}`);
  if (!isSizes(shape) || shape.length > MAX_DIMS) throw refuse(`expected a shape of at most ${MAX_DIMS} sizes`);
  if (!isSizes(offsets) || offsets.length !== 2) throw refuse("expected data_offsets of two positions");
  const [begin, end] = offsets;
  const expected = shape.reduce((product, size) => product * size, DTYPES[dtype]);
  // a product that was rounded on the way is no safe integer
  if (!SIZE.holds(expected) || end - begin !== expected) {
    throw refuse(`expected ${expected} bytes of ${dtype} [${shape.join(", ")}], got ${end - begin}`);
  }
  return { name, dtype, shape, bytes, offset: start + begin, byteLength: expected };
}

const isDtype = (value: unknown): value is Dtype => typeof value === "string" && Object.hasOwn(DTYPES, value);

const isSizes = (value: unknown): value is number[] => Array.isArray(value) && value.every((each) => SIZE.holds(each));

/** Each tensor begins where the one before it ends, and the last ends with the file. */
function checkPlaces({ name, size }: ByteSource, start: number, tensors: readonly StoredTensor[]): void {
  let end = start;
  for (const tensor of tensors) {
    if (tensor.offset !== end) {
      const got = `got ${tensor.offset - start}`;
      throw damaged(name, `tensor ${quote(tensor.name)}: expected it to begin at ${end - start}, ${got}`);
    }
    end += tensor.byteLength;
  }
  if (end !== size) throw damaged(name, `expected ${end} bytes with this header, got ${size}`);
}

function damaged(name: string, problem: string): TernionError {
  return new TernionError("SAFETENSORS", `${name}: ${problem}. The file is damaged or incomplete; get it again.`);
}
