/**
 * A model as Hugging Face publishes it (config.json, tokenizer.json, *.safetensors) → what reading a GGUF file of it gives. So
 * there is one way from here on: configuration, weights and tokenizer do not know where they came from.
 */
import type { ByteSource } from "../backend/backend.js";
import { lastName, quote, TernionError } from "../errors.js";
import type { GgufValue, OpenGguf } from "../gguf/file.js";
import { TERNARY_LAYOUT } from "../gguf/metadata.js";
import type { ReadOptions } from "../gguf/read.js";
import type { GgufValueType } from "../gguf/types.js";
import { readModel } from "./config.js";
import { text } from "./entries.js";
import { type Folder, readJson } from "./folder.js";
import { readSafetensors, type StoredTensor } from "./safetensors.js";
import { tensorsOf } from "./tensors.js";
import { tokenizerMetadata } from "./tokenizer.js";

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
/** The largest models have some hundreds. */
const MAX_FILES = 4096;

/** Reads all but the weights. Files that `folder` opens are the caller's to close. */
export async function openDirectory(folder: Folder, { signal }: ReadOptions = {}): Promise<OpenGguf> {
  const config = await readJson(folder, "config.json");
  if (config === undefined) throw noModel(folder);
  signal?.throwIfAborted();
  const model = readModel(config, lastName(folder.name.replace(/[\\/]+$/, "")));
  const files = await openWeights(folder);
  signal?.throwIfAborted();
  const stored = await readAll(folder, files, signal);
  const { tensors, bytes } = tensorsOf(folder.name, model, stored, files);
  const entries = [
    ...model.metadata,
    text(TERNARY_LAYOUT, "block128"), // so are codes made here
    ...(await tokenizerMetadata(folder, config, model.vocabularySize)),
  ];
  signal?.throwIfAborted();
  return {
    name: folder.name,
    parts: bytes.map(({ name }) => name),
    version: 3,
    metadata: new Map<string, GgufValue>(entries.map(({ key, value }) => [key, value])),
    valueTypes: new Map<string, GgufValueType>(entries.map(({ key, type }) => [key, type])),
    tensors,
    alignment: 32,
    dataOffset: 0,
    byteLength: [...tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0),
    bytes,
  };
}

/** The one file, or those that the index names. */
async function openWeights(folder: Folder): Promise<ByteSource[]> {
  const single = await folder.open(SINGLE);
  if (single !== undefined) return [single];
  const index = await readJson(folder, INDEX, "tokenizer");
  const names = new Set<unknown>(Object.values(index?.object("weight_map")?.values ?? {}));
  if (names.size === 0 || names.size > MAX_FILES) {
    throw incomplete(folder, `expected ${SINGLE}, or ${INDEX} that names files`);
  }
  const files: ByteSource[] = [];
  for (const name of names) {
    // a name, and no path to elsewhere
    if (typeof name !== "string" || !/^[^/\\]+\.safetensors$/.test(name)) {
      throw incomplete(folder, `expected names of safetensors files in ${INDEX}, got ${quote(String(name))}`);
    }
    const file = await folder.open(name);
    if (file === undefined) throw incomplete(folder, `expected ${quote(name)}, which ${INDEX} names, got none`);
    files.push(file);
  }
  return files;
}

async function readAll(folder: Folder, files: readonly ByteSource[], signal: AbortSignal | undefined) {
  const stored = new Map<string, StoredTensor>();
  for (const file of files) {
    for (const tensor of await readSafetensors(file)) {
      if (stored.has(tensor.name)) throw incomplete(folder, `expected ${quote(tensor.name)} in one file, got two`);
      stored.set(tensor.name, tensor);
    }
    signal?.throwIfAborted();
  }
  return stored;
}

function noModel({ name }: Folder): TernionError {
  return new TernionError(
    "GGUF_READ",
    `${name}: expected a file, got a directory. Give the path of a GGUF file, or of a directory with config.json, ` +
      "tokenizer.json and *.safetensors.",
  );
}

function incomplete({ name }: Folder, problem: string): TernionError {
  return new TernionError("MODEL_DIRECTORY", `${name}: ${problem}. The directory is incomplete; get it again.`);
}
