/**
 * Makes the bytes of GGUF v3 files: the head from plain data, then each tensor's bytes as they are produced, so that a file
 * far larger than memory can be made. Wrong sizes, names and values are the caller's mistakes (RangeError, TypeError).
 */
import type { GgufArray, GgufHead, GgufValue } from "./file.js";
import { ALIGNMENT, DEFAULT_ALIGNMENT } from "./metadata.js";
import {
  type GgmlType,
  type GgufValueType,
  ggmlByteLength,
  ggmlLayout,
  NUMERIC_ARRAYS,
  type NumericArray,
  VALUE_TYPES,
} from "./types.js";

const MAGIC = 0x46554747; // "GGUF"
const VERSION = 3;

export interface GgufKeyValue {
  readonly key: string;
  readonly type: GgufValueType;
  readonly value: GgufValue;
}

export interface GgufTensorInfo {
  readonly name: string;
  readonly type: GgmlType;
  /** innermost first */
  readonly dims: readonly number[];
}

export interface GgufTensorSource extends GgufTensorInfo {
  /** The tensor's bytes in order. A chunk is written before the next is asked for, so one buffer may serve them all. */
  data(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export interface GgufContents<T extends GgufTensorInfo = GgufTensorSource> {
  readonly metadata: readonly GgufKeyValue[];
  readonly tensors: readonly T[];
}

export interface WriteOptions {
  /** called after each chunk with bytes so far of all bytes */
  onProgress?(written: number, total: number): void;
}

/** The head's bytes, padded to where the data begins, and where each tensor goes (bytes from the start of the file). */
export interface GgufPlan {
  readonly head: Uint8Array;
  readonly offsets: readonly number[];
  /** of the whole file */
  readonly byteLength: number;
}

/** The key-values of a file that was read, fit to be written again. */
export function keyValues(file: GgufHead): GgufKeyValue[] {
  return [...file.metadata].map(([key, value]) => ({ key, value, type: file.valueTypes.get(key) as GgufValueType }));
}

export function planGguf(contents: GgufContents<GgufTensorInfo>): GgufPlan {
  const alignment = alignmentOf(contents.metadata);
  checkUnique(contents.metadata.map(({ key }) => key));
  checkUnique(contents.tensors.map(({ name }) => name));
  const sizes = contents.tensors.map(byteLengthOf);
  const starts: number[] = []; // from the start of the data
  let end = 0;
  for (const size of sizes) {
    starts.push(end);
    end = padded(end + size, alignment);
  }
  const head = encodeHead(contents, starts, alignment);
  const offsets = starts.map((start) => head.byteLength + start);
  return { head, offsets, byteLength: head.byteLength + end };
}

/** Where a file is written to: a file of the platform, memory. */
export interface ByteSink {
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Makes it so long, with zeros where nothing was written. */
  setLength(byteLength: number): Promise<void>;
}

/** Writes the head, and each tensor's bytes as they are produced. */
export async function writeContents(
  to: ByteSink,
  tensors: readonly GgufTensorSource[],
  plan: GgufPlan,
  options: WriteOptions,
): Promise<void> {
  await to.write(plan.head, 0);
  for (const [i, tensor] of tensors.entries()) {
    const start = plan.offsets[i] as number;
    const length = byteLengthOf(tensor);
    let written = 0;
    for await (const chunk of tensor.data()) {
      if (written + chunk.byteLength > length) {
        throw new RangeError(`${tensor.name}: expected ${length} bytes of data, got more`);
      }
      await to.write(chunk, start + written);
      written += chunk.byteLength;
      options.onProgress?.(start + written, plan.byteLength);
    }
    if (written < length) throw new RangeError(`${tensor.name}: expected ${length} bytes of data, got ${written}`);
  }
  await to.setLength(plan.byteLength); // the padding after the last tensor
}

function byteLengthOf({ name, type, dims }: GgufTensorInfo): number {
  const { block } = ggmlLayout(type);
  const whole = dims.every((dim) => Number.isSafeInteger(dim) && dim >= 1);
  if (!whole || dims.length < 1 || dims.length > 4 || (dims[0] as number) % block !== 0) {
    throw new RangeError(
      `${name}: expected 1 to 4 dims with rows of whole blocks of ${block}, got [${dims.join(", ")}]`,
    );
  }
  return ggmlByteLength(
    type,
    dims.reduce((product, dim) => product * dim, 1),
  );
}

function alignmentOf(metadata: readonly GgufKeyValue[]): number {
  const value = metadata.find(({ key }) => key === "general.alignment")?.value ?? DEFAULT_ALIGNMENT;
  if (ALIGNMENT.holds(value)) return value;
  throw new RangeError(`general.alignment: expected ${ALIGNMENT.expected}, got ${value}`);
}

function checkUnique(names: readonly string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new RangeError(`expected every key and tensor name once, got "${twice}" twice`);
}

function padded(length: number, alignment: number): number {
  return Math.ceil(length / alignment) * alignment;
}

function encodeHead({ metadata, tensors }: GgufContents<GgufTensorInfo>, starts: readonly number[], alignment: number) {
  const out = new ByteWriter();
  out.u32(MAGIC);
  out.u32(VERSION);
  out.u64(tensors.length);
  out.u64(metadata.length);
  for (const { key, type, value } of metadata) {
    out.string(key);
    out.u32(VALUE_TYPES.indexOf(type));
    if (type === "ARRAY") putArray(out, value as GgufArray);
    else putScalar(out, type, value);
  }
  for (const [i, { name, type, dims }] of tensors.entries()) {
    out.string(name);
    out.u32(dims.length);
    for (const dim of dims) out.u64(dim);
    out.u32(ggmlLayout(type).id);
    out.u64(starts[i] as number);
  }
  return out.finish(alignment);
}

function putArray(out: ByteWriter, { type, values }: GgufArray): void {
  out.u32(VALUE_TYPES.indexOf(type));
  out.u64(values.length);
  if (ArrayBuffer.isView(values)) out.numbers(values);
  else for (const value of values) putScalar(out, type, value);
}

function putScalar(out: ByteWriter, type: GgufValueType, value: GgufValue): void {
  if (type === "ARRAY") throw new TypeError("arrays of arrays are not supported");
  if (type === "STRING") out.string(value as string);
  else if (type === "BOOL") out.numbers(Uint8Array.of(value === true ? 1 : 0));
  else if (type === "U64") out.u64(value as number | bigint);
  else if (type === "I64") out.numbers(BigInt64Array.of(BigInt(value as number | bigint)));
  else out.numbers(NUMERIC_ARRAYS[type].of(value as number));
}

const UTF8 = new TextEncoder();

/** Bytes at the end of a buffer that doubles when it is full. */
class ByteWriter {
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
  #length = 0;

  u32(value: number): void {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: number | bigint): void {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  string(text: string): void {
    const bytes = UTF8.encode(text);
    this.u64(bytes.byteLength);
    const at = this.#grow(bytes.byteLength);
    this.#bytes.set(bytes, at);
  }

  /** The bytes of an array as they are: every machine that Node runs this on is little-endian. */
  numbers(array: NumericArray): void {
    const at = this.#grow(array.byteLength);
    this.#bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at);
  }

  /** All that was put, and zeros up to a multiple of `alignment`. */
  finish(alignment: number): Uint8Array {
    this.#grow(padded(this.#length, alignment) - this.#length);
    return this.#bytes.subarray(0, this.#length);
  }

  /** Makes room for `size` more bytes (zeros until written) and gives their position. */
  #grow(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#bytes.byteLength) {
      const longer = new Uint8Array(2 ** Math.ceil(Math.log2(this.#length)));
      longer.set(this.#bytes);
      this.#bytes = longer;
      this.#view = new DataView(longer.buffer, longer.byteOffset, longer.byteLength);
    }
    return at;
  }
}
