/**
 * Files of users. What is read must be a regular file. Anything else is refused before it is opened for good: a FIFO would
 * hang in open, a device gives bytes without end, a directory fails only when it is read. Written files are whole or not
 * there. Errors of the system pass through.
 */
import { randomUUID } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { access, chmod, type FileHandle, mkdir, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { type ErrorCode, TernionError } from "../errors.js";

/** Should the path become a FIFO after it was looked at, opening it does not wait for a writer. Windows has no such flag. */
export const READ_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** `code`: of the error for what is no file. */
export function checkRegular(path: string, stats: Stats, code: ErrorCode): void {
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

/**
 * A folder and its parents, where they are not there yet. Node.js's `recursive` tries without end where a folder that exists
 * takes none and says ENOENT, as /proc and automounted folders do.
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const parent = dirname(resolve(path));
    if ((error as NodeJS.ErrnoException).code === "ENOENT" && !(await isFolder(parent))) {
      await makeFolder(parent);
      await makeFolder(path);
    } else if (!(await isFolder(path))) {
      throw error;
    }
  }
}

/** Whether there is a directory of that path. */
export function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

/** The path of a file in a folder. */
export const inFolder = (folder: string, file: string): string => join(folder, file);

/**
 * Writes a file by way of a new one beside it, which takes its name when `write` is through: whatever ends the process,
 * nothing half written has that name. Where the path leads through links, the file at their end is replaced; a device or a
 * FIFO is written to as it is.
 */
export async function writeWhole(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const target = await realpath(path).catch(() => path);
  const there = await stat(target).catch(() => undefined);
  if (there !== undefined && !there.isFile()) return writeTo(target, "w", write); // fails for a directory
  if (there !== undefined) await access(target, constants.W_OK);
  const part = `${target}.${randomUUID()}.part`; // no file that anybody else has
  try {
    await writeTo(part, "wx", write);
    if (there !== undefined) await chmod(part, there.mode);
    await rename(part, target);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

async function writeTo(path: string, flags: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, flags);
  try {
    await write(file);
  } finally {
    await file.close();
  }
}

/** Writes all of `bytes` at `position`; a single write may take fewer. */
export async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    done += (await file.write(bytes, done, bytes.byteLength - done, position + done)).bytesWritten;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of its path is a file",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "no space left on the device",
  EDQUOT: "the disk quota is exceeded",
  ENAMETOOLONG: "the name is too long",
};

/** What a call of the system says, without the name of the call and without a path, which the message has already. */
export function systemReason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return REASONS[code ?? ""] ?? message;
}
