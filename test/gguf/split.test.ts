/** Split models: joined they are the file that they were, bit for bit, on every backend; what does not fit is refused. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import { readGguf } from "../../src/engine/input.js";
import type { ErrorCode } from "../../src/errors.js";
import type { GgufContents, GgufKeyValue } from "../../src/gguf/write.js";
import { Engine, type EngineOptions, repairFile, TernionError } from "../../src/index.js";
import { repositoryFile } from "../golden.js";
import { type SplitOptions, splitModel } from "../splits.js";

const TINY = repositoryFile("test/golden/tiny/model.gguf");
const IDS = [1, 200, 17, 42, 5, 99, 300, 7];

async function logitsOf(path: string, backend: EngineOptions["backend"]): Promise<Float32Array> {
  await using engine = await Engine.load(path, { backend, threads: 2, contextLength: 64 });
  return (await engine.trace(IDS)).get("logits")?.data as Float32Array;
}

describe("split models", () => {
  const folders: string[] = [];
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "ternion-split-"));
    folders.push(folder);
  });
  after(() => Promise.all(folders.map((path) => rm(path, { recursive: true }))));
  const split = (options?: SplitOptions) => splitModel(TINY, folder, options);
  const refuses = (path: string, code: ErrorCode, message: RegExp) =>
    assert.rejects(readGguf(path), (error) => {
      assert.ok(error instanceof TernionError);
      assert.equal(error.code, code);
      assert.match(error.message, message);
      return true;
    });
  /** Sets keys of one part. */
  const withKeys =
    (part: number, values: Readonly<Record<string, number>>) =>
    (contents: GgufContents, number: number): GgufContents => ({
      ...contents,
      metadata: contents.metadata.map(
        (entry): GgufKeyValue =>
          number === part && entry.key in values ? { ...entry, value: values[entry.key] } : entry,
      ),
    });

  for (const backend of ["cpu", "reference"] as const) {
    it(`give the logits of the whole file on the ${backend} backend, bit for bit`, async () => {
      const expected = await logitsOf(TINY, backend);
      const [first, second] = await split();
      assert.deepEqual(await logitsOf(first, backend), expected);
      assert.deepEqual(await logitsOf(second, backend), expected);
    });
  }

  it("may have no tensors in the first part, and many parts", async () => {
    const expected = await logitsOf(TINY, "cpu");
    const paths = await split({ count: 12, bareFirst: true });
    assert.deepEqual(await logitsOf(paths[0], "cpu"), expected);
  });

  it("are as one file: metadata without split keys, every tensor with its part, sizes summed", async () => {
    const paths = await split();
    const [whole, joined] = [await readGguf(TINY), await readGguf(paths[2])];
    assert.equal(joined.name, paths[0]);
    assert.deepEqual(joined.parts, paths);
    assert.deepEqual(new Map(joined.metadata), new Map(whole.metadata));
    assert.deepEqual([...joined.tensors.keys()], [...whole.tensors.keys()]);
    assert.deepEqual(new Set(Array.from(joined.tensors.values(), ({ part }) => part)), new Set(paths.keys()));
    const sizes = await Promise.all(paths.map(async (path) => (await readFile(path)).byteLength));
    assert.equal(
      joined.byteLength,
      sizes.reduce((a, b) => a + b),
    );
  });

  it("are joined by a repair", async () => {
    const paths = await split();
    const out = join(folder, "out.gguf");
    await repairFile(paths[0], out);
    const [from, to] = [await readGguf(TINY), await readGguf(out)];
    assert.equal(to.parts, undefined);
    assert.equal(to.metadata.has("split.count"), false);
    assert.equal(to.tensors.size, from.tensors.size);
    assert.deepEqual(await logitsOf(out, "reference"), await logitsOf(TINY, "reference"));
    await assert.rejects(repairFile(paths[0], paths[1], { force: true }), /expected another file .*, got the same/);
  });

  it("name all parts that are missing", async () => {
    const paths = await split({ count: 4 });
    await Promise.all([1, 3].map((i) => rm(paths[i])));
    const missing = /expected all 4 parts .*, got no model-00002-of-00004\.gguf, model-00004-of-00004\.gguf\. Put them/;
    await refuses(paths[0], "GGUF_NOT_FOUND", missing);
    await refuses(paths[2], "GGUF_NOT_FOUND", missing);
    await rm(paths[0]);
    await refuses(paths[2], "GGUF_NOT_FOUND", /got no model-00001-of-00004\.gguf, model-00002/);
  });

  it("are refused where a name does not tell the other parts", async () => {
    const [, second] = await split();
    const other = join(folder, "other.gguf");
    await rename(second, other);
    await refuses(other, "GGUF_SPLIT", /other\.gguf: it is part 2 of 3: expected a name that ends in -00002-of-00003/);
  });

  it("are refused where parts do not belong together", async () => {
    await split({ change: withKeys(2, { "split.no": 2 }) });
    const first = join(folder, "model-00001-of-00003.gguf");
    await refuses(first, "GGUF_SPLIT", /00002-of-00003\.gguf: expected part 2 of 3 with 24 .*, got part 3 of 3/);
    await split({ change: withKeys(3, { "split.tensors.count": 25 }) });
    await refuses(first, "GGUF_SPLIT", /00003-of-00003\.gguf: expected part 3 of 3 with 24 .*, got .* with 25 tensors/);
    await split({ change: (contents, number) => (number === 2 ? { ...contents, metadata: [] } : contents) });
    await refuses(first, "GGUF_SPLIT", /expected part 2 of 3 .*, got no part/);
    await split({ change: (contents, n) => ({ ...contents, tensors: contents.tensors.slice(n === 3 ? 1 : 0) }) });
    await refuses(first, "GGUF_SPLIT", /expected 24 tensors in all parts, got 23/);
    let kept: GgufContents["tensors"] = [];
    await split({
      change(contents, number) {
        if (number === 1) kept = contents.tensors;
        return number === 3 ? { ...contents, tensors: [...contents.tensors.slice(1), kept[0]] } : contents;
      },
    });
    await refuses(
      first,
      "GGUF_DUPLICATE",
      /00003-of-00003\.gguf: the tensor ".+" is in model-00001-of-00003\.gguf too/,
    );
  });

  it("are refused where their own keys make no sense", async () => {
    const [first] = await split({ change: withKeys(1, { "split.no": 3 }) });
    await refuses(
      first,
      "GGUF_SPLIT",
      /expected split\.no from 0 to split\.count - 1.*, got 3, 3, 24; the file is damaged/,
    );
    await split({ change: withKeys(1, { "split.count": 0 }) });
    await refuses(first, "GGUF_SPLIT", /got 0, 0, 24/);
  });
});
