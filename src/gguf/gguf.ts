/**
 * Reads the head of a GGUF model, metadata and tensor table. This folder knows no model; it reads no weights, checks every
 * number that a file states before it is used, and reports each kind of damage as a TernionError with a code of its own.
 */
import type { FileHandle } from "node:fs/promises";
import * as check from "../check.js";
import { TernionError } from "../errors.js";
import { openRegular, systemReason } from "../platform/files.js";
import { HeadTooShort } from "./cursor.js";
import type { GgufHead } from "./file.js";
import { parseHead } from "./parse.js";
import { readParts, splitOf } from "./split.js";

const FIRST_READ = 1024 * 1024;
/** A retry parses from the start, so there are few: the 8.3 MB head of a Llama-3 vocabulary takes the second read. */
const GROWTH = 16;
/** The largest vocabularies make heads of some 20 MB. */
const MAX_HEAD = 256 * 1024 * 1024;

/** Longest read that an abort waits for. */
const LONGEST_READ = 8 * 1024 * 1024;

export interface ReadOptions {
  /** ends reading with the signal's reason */
  readonly signal?: AbortSignal | undefined;
}

const READ_CHECKS: check.OptionChecks<ReadOptions> = { signal: check.signal };

/** Reads the head of a model: metadata and tensor table, none of the weights. Of a split one, any part may be given. */
export async function readGguf(path: string, options: ReadOptions = {}): Promise<GgufHead> {
  check.filled("path", path);
  const { signal } = check.options(options, READ_CHECKS);
  const head = await readGgufFile(path, { signal });
  return splitOf(head) === undefined ? head : readParts(head, (part) => readGgufFile(part, { signal }));
}

/** Reads the head of this one file, be it a part or all of a model. */
export async function readGgufFile(path: string, { signal }: ReadOptions = {}): Promise<GgufHead> {
  signal?.throwIfAborted();
  try {
    const file = await openRegular(path);
    try {
      return await readHead(file, path, signal);
    } finally {
      await file.close();
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw asTernionError(error, path);
  }
}

/** Throws what reading the file would, as far as its first bytes tell. */
export function checkBeginning(bytes: Uint8Array, byteLength: number, path: string): void {
  try {
    parseHead(bytes, byteLength, path);
  } catch (error) {
    if (!(error instanceof HeadTooShort)) throw error;
  }
}

async function readHead(file: FileHandle, path: string, signal: AbortSignal | undefined): Promise<GgufHead> {
  const { size } = await file.stat();
  const extend = async (head: Buffer, length: number) => {
    const longer = Buffer.allocUnsafe(length);
    await readOn(file, longer, head.copy(longer), { path, signal });
    return longer;
  };
  let head = await extend(Buffer.alloc(0), Math.min(FIRST_READ, size));
  for (;;) {
    try {
      return parseHead(head, size, path);
    } catch (error) {
      if (!(error instanceof HeadTooShort)) throw error;
      if (error.needed > MAX_HEAD) {
        const message = `the metadata takes ${error.needed} bytes or more, expected at most ${MAX_HEAD}`;
        throw new TernionError("GGUF_OVERFLOW", `${path}: ${message}; the file is damaged`);
      }
      const wanted = Math.min(size, MAX_HEAD, Math.max(head.byteLength * GROWTH, error.needed));
      head = await extend(head, wanted);
    }
  }
}

/** Fills `bytes` with the beginning of the file; `filled` of them are there already. */
async function readOn(
  file: FileHandle,
  bytes: Buffer,
  filled: number,
  { path, signal }: ReadOptions & { readonly path: string },
): Promise<void> {
  for (let at = filled; at < bytes.byteLength; ) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(bytes, at, Math.min(LONGEST_READ, bytes.byteLength - at), at);
    if (bytesRead === 0) {
      throw new TernionError("GGUF_READ", `${path}: the file became shorter while it was read`);
    }
    at += bytesRead;
  }
}

function asTernionError(error: unknown, path: string): unknown {
  if (error instanceof TernionError) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) return error; // a defect here, not of the file
  return code === "ENOENT"
    ? new TernionError("GGUF_NOT_FOUND", `${path}: no such file; give the path of a GGUF model`, { cause: error })
    : new TernionError("GGUF_READ", `${path}: cannot be read: ${systemReason(error)}.`, { cause: error });
}
