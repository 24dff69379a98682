/**
 * Bytes -> metadata and tensor table, without I/O. Takes GGUF v2 and v3 (which differ only in that v3 may be
 * big-endian) and trusts nothing: any input gives a file that holds together or a TernionError.
 *
 * What is refused beyond the format: arrays of arrays (no model has them), and tensors that overlap.
 */
import { quote } from "../errors.js";
import { Cursor } from "./cursor.js";
import type { GgufArray, GgufHead, GgufTensor, GgufValue } from "./file.js";
import { ALIGNMENT, DEFAULT_ALIGNMENT, MetadataReader } from "./metadata.js";
import { decodeStrings } from "./strings.js";
import {
  type GgmlType,
  type GgufValueType,
  ggmlByteLength,
  ggmlLayout,
  ggmlTypeOf,
  NUMERIC_ARRAYS,
  type NumericType,
  VALUE_TYPES,
} from "./types.js";

const MAGIC = 0x46554747; // "GGUF"
const MAX_DIMS = 4;
/** Key-values, tensors. The largest models have a few thousand; a JavaScript Map holds 2^24. */
const MAX_ENTRIES = 1 << 20;
const MAX_ARRAY = 1 << 22;
/** key length, type, one byte of value */
const MIN_KEY_VALUE_BYTES = 8 + 4 + 1;
/** name length, number of dims, one dim, type, offset */
const MIN_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8;

/** Parses a whole file in memory. `name` is for errors. */
export function parseGguf(bytes: Uint8Array, name = "(bytes)"): GgufHead {
  return parseHead(bytes, bytes.byteLength, name);
}

/** Parses from the first bytes of a file of `byteLength`; throws HeadTooShort when they are not enough. */
export function parseHead(bytes: Uint8Array, byteLength: number, name: string): GgufHead {
  const cursor = new Cursor(bytes, byteLength, name);
  const version = readVersion(cursor);
  const tensorCount = cursor.count("the tensor count", MIN_TENSOR_BYTES, MAX_ENTRIES);
  const keyCount = cursor.count("the key-value count", MIN_KEY_VALUE_BYTES, MAX_ENTRIES);

  const { metadata, valueTypes } = readMetadata(cursor, keyCount);
  const keys = new MetadataReader(metadata, (problem) => cursor.error("GGUF_ALIGNMENT", problem));
  const alignment = keys.get("general.alignment", ALIGNMENT, DEFAULT_ALIGNMENT);
  const table = readTensorTable(cursor, tensorCount);
  const dataOffset = Math.ceil(cursor.offset / alignment) * alignment;
  const tensors = placeTensors(cursor, withFormOfQ2(table, byteLength - dataOffset), dataOffset, alignment);

  return { name, version, metadata, valueTypes, tensors, alignment, dataOffset, byteLength };
}

function readVersion(cursor: Cursor): number {
  const magic = cursor.u32("the magic number");
  if (magic !== MAGIC) {
    const got = magic.toString(16).padStart(8, "0");
    cursor.fail("GGUF_MAGIC", `not a GGUF file: expected the magic number 46554747 ("GGUF"), got ${got}`);
  }
  const version = cursor.u32("the version");
  if (version !== 0 && (version & 0xffff) === 0) {
    cursor.fail("GGUF_ENDIAN", "the file is big-endian, expected little-endian; convert it or get the usual build");
  }
  if (version !== 2 && version !== 3) {
    cursor.fail("GGUF_VERSION", `expected GGUF version 2 or 3, got ${version}; convert the model again`);
  }
  return version;
}

function readMetadata(cursor: Cursor, count: number) {
  const metadata = new Map<string, GgufValue>();
  const valueTypes = new Map<string, GgufValueType>();
  for (let i = 0; i < count; i++) {
    const key = cursor.string(`the name of key-value ${i}`);
    if (metadata.has(key)) cursor.fail("GGUF_DUPLICATE", `the key ${quote(key)} occurs twice; the file is damaged`);
    const type = readValueType(cursor, key);
    metadata.set(key, type === "ARRAY" ? readArray(cursor, key) : readScalar(cursor, type, key));
    valueTypes.set(key, type);
  }
  return { metadata, valueTypes };
}

