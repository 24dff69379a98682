/** The reader against `@huggingface/gguf`, an independent parser, on files of three origins. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { gguf as parseOther } from "@huggingface/gguf";
import { readGguf } from "../../src/engine/input.js";
import { writeGguf } from "../../src/engine/write.js";
import type { GgufValue } from "../../src/gguf/file.js";
import { everything } from "./everything.js";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ternion-gguf-"));
});
after(() => rm(folder, { recursive: true }));

/** As the other parser gives values: 64-bit ones as bigints always, arrays plain. */
function normal(value: GgufValue | readonly unknown[]): unknown {
  if (typeof value === "bigint") return Number(value);
  if (typeof value !== "object") return value;
  const values = "values" in value && typeof value.values !== "function" ? value.values : (value as readonly unknown[]);
  return Array.from(values as ArrayLike<GgufValue>, normal);
}

async function compare(path: string): Promise<void> {
  const [ours, theirs] = await Promise.all([readGguf(path), parseOther(path, { allowLocalFile: true })]);
  const { version, tensor_count, kv_count, ...metadata } = theirs.metadata;

  assert.equal(ours.version, version);
  assert.equal(BigInt(ours.metadata.size), kv_count);
  assert.equal(BigInt(ours.tensors.size), tensor_count);
  assert.equal(BigInt(ours.dataOffset), BigInt(theirs.tensorDataOffset));
  const theirValues = Object.entries(metadata).map(([key, value]) => [key, normal(value as GgufValue)]);
  assert.deepEqual(
    Object.fromEntries([...ours.metadata].map(([key, value]) => [key, normal(value)])),
    Object.fromEntries(theirValues),
  );
  assert.deepEqual(
    [...ours.tensors.values()].map(({ name, dims, offset }) => ({ name, dims, offset: offset - ours.dataOffset })),
    theirs.tensorInfos.map(({ name, shape, offset }) => ({ name, dims: shape.map(Number), offset: Number(offset) })),
  );
}

describe("against @huggingface/gguf", () => {
  for (const name of ["tiny", "gqa"]) {
    it(`the ${name} model`, () =>
      compare(fileURLToPath(new URL(`../../../test/golden/${name}/model.gguf`, import.meta.url))));
  }

  it("a file with every value type and many tensor types", async () => {
    const path = join(folder, "everything.gguf");
    await writeGguf(path, everything);
    await compare(path);
  });
});
