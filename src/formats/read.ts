/** Positioned reads of weights from a model file, with errors that name the weight. */
import { closeSync, readSync } from "node:fs";
import type { WeightSource } from "../backend/backend.js";
import { TernionError } from "../errors.js";
import { openRegular, openRegularSync } from "../platform/files.js";
import { type DecodedWeight, decodeWeight } from "./decode.js";
import { rowBytes } from "./format.js";
import { decodeScale } from "./i2_s.js";
import { formatOf } from "./table.js";

/** The files of a model, each opened when it is first asked for. */
export class OpenFiles {
  readonly #files = new Map<string, number>();

  get(path: string): number {
    const file = this.#files.get(path) ?? openFile(path);
    this.#files.set(path, file);
    return file;
  }

  close(): void {
    for (const file of this.#files.values()) closeSync(file);
  }
}

/** Opens a file for reading; the caller closes it. */
export function openFile(path: string): number {
  try {
    return openRegularSync(path);
  } catch (cause) {
    if (cause instanceof TernionError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TernionError("GGUF_READ", `${path}: cannot be read: ${reason}`, { cause });
  }
}

/** Fills `target` from `position` of the file; `name` is the weight's. */
export function readFully(file: number, target: Uint8Array, position: number, name: string): void {
  let filled = 0;
  while (filled < target.length) {
    const count = readSync(file, target, filled, target.length - filled, position + filled);
    if (count === 0) {
      throw new TernionError(
        "GGUF_TRUNCATED",
        `${name}: expected ${target.length} bytes at ${position}, got ${filled}: the file ends. Download it again.`,
      );
    }
    filled += count;
  }
}

/** Reads and decodes one weight of a file, whole. */
export async function readWeight(source: WeightSource): Promise<DecodedWeight> {
  const { name, path, offset, byteLength } = source;
  const bytes = new Uint8Array(byteLength);
  const file = await openRegular(path);
  try {
    const { bytesRead } = await file.read(bytes, 0, byteLength, offset);
    if (bytesRead < byteLength) throw truncated(name, byteLength, bytesRead);
  } finally {
    await file.close();
  }
  return decodeWeight(source, bytes);
}

function truncated(name: string, expected: number, got: number): TernionError {
  return new TernionError(
    "GGUF_TRUNCATED",
    `${name}: expected ${expected} bytes, got ${got}: the file ends. Download it again.`,
  );
}

/** The scale of a weight that has one for all of it, behind its codes. */
export function readScale({ name, type, path, offset, rows, columns }: WeightSource): number {
  const bytes = new Uint8Array(4);
  const file = openFile(path);
  try {
    readFully(file, bytes, offset + rows * rowBytes(formatOf(type), columns), name);
  } finally {
    closeSync(file);
  }
  return decodeScale(name, bytes);
}