function readValueType(cursor: Cursor, key: string): GgufValueType {
  const id = cursor.u32(`the type of ${quote(key)}`);
  return VALUE_TYPES[id] ?? cursor.fail("GGUF_VALUE_TYPE", `${quote(key)} has value type ${id}, expected 0 to 12`);
}

function readScalar(cursor: Cursor, type: Exclude<GgufValueType, "ARRAY">, key: string): GgufValue {
  const what = `the value of ${quote(key)}`;
  switch (type) {
    case "U8":
      return cursor.u8(what);
    case "I8":
      return cursor.i8(what);
    case "U16":
      return cursor.u16(what);
    case "I16":
      return cursor.i16(what);
    case "U32":
      return cursor.u32(what);
    case "I32":
      return cursor.i32(what);
    case "F32":
      return cursor.f32(what);
    case "F64":
      return cursor.f64(what);
    case "U64":
      return safeNumber(cursor.u64(what));
    case "I64":
      return safeNumber(cursor.i64(what));
    case "BOOL":
      return readBool(cursor, what);
    case "STRING":
      return cursor.string(what);
    default:
      return type satisfies never;
  }
}

function safeNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function readBool(cursor: Cursor, what: string): boolean {
  const byte = cursor.u8(what);
  if (byte > 1) cursor.fail("GGUF_VALUE_TYPE", `${what} is a boolean, expected 0 or 1, got ${byte}`);
  return byte === 1;
}

function readArray(cursor: Cursor, key: string): GgufArray {
  const type = readValueType(cursor, key);
  const what = `the array ${quote(key)}`;
  if (type === "ARRAY") {
    cursor.fail("GGUF_VALUE_TYPE", `${what} is an array of arrays, expected numbers, booleans or strings`);
  }
  const size = type === "STRING" ? 8 : type === "BOOL" ? 1 : NUMERIC_ARRAYS[type].BYTES_PER_ELEMENT;
  const count = cursor.count(`the length of ${what}`, size, MAX_ARRAY);
  if (type === "STRING") return stringArray(cursor.strings(count, what), count);
  if (type === "BOOL") return { type, values: readMany(count, () => readBool(cursor, what)) };
  return { type, values: readNumbers(cursor, type, count, what) };
}

function readMany<T>(count: number, read: () => T): T[] {
  const values: T[] = [];
  for (let i = 0; i < count; i++) values.push(read());
  return values;
}

/**
 * Strings are made when first asked for: the 408,403 of a Llama-3 vocabulary take three times as long as all the rest of
 * a head, and only a tokenizer needs them.
 */
function stringArray(bytes: Uint8Array<ArrayBuffer>, count: number): GgufArray {
  let strings: readonly string[] | undefined;
  const decoded = () => {
    strings ??= decodeStrings(bytes, count);
    return strings;
  };
  return {
    type: "STRING",
    get values() {
      return decoded();
    },
  };
}

/** The bytes of the file are the array: every machine that Node runs this on is little-endian, as WebAssembly is. */
function readNumbers(cursor: Cursor, type: NumericType, count: number, what: string) {
  const buffer = cursor.copy(count * NUMERIC_ARRAYS[type].BYTES_PER_ELEMENT, what);
  return new NUMERIC_ARRAYS[type](buffer);
}

/** Tensors as the file has them, with offsets from the start of the data. */
function readTensorTable(cursor: Cursor, count: number): Map<string, GgufTensor> {
  const table = new Map<string, GgufTensor>();
  for (let i = 0; i < count; i++) {
    const tensor = readTensor(cursor, i);
    if (table.has(tensor.name)) {
      cursor.fail("GGUF_DUPLICATE", `the tensor ${quote(tensor.name)} occurs twice; the file is damaged`);
    }
    table.set(tensor.name, tensor);
  }
  return table;
}

function readTensor(cursor: Cursor, index: number): GgufTensor {
  const name = cursor.string(`the name of tensor ${index}`);
  const what = `tensor ${quote(name)}`;
  const dimCount = cursor.u32(`the number of dims of ${what}`);
  if (dimCount < 1 || dimCount > MAX_DIMS) {
    cursor.fail("GGUF_DIMS", `${what}: expected 1 to ${MAX_DIMS} dims, got ${dimCount}`);
  }
  const dims = readMany(dimCount, () => cursor.size(`a dim of ${what}`));
  const id = cursor.u32(`the type of ${what}`);
  const type = ggmlTypeOf(id);
  if (type === undefined) cursor.fail("GGUF_TENSOR_TYPE", `${what} has type ${id}, which is not known here`);
  const byteLength = checkSize(cursor, what, type, dims);
  return { name, type, dims, offset: cursor.size(`the offset of ${what}`), byteLength };
}

