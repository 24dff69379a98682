/**
 * A file as a byte source: opened once for all who read it, threads included, which share its number. A number and not a
 * FileHandle: a thread can use it, and Node.js prints a warning where a FileHandle is forgotten.
 */
import { close, closeSync, fstat, open, openSync, read, readSync } from "node:fs";
import { stat } from "node:fs/promises";
import { promisify } from "node:util";
import type { ByteSource } from "../backend/backend.js";
import { type ErrorCode, TernionError } from "../errors.js";
import { endsEarly } from "./bytes.js";
import { checkRegular, READ_FLAGS, systemReason } from "./files.js";
import type { ThreadBytes } from "./platform.js";

/** Most bytes of one call of the system. */
const MOST = 1 << 30;

/** What another thread needs to read an open file. */
interface SharedFile {
  readonly path: string;
  readonly file: number;
}

/** An open file. Whoever opened it closes it, when nobody reads any more. */
export interface FileBytes extends ByteSource {
  readonly shared: unknown;
  close(): Promise<void>;
}

/** Opens a regular file. `code`: of the error for what is none, or cannot be read; a missing one is GGUF_NOT_FOUND. */
export async function openFile(path: string, code: ErrorCode = "GGUF_READ"): Promise<FileBytes> {
  try {
    checkRegular(path, await stat(path), code);
    const file = await promisify(open)(path, READ_FLAGS);
    try {
      const stats = await promisify(fstat)(file);
      checkRegular(path, stats, code);
      return new OpenFile(path, file, stats.size);
    } catch (error) {
      await promisify(close)(file);
      throw error;
    }
  } catch (error) {
    throw asTernionError(error, path, code);
  }
}

/** `use` of a file that is open as long as it runs. */
export async function withFile<T>(path: string, use: (file: FileBytes) => Promise<T>): Promise<T> {
  const file = await openFile(path);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

class OpenFile implements FileBytes {
  readonly shared: SharedFile;
  /** reads under way */
  readonly #reads = new Set<Promise<void>>();
  #closed: Promise<void> | undefined;

  constructor(
    readonly name: string,
    readonly file: number,
    readonly size: number,
  ) {
    this.shared = { path: name, file };
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    const reading = this.#read(offset, into);
    this.#reads.add(reading);
    const ended = () => this.#reads.delete(reading);
    reading.then(ended, ended);
    return reading;
  }

  async #read(offset: number, into: Uint8Array): Promise<void> {
    if (this.#closed !== undefined) throw new TypeError(`${this.name}: expected to be read while open, got closed`);
    try {
      for (let at = 0; at < into.byteLength; ) {
        const length = Math.min(MOST, into.byteLength - at);
        const { bytesRead } = await promisify(read)(this.file, into, at, length, offset + at);
        if (bytesRead === 0) throw endsEarly(this.name, offset, into.byteLength, at);
        at += bytesRead;
      }
    } catch (error) {
      throw asTernionError(error, this.name, "GGUF_READ");
    }
  }

  /** The number may become another file's, so reads are waited for. */
  close(): Promise<void> {
    this.#closed ??= Promise.allSettled(this.#reads).then(() => promisify(close)(this.file));
    return this.#closed;
  }
}

/** Opens on this thread what `ByteSource.shared` of another one describes. */
export function openShared(shared: unknown): ThreadBytes {
  const { path, file: theirs } = shared as SharedFile;
  const own = "deno" in process.versions; // whose threads have numbers of their own
  const file = own ? openSync(path, READ_FLAGS) : theirs;
  return {
    read: (offset, into) => readAll(path, file, offset, into),
    close: () => own && closeSync(file),
  };
}

function readAll(path: string, file: number, offset: number, into: Uint8Array): void {
  try {
    for (let at = 0; at < into.byteLength; ) {
      const count = readSync(file, into, at, Math.min(MOST, into.byteLength - at), offset + at);
      if (count === 0) throw endsEarly(path, offset, into.byteLength, at);
      at += count;
    }
  } catch (error) {
    throw asTernionError(error, path, "GGUF_READ");
  }
}

function asTernionError(error: unknown, path: string, code: ErrorCode): unknown {
  if (error instanceof TernionError) return error;
  const { code: system } = error as NodeJS.ErrnoException;
  if (system === undefined) return error; // a defect here, not of the file
  return system === "ENOENT" && code === "GGUF_READ"
    ? new TernionError("GGUF_NOT_FOUND", `${path}: no such file; give the path of a GGUF model`, { cause: error })
    : new TernionError(code, `${path}: cannot be read: ${systemReason(error)}.`, { cause: error });
}
