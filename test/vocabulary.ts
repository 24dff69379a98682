/**
 * The Llama 3 vocabulary as a file: unpacks `test/golden/llama3/vocab.gguf.br` once into `models/cache/` and gives the
 * path. Safe to call from several processes at once: each writes a file of its own and renames it into place, and the
 * name carries a hash of the packed file, so a cached copy is always whole and never stale.
 */
import { createHash } from "node:crypto";
import { access, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliDecompress } from "node:zlib";

// this file runs as dist/test/vocabulary.js
const root = new URL("../../", import.meta.url);

/** The path of a GGUF with the tokenizer keys of bitnet-b1.58-2B-4T and no tensors. */
export async function llama3Vocabulary(): Promise<string> {
  const packed = await readFile(new URL("test/golden/llama3/vocab.gguf.br", root));
  const hash = createHash("sha256").update(packed).digest("hex").slice(0, 12);
  const cache = new URL("models/cache/", root);
  const path = fileURLToPath(new URL(`llama3-vocab-${hash}.gguf`, cache));
  if (await exists(path)) return path;

  await mkdir(cache, { recursive: true });
  const part = `${path}.${process.pid}.part`;
  await writeFile(part, await promisify(brotliDecompress)(packed));
  await rename(part, path);
  return path;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
