/**
 * Opens files that must be regular ones. Anything else is refused before it is opened for good: a FIFO would hang in
 * open, a device gives bytes without end, a directory fails only when it is read. Errors of the system pass through.
 */
import { closeSync, constants, fstatSync, openSync, type Stats, statSync } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { type ErrorCode, TernionError } from "./errors.js";

/** Should the path become a FIFO after it was looked at, opening it does not wait for a writer. Windows has no such flag. */
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** Opens for reading; the caller closes it. `code`: of the error for what is no file. */
export async function openRegular(path: string, code: ErrorCode = "GGUF_READ"): Promise<FileHandle> {
  checkRegular(path, await stat(path), code);
  const file = await open(path, FLAGS);
  try {
    checkRegular(path, await file.stat(), code);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The same for threads that read synchronously. */
export function openRegularSync(path: string): number {
  checkRegular(path, statSync(path), "GGUF_READ");
  const file = openSync(path, FLAGS);
  try {
    checkRegular(path, fstatSync(file), "GGUF_READ");
    return file;
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

function checkRegular(path: string, stats: Stats, code: ErrorCode): void {
  if (stats.isFile()) return;
  const advice = stats.isDirectory()
    ? "Give the path of a file in it"
    : "Copy what it gives into a file, and give that";
  throw new TernionError(code, `${path}: expected a file, got ${kindOf(stats)}. ${advice}.`);
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return "a directory";
  if (stats.isFIFO()) return "a FIFO (named pipe)";
  if (stats.isSocket()) return "a socket";
  return "a device";
}
