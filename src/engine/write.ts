/** GGUF files written: a file appears under its name only when it is whole. A disk that fails is a TernionError. */
import { TernionError } from "../errors.js";
import { type GgufContents, planGguf, type WriteOptions, writeContents } from "../gguf/write.js";
import { systemReason, writeFully, writeWhole } from "../platform/files.js";

/** Writes `path` by way of a new file beside it; gives the bytes of the file. */
export async function writeGguf(path: string, contents: GgufContents, options: WriteOptions = {}): Promise<number> {
  const plan = planGguf(contents);
  try {
    await writeWhole(path, (file) => {
      const sink = {
        write: (bytes: Uint8Array, position: number) => writeFully(file, bytes, position),
        setLength: (byteLength: number) => file.truncate(byteLength),
      };
      return writeContents(sink, contents.tensors, plan, options);
    });
  } catch (error) {
    throw asWriteError(error, path);
  }
  return plan.byteLength;
}

function asWriteError(error: unknown, path: string): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return error;
  return new TernionError("GGUF_WRITE", `${path}: cannot be written: ${systemReason(error)}.`, { cause: error });
}