function checkSize(cursor: Cursor, what: string, type: GgmlType, dims: readonly number[]): number {
  const { block } = ggmlLayout(type);
  const shape = `[${dims.join(", ")}]`;
  if (dims.includes(0)) cursor.fail("GGUF_DIMS", `${what} is ${shape}, expected every dim to be at least 1`);
  if ((dims[0] as number) % block !== 0) {
    cursor.fail("GGUF_DIMS", `${what} is ${shape}, expected rows of a multiple of ${block} weights for ${type}`);
  }
  const elements = dims.reduce((product, dim) => product * dim, 1);
  const byteLength = ggmlByteLength(type, elements);
  // a product that was rounded on the way is over 2^53 as well: all factors are whole numbers
  if (elements > Number.MAX_SAFE_INTEGER || byteLength > Number.MAX_SAFE_INTEGER) {
    cursor.fail("GGUF_OVERFLOW", `${what} is ${shape} of ${type}, expected less than 2^53 bytes`);
  }
  return byteLength;
}

/**
 * Q2_0 had blocks of 128 weights before it had blocks of 64, under the same number. A file is taken for one of the older form
 * where its tensors overlap otherwise, and do not so. `dataLength`: bytes of all tensors.
 */
function withFormOfQ2(table: Map<string, GgufTensor>, dataLength: number): Map<string, GgufTensor> {
  if (![...table.values()].some(({ type }) => type === "Q2_0") || fits(table, dataLength)) return table;
  const older = new Map<string, GgufTensor>();
  for (const [name, tensor] of table) {
    const isQ2 = tensor.type === "Q2_0";
    if (isQ2 && tensor.dims[0] % ggmlLayout("Q2_0_128").block !== 0) return table;
    const elements = tensor.dims.reduce((product, dim) => product * dim, 1);
    older.set(name, isQ2 ? { ...tensor, type: "Q2_0_128", byteLength: ggmlByteLength("Q2_0_128", elements) } : tensor);
  }
  return fits(older, dataLength) ? older : table;
}

/** Whether no tensor of type Q2_0 reaches into the next one, or beyond the data. */
function fits(table: ReadonlyMap<string, GgufTensor>, dataLength: number): boolean {
  const sorted = [...table.values()].sort((a, b) => a.offset - b.offset);
  return sorted.every(({ type, offset, byteLength }, i) => {
    return !type.startsWith("Q2_0") || offset + byteLength <= (sorted[i + 1]?.offset ?? dataLength);
  });
}

/** Makes offsets absolute and checks that tensors are aligned, inside the file, and apart from each other. */
function placeTensors(cursor: Cursor, table: Map<string, GgufTensor>, dataOffset: number, alignment: number) {
  const tensors = new Map<string, GgufTensor>();
  for (const [name, tensor] of table) {
    if (tensor.offset % alignment !== 0) {
      cursor.fail(
        "GGUF_OFFSET",
        `tensor ${quote(name)} is at ${tensor.offset} of the data, expected a multiple of ${alignment}`,
      );
    }
    const offset = dataOffset + tensor.offset;
    const end = offset + tensor.byteLength;
    if (end > cursor.fileLength) {
      cursor.fail(
        "GGUF_TRUNCATED",
        `tensor ${quote(name)} ends at byte ${end}, but the file has ${cursor.fileLength}; get the file again`,
      );
    }
    tensors.set(name, { ...tensor, offset });
  }
  checkApart(cursor, tensors);
  return tensors;
}

function checkApart(cursor: Cursor, tensors: ReadonlyMap<string, GgufTensor>): void {
  const sorted = [...tensors.values()].sort((a, b) => a.offset - b.offset);
  sorted.reduce<GgufTensor | undefined>((before, tensor) => {
    if (before && before.offset + before.byteLength > tensor.offset) {
      cursor.fail(
        "GGUF_OFFSET",
        `tensors ${quote(before.name)} and ${quote(tensor.name)} overlap at byte ${tensor.offset}; the file is damaged`,
      );
    }
    return tensor;
  }, undefined);
}
