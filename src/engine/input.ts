/**
 * What a model may be given as, and its way to a head and bytes that can be read. Files are opened here, once for all who
 * read them, and closed by whoever opened the model; what a caller gives otherwise stays the caller's.
 */
import type { ByteSource } from "../backend/backend.js";
import * as check from "../check.js";
import { TernionError } from "../errors.js";
import type { GgufHead, OpenGguf } from "../gguf/file.js";
import { type ReadOptions, readHead } from "../gguf/read.js";
import { joinParts, missingParts, partNames, type Split, splitOf } from "../gguf/split.js";
import type { Folder } from "../hf/folder.js";
import { openDirectory } from "../hf/open.js";
import { blobBytes, memoryBytes } from "../platform/bytes.js";
import { type FileBytes, openFile } from "../platform/file-bytes.js";
import { inFolder, isFolder } from "../platform/files.js";

/** A model file, or one part of a split model. */
export type ModelBytes = Blob | Uint8Array | ArrayBuffer | ByteSource;

/** All parts of a split model may be given in any order. */
export type ModelInput = ModelBytes | readonly ModelBytes[];

export interface HeldGguf extends OpenGguf, AsyncDisposable {
  /** Closes what was opened for it; nobody may read any more. Safe to call twice. */
  close(): Promise<void>;
}

const READ_CHECKS: check.OptionChecks<ReadOptions> = { signal: check.signal };

/**
 * Reads the head of a model: metadata and tensor table, none of the weights. `model` is a path, or bytes; of a split one the
 * path of any part; or that of a directory of Hugging Face's files.
 */
export async function readGguf(model: string | ModelInput, options: ReadOptions = {}): Promise<GgufHead> {
  const { signal } = check.options(options, READ_CHECKS);
  const { bytes: _, close, [Symbol.asyncDispose]: _dispose, ...file } = await openGguf(model, { signal });
  await close();
  return file;
}

/** Opens a model for reading: the path of a file, where it is split of any part, or of a directory, or bytes. */
export async function openGguf(model: string | ModelInput, { signal }: ReadOptions = {}): Promise<HeldGguf> {
  if (typeof model === "string") return openPath(check.filled("model", model), signal);
  const given = Array.isArray(model) ? model : [model];
  if (given.length === 0) throw new RangeError("model: expected at least one part, got an empty array");
  const bytes = given.map((each, i) => bytesOf(Array.isArray(model) ? `model[${i}]` : "model", each));
  signal?.throwIfAborted();
  return open(await readAll(bytes, signal), async () => {});
}

async function openPath(path: string, signal: AbortSignal | undefined): Promise<HeldGguf> {
  signal?.throwIfAborted();
  const files = new Files();
  try {
    const reading = (await isFolder(path))
      ? openDirectory(folderOf(files, path), { signal })
      : readFiles(files, path, signal);
    return open(await reading, () => files.close());
  } catch (error) {
    await files.close();
    signal?.throwIfAborted();
    throw error;
  }
}

const open = (model: OpenGguf, close: () => Promise<void>): HeldGguf => {
  return { ...model, close, [Symbol.asyncDispose]: close };
};

/** The files of a model, each opened once. */
class Files {
  readonly #open: FileBytes[] = [];

  async open(path: string): Promise<FileBytes> {
    const file = await openFile(path);
    this.#open.push(file);
    return file;
  }
  async close(): Promise<void> {
    await Promise.all(this.#open.map((file) => file.close()));
  }
}

/** Its files, which are open as long as the model is. */
function folderOf(files: Files, path: string): Folder {
  return {
    name: path,
    open: (file) =>
      files.open(inFolder(path, file)).catch((error) => {
        if (error instanceof TernionError && error.code === "GGUF_NOT_FOUND") return undefined;
        throw error;
      }),
  };
}

async function readFiles(files: Files, path: string, signal: AbortSignal | undefined): Promise<OpenGguf> {
  const given = await files.open(path);
  const head = await readHead(given, { signal });
  const split = splitOf(head);
  if (split === undefined) return { ...head, bytes: [given] };
  const missing: string[] = [];
  const bytes: ByteSource[] = [];
  for (const part of partNames(path, split)) {
    try {
      bytes.push(part === path ? given : await files.open(part));
    } catch (error) {
      if (!(error instanceof TernionError && error.code === "GGUF_NOT_FOUND")) throw error;
      missing.push(part);
    }
  }
  if (missing.length > 0) throw missingParts(path, split, missing);
  const parts = await Promise.all(bytes.map((part) => (part === given ? head : readHead(part, { signal }))));
  return { ...joinParts(parts, head), bytes };
}

/** The model that `given` is, or is the parts of. */
async function readAll(given: readonly ByteSource[], signal: AbortSignal | undefined): Promise<OpenGguf> {
  const read = await Promise.all(given.map(async (bytes) => ({ bytes, head: await readHead(bytes, { signal }) })));
  const [{ head: first }] = read;
  const split = splitOf(first);
  if (split === undefined && given.length === 1) return { ...first, bytes: given };
  const numberOf = ({ head }: { head: GgufHead }) => splitOf(head)?.number ?? 0;
  const ordered = read.sort((a, b) => numberOf(a) - numberOf(b));
  if (split?.count !== given.length) throw wrongCount(first.name, split, given.length);
  const heads = ordered.map(({ head }) => head);
  return { ...joinParts(heads, first), bytes: ordered.map(({ bytes }) => bytes) };
}

function wrongCount(name: string, split: Split | undefined, got: number): TernionError {
  const expected = split === undefined ? "a whole model alone" : `all ${split.count} parts of the model`;
  return new TernionError("GGUF_SPLIT", `${name}: expected ${expected}, got ${got}. Give them in one array.`);
}

const EXPECTED = "a path, a URL, a Blob, bytes or a ByteSource";

function bytesOf(name: string, value: unknown): ByteSource {
  if (value instanceof Blob) return blobBytes(value);
  if (value instanceof ArrayBuffer) return memoryBytes(new Uint8Array(value));
  if (value instanceof Uint8Array) return memoryBytes(value);
  const { read, size } = Object(value) as Partial<ByteSource>;
  if (typeof read === "function" && Number.isSafeInteger(size)) return value as ByteSource;
  throw check.wrongType(name, EXPECTED, value);
}
