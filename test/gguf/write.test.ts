/** The writer: what it writes reads back, files of others are written again byte for byte, and mistakes are refused. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { readGguf } from "../../src/engine/input.js";
import { writeGguf } from "../../src/engine/write.js";
import { type GgufKeyValue, type GgufTensorSource, keyValues, planGguf } from "../../src/gguf/write.js";
import { llama3Vocabulary } from "../vocabulary.js";
import { counting, everything } from "./everything.js";

const golden = (name: string) => fileURLToPath(new URL(`../../../test/golden/${name}/model.gguf`, import.meta.url));

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ternion-gguf-"));
});
after(() => rm(folder, { recursive: true }));

describe("writing", () => {
  it("gives back every value type and all tensor bytes", async () => {
    const path = join(folder, "everything.gguf");
    const progress: number[] = [];
    const byteLength = await writeGguf(path, everything, { onProgress: (written) => progress.push(written) });

    const gguf = await readGguf(path);
    const bytes = await readFile(path);
    assert.equal(bytes.length, byteLength);
    assert.equal(gguf.alignment, 64);
    assert.deepEqual(keyValues(gguf), everything.metadata);
    for (const source of everything.tensors) {
      const tensor = gguf.tensors.get(source.name);
      assert.deepEqual(tensor?.dims, source.dims);
      const written = bytes.subarray(tensor.offset, tensor.offset + tensor.byteLength);
      assert.deepEqual(written, Buffer.concat([...(source.data() as Iterable<Uint8Array>)]));
    }
    assert.equal(progress.length, 2 * everything.tensors.length);
    assert.deepEqual(
      progress,
      progress.toSorted((a, b) => a - b),
    );
  });

  for (const [name, origin] of [
    ["tiny", async () => golden("tiny")],
    ["gqa", async () => golden("gqa")],
    ["the vocabulary", llama3Vocabulary],
  ] as const) {
    it(`writes ${name} again byte for byte`, async () => {
      const file = await readGguf(await origin());
      const bytes = await readFile(file.name);
      const tensors = [...file.tensors.values()].map(
        (tensor): GgufTensorSource => ({
          ...tensor,
          data: () => [bytes.subarray(tensor.offset, tensor.offset + tensor.byteLength)],
        }),
      );
      const copy = join(folder, "copy.gguf");
      await writeGguf(copy, { metadata: keyValues(file), tensors });
      assert.ok(bytes.equals(await readFile(copy)));
    });
  }
});

describe("mistakes", () => {
  const refused = async (tensor: GgufTensorSource, expected: object) => {
    const path = join(folder, "refused.gguf");
    await assert.rejects(writeGguf(path, { metadata: [], tensors: [tensor] }), expected);
    const left = await readdir(folder);
    assert.deepEqual(
      left.filter((name) => name.startsWith("refused")),
      [],
      "nothing is left behind",
    );
  };

  it("refuses too few and too many bytes of data", async () => {
    const tensor = counting("t", "F32", [8]);
    await refused(
      { ...tensor, data: () => [new Uint8Array(31)] },
      { name: "RangeError", message: /32 bytes of data, got 31/ },
    );
    await refused({ ...tensor, data: () => [new Uint8Array(33)] }, { name: "RangeError", message: /got more/ });
  });

  it("refuses dims that make no whole blocks", async () => {
    const tensor = counting("t", "F32", [8]);
    await refused({ ...tensor, type: "Q8_0" }, { name: "RangeError", message: /blocks of 32/ });
    await refused({ ...tensor, dims: [] }, { name: "RangeError" });
  });

  it("refuses names that occur twice, and an alignment that is no power of two", () => {
    const tensor = counting("t", "F32", [8]);
    assert.throws(() => planGguf({ metadata: [], tensors: [tensor, tensor] }), {
      name: "RangeError",
      message: /"t" twice/,
    });
    const alignment: GgufKeyValue = { key: "general.alignment", type: "U32", value: 48 };
    assert.throws(() => planGguf({ metadata: [alignment], tensors: [] }), { name: "RangeError", message: /got 48/ });
  });

  it("passes on what the source of the data throws", async () => {
    const broken = () => {
      throw new Error("the source broke");
    };
    await refused({ ...counting("t", "F32", [8]), data: broken }, { message: "the source broke" });
  });

  it("reports a disk that cannot be written", async () => {
    const path = join(folder, "no", "such", "folder.gguf");
    await assert.rejects(writeGguf(path, everything), { name: "TernionError", code: "GGUF_WRITE" });
  });
});
