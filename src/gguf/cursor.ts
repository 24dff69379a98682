/**
 * A reading position in the head of a GGUF file. Every read is checked against the file's length first, so a damaged
 * file ends in a TernionError and never in a RangeError or a large allocation.
 *
 * `bytes` may be only the first part of the file: a read that leaves it but stays inside the file throws HeadTooShort,
 * and the caller comes back with more.
 */
import { type ErrorCode, TernionError } from "../errors.js";
import { utf8 } from "./strings.js";

/** Longest string taken from a file. The longest real ones, chat templates, have some ten thousand bytes. */
const MAX_STRING = 16 * 1024 * 1024;

/** Not an error of the file: at least `needed` bytes from its start are needed. Never leaves src/gguf. */
export class HeadTooShort extends Error {
  readonly needed: number;

  constructor(needed: number) {
    super(`${needed} bytes of the head are needed`);
    this.needed = needed;
  }
}

export class Cursor {
  offset = 0;
  readonly fileLength: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #name: string;

  constructor(bytes: Uint8Array, fileLength: number, name: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.fileLength = fileLength;
    this.#name = name;
  }

  /** Bytes of the file from here on. */
  get left(): number {
    return this.fileLength - this.offset;
  }

  error(code: ErrorCode, message: string): TernionError {
    return new TernionError(code, `${this.#name}: ${message}`);
  }
  fail(code: ErrorCode, message: string): never {
    throw this.error(code, message);
  }

  u8(what: string): number {
    return this.#view.getUint8(this.#take(1, what));
  }
  i8(what: string): number {
    return this.#view.getInt8(this.#take(1, what));
  }
  u16(what: string): number {
    return this.#view.getUint16(this.#take(2, what), true);
  }
  i16(what: string): number {
    return this.#view.getInt16(this.#take(2, what), true);
  }
  u32(what: string): number {
    return this.#view.getUint32(this.#take(4, what), true);
  }
  i32(what: string): number {
    return this.#view.getInt32(this.#take(4, what), true);
  }
  f32(what: string): number {
    return this.#view.getFloat32(this.#take(4, what), true);
  }
  f64(what: string): number {
    return this.#view.getFloat64(this.#take(8, what), true);
  }
  u64(what: string): bigint {
    return this.#view.getBigUint64(this.#take(8, what), true);
  }
  i64(what: string): bigint {
    return this.#view.getBigInt64(this.#take(8, what), true);
  }

  /** A u64 that counts something, and so must be a safe integer. Two u32 reads: a BigInt each would double the time. */
  size(what: string): number {
    const at = this.#take(8, what);
    const value = this.#view.getUint32(at + 4, true) * 2 ** 32 + this.#view.getUint32(at, true);
    if (value > Number.MAX_SAFE_INTEGER) {
      this.fail("GGUF_OVERFLOW", `${what} is about ${value}, expected less than 2^53; the file is damaged`);
    }
    return value;
  }

  /**
   * A number of things that follow, each of at least `minBytes`: refused when the file has no room for them, so that
   * the caller may allocate by it.
   */
  count(what: string, minBytes: number, max: number): number {
    const count = this.size(what);
    if (count > max || count * minBytes > this.left) {
      this.fail(
        "GGUF_COUNT",
        `${what} is ${count}, expected at most ${Math.min(max, Math.floor(this.left / minBytes))} in the ` +
          `${this.left} bytes that follow; the file is damaged or cut short, get it again`,
      );
    }
    return count;
  }

  /** Invalid UTF-8 becomes U+FFFD: a vocabulary may hold such a token, and it must not cost the whole model. */
  string(what: string): string {
    const length = this.#stringLength(what);
    const at = this.#take(length, what);
    return utf8(this.#bytes.subarray(at, at + length));
  }

  /** A copy of the bytes of `count` strings, each a u64 length and its text, with the lengths checked. */
  strings(count: number, what: string): Uint8Array<ArrayBuffer> {
    const start = this.offset;
    for (let i = 0; i < count; i++) this.#take(this.#stringLength(what), what);
    return new Uint8Array(this.#bytes.subarray(start, this.offset));
  }

  /** A copy of the next `length` bytes, in a buffer of its own. */
  copy(length: number, what: string): ArrayBuffer {
    const at = this.#take(length, what);
    return new Uint8Array(this.#bytes.subarray(at, at + length)).buffer;
  }

  #stringLength(what: string): number {
    const length = this.size(what);
    if (length > MAX_STRING) {
      this.fail("GGUF_STRING", `${what} has ${length} bytes, expected at most ${MAX_STRING}; the file is damaged`);
    }
    return length;
  }

  /** Steps over `length` bytes and gives the position they start at. */
  #take(length: number, what: string): number {
    const at = this.offset;
    const end = at + length;
    if (end > this.#bytes.byteLength) this.#short(end, what);
    this.offset = end;
    return at;
  }

  #short(end: number, what: string): never {
    if (end <= this.fileLength) throw new HeadTooShort(end);
    this.fail(
      "GGUF_TRUNCATED",
      `the file ends inside ${what}: expected at least ${end} bytes, got ${this.fileLength}; get the file again`,
    );
  }
}
