/** Positioned reads of weights from a model file, with errors that name the weight. */
import { closeSync, readSync } from "node:fs";
import type { WeightSource } from "../backend/backend.js";
import { TernionError } from "../errors.js";
import { openRegularSync } from "../platform/files.js";
import { checkScale } from "./decode.js";

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

/** The scale of an I2_S tensor: the float32 behind its codes. */
export function readScale({ name, path, offset, rows, columns }: WeightSource): number {
  const bytes = new Uint8Array(4);
  const file = openFile(path);
  try {
    readFully(file, bytes, offset + (rows * columns) / 4, name);
  } finally {
    closeSync(file);
  }
  const scale = new DataView(bytes.buffer).getFloat32(0, true);
  checkScale(name, scale);
  return scale;
}
