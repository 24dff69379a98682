/** `ternion inspect`, on a model and on a vocabulary. */
import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { describe, it } from "node:test";
import { readGguf } from "../../src/index.js";
import { llama3Vocabulary } from "../vocabulary.js";
import { TINY, ternion } from "./program.js";

describe("ternion inspect", () => {
  it("gives metadata, tensors, totals and repairs as JSON", async () => {
    const { stdout, stderr, code } = await ternion(["inspect", "--json", "--model", TINY]);
    assert.deepEqual({ stderr, code }, { stderr: "", code: 0 });
    const got = JSON.parse(stdout);
    const file = await readGguf(TINY);
    assert.equal(got.bytes, (await stat(TINY)).size);
    assert.deepEqual(Object.keys(got.metadata), [...file.metadata.keys()]);
    assert.equal(got.metadata["general.architecture"], "bitnet-b1.58");
    assert.equal(got.metadata["tokenizer.ggml.tokens"].length, 320);
    assert.equal(got.metadata["tokenizer.ggml.tokens"].first.length, 8);
    assert.deepEqual(
      got.tensors.map(({ name, type, dims, offset, bytes }: Record<string, unknown>) => [
        name,
        type,
        dims,
        offset,
        bytes,
      ]),
      Array.from(file.tensors.values(), (t) => [t.name, t.type, t.dims, t.offset, t.byteLength]),
    );
    assert.deepEqual(got.types.at(-1), { type: "I2_S", tensors: 14, weights: 1_572_864, bytes: 393_664 });
    assert.deepEqual(
      got.repairs.map(({ key }: { key: string }) => key),
      ["tokenizer.ggml.pre", "tokenizer.ggml.eot_token_id"],
    );
  });

  it("prints tables, with long arrays cut short", async () => {
    const { stdout } = await ternion(["inspect", "--model", TINY]);
    assert.match(stdout, /^ {2}tokenizer\.ggml\.token_type +I32\[320\] 1, 1, 1, 1, 1, 1, 1, 1, \.\.\.$/m);
    assert.match(stdout, /^ {2}blk\.0\.ffn_down\.weight +I2_S {2}768 x 256 +174176 +49184$/m);
    assert.match(stdout, /^ {2}I2_S +14 +1572864 +393664$/m);
    assert.match(stdout, /^ {2}tokenizer\.ggml\.pre +absent +"llama-bpe", the Llama 3 split$/m);
    assert.ok(stdout.split("\n").every((line) => line.length < 300));
  });

  it("works on a file without tensors", async () => {
    const { stdout, code } = await ternion(["inspect", "--model", await llama3Vocabulary()]);
    assert.equal(code, 0);
    assert.match(stdout, /^ {2}tokenizer\.ggml\.tokens +STRING\[128256\] "!", /m);
    assert.match(stdout, /^tensors\n {2}none$/m);
  });
});
