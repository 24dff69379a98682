/**
 * Reads the head of a GGUF model, metadata and tensor table. This folder knows no model and no files; it reads no weights,
 * checks every number that a file states before it is used, and reports each kind of damage as a TernionError with a code
 * of its own.
 */
import type { ByteSource } from "../backend/backend.js";
import { TernionError } from "../errors.js";
import { HeadTooShort } from "./cursor.js";
import type { GgufHead } from "./file.js";
import { parseHead } from "./parse.js";

const FIRST_READ = 1024 * 1024;
/** A retry parses from the start, so there are few: the 8.3 MB head of a Llama-3 vocabulary takes the second read. */
const GROWTH = 16;
/** The largest vocabularies make heads of some 20 MB. */
const MAX_HEAD = 256 * 1024 * 1024;

/** Longest read that an abort waits for. */
const LONGEST_READ = 8 * 1024 * 1024;

/** Of `readGguf`. */
export interface ReadOptions {
  /** ends reading with the signal's reason */
  readonly signal?: AbortSignal | undefined;
}

/** Reads the head of this one file, be it a part or all of a model. */
export async function readHead(file: ByteSource, { signal }: ReadOptions = {}): Promise<GgufHead> {
  const { name, size } = file;
  let head = new Uint8Array();
  for (let length = Math.min(FIRST_READ, size); ; ) {
    const longer = new Uint8Array(length);
    longer.set(head);
    await readOn(file, longer, head.byteLength, signal);
    head = longer;
    try {
      return parseHead(head, size, name);
    } catch (error) {
      if (!(error instanceof HeadTooShort)) throw error;
      if (error.needed > MAX_HEAD) {
        const message = `the metadata takes ${error.needed} bytes or more, expected at most ${MAX_HEAD}`;
        throw new TernionError("GGUF_OVERFLOW", `${name}: ${message}; the file is damaged`);
      }
      length = Math.min(size, MAX_HEAD, Math.max(head.byteLength * GROWTH, error.needed));
    }
  }
}

/** Fills `bytes` with the beginning of the file; `filled` of them are there already. */
async function readOn(file: ByteSource, bytes: Uint8Array, filled: number, signal?: AbortSignal): Promise<void> {
  for (let at = filled; at < bytes.byteLength; at += LONGEST_READ) {
    signal?.throwIfAborted();
    await file.read(at, bytes.subarray(at, at + LONGEST_READ));
  }
  signal?.throwIfAborted();
}

/** Throws what reading the file would, as far as its first bytes show. */
export function checkBeginning(bytes: Uint8Array, byteLength: number, name: string): void {
  try {
    parseHead(bytes, byteLength, name);
  } catch (error) {
    if (!(error instanceof HeadTooShort)) throw error;
  }
}
