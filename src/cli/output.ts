/** Files that commands write: looked at before the work begins, and there only when they are whole. */
import { access, constants, type FileHandle, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { systemReason, writeWhole } from "../platform/files.js";
import { UsageError } from "./exit.js";

/** Fails now where `writeOutput` would fail after the work: no folder, or a folder in the place of the file. */
export async function checkOutput(flag: string, path: string): Promise<void> {
  if (path === "") throw new UsageError(`${flag}: expected a file to write, got ""`);
  try {
    await access(dirname(path), constants.W_OK);
  } catch (cause) {
    throw new Error(`${flag}: expected a file to write, got ${path}: ${systemReason(cause)}`, { cause });
  }
  if (await isFolder(path)) throw new Error(`${flag}: expected a file to write, got ${path}, which is a folder`);
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

export async function writeOutput(
  path: string,
  content: string | ((file: FileHandle) => Promise<void>),
): Promise<void> {
  try {
    await writeWhole(path, typeof content === "string" ? (file) => file.writeFile(content) : content);
  } catch (cause) {
    throw new Error(`${path}: cannot be written: ${systemReason(cause)}`, { cause });
  }
}
