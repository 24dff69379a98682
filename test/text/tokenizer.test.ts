/**
 * The tokenizer against llama.cpp's 47 cases for the real Llama 3 vocabulary, and its own promises (round trip, special
 * tokens are plain unless asked for, damage is named) on a vocabulary small enough to see through.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import fc from "fast-check";
import { createTokenizer } from "../../src/engine/text.js";
import type { GgufValue } from "../../src/gguf/file.js";
import type { Tokenizer } from "../../src/text/tokenizer.js";
import { llama3Metadata, SMALL_MERGES, smallMetadata, strings } from "./fixtures.js";

const golden = (name: string) => readFile(new URL(`../../../test/golden/llama3/${name}`, import.meta.url), "utf8");

describe("the Llama 3 vocabulary", () => {
  let tokenizer: Tokenizer;
  before(async () => {
    tokenizer = createTokenizer(await llama3Metadata());
  });

  it("gives the ids of llama.cpp for its 47 cases", async () => {
    const cases = (await golden("llama-bpe.inp")).split("\n__ggml_vocab_test__\n");
    const expected = (await golden("llama-bpe.out")).split("\n").slice(0, cases.length);
    assert.equal(cases.length, 47);
    for (const [i, text] of cases.entries()) {
      const ids = tokenizer.encode(text, { addBos: false });
      assert.deepEqual(
        ids,
        (expected[i] as string).trim().split(" ").filter(Boolean).map(Number),
        JSON.stringify(text),
      );
      assert.equal(tokenizer.decode(ids), text);
    }
  });

  it("knows its special tokens", () => {
    assert.equal(tokenizer.size, 128_256);
    assert.equal(tokenizer.bos, 128_000);
    assert.deepEqual([...tokenizer.stopIds], [128_001, 128_009]);
    assert.deepEqual(tokenizer.encode("Hello"), [128_000, 9906]);
    assert.deepEqual(
      tokenizer.encode("<|begin_of_text|>Hello<|eot_id|>", { parseSpecial: true }),
      [128_000, 9906, 128_009],
    );
    assert.ok(!tokenizer.encode("<|eot_id|>").includes(128_009));
  });

  it("returns every text from its ids", () => {
    const text = fc.string({ unit: "binary", maxLength: 60 });
    fc.assert(fc.property(text, (t) => assert.equal(tokenizer.decode(tokenizer.encode(t, { addBos: false })), t)));
  });

  it("takes time in proportion to a word without breaks", () => {
    const word = "abcdefghij".repeat(1000);
    const start = performance.now();
    assert.equal(tokenizer.decode(tokenizer.encode(word, { addBos: false })), word);
    assert.ok(performance.now() - start < 2000, "10,000 letters: expected some 0.1 s");
  });
});

describe("a small vocabulary", () => {
  const tokenizer = createTokenizer(smallMetadata());
  const id = (piece: string) => tokenizer.idOf(piece) as number;
  const plain = (text: string) => tokenizer.encode(text, { addBos: false });
  const special = (text: string) => tokenizer.encode(text, { addBos: false, parseSpecial: true });
  const pieces = (ids: number[]) => ids.map((each) => tokenizer.piece(each));

  it("merges within pre-tokens only", () => {
    assert.deepEqual(pieces(plain("hello hello")), ["hello", "Ġhello"]);
    assert.deepEqual(pieces(plain("User's")), ["User", "'", "s"]);
  });

  it("keeps special tokens in a text plain unless asked", () => {
    assert.deepEqual(pieces(plain("<|eot_id|>")), ["<|", "e", "o", "t", "_", "i", "d", "|>"]);
    assert.deepEqual(special("hello<|eot_id|>"), [id("hello"), id("<|eot_id|>")]);
    assert.deepEqual(pieces(plain("sys")), ["s", "y", "s"], "a control token that is a whole pre-token");
    assert.deepEqual(special("sys"), [id("sys")]);
    assert.deepEqual(pieces(plain("a<tool>b")), ["a", "<tool>", "b"], "an added word is not special");
  });

  it("takes ids among the text as they are", () => {
    const ids = tokenizer.encode(["hello<|eot_id|>", id("<|eot_id|>"), "hel", "lo"], { addBos: false });
    assert.deepEqual(ids, [...plain("hello<|eot_id|>"), id("<|eot_id|>"), ...plain("hel"), ...plain("lo")]);
  });

  it("writes BOS once", () => {
    const bos = tokenizer.bos as number;
    assert.deepEqual(tokenizer.encode(""), [bos]);
    assert.deepEqual(tokenizer.encode("<|begin_of_text|>hello", { parseSpecial: true }), [bos, id("hello")]);
    const without = createTokenizer(smallMetadata({ "tokenizer.ggml.add_bos_token": false }));
    assert.deepEqual(without.encode("hello"), [id("hello")]);
    assert.deepEqual(without.encode("hello", { addBos: true }), [bos, id("hello")]);
  });

  it("writes BOS where the file does not say as models with this split do", () => {
    const withSplit = (pre: string, flag?: boolean) =>
      createTokenizer(smallMetadata({ "tokenizer.ggml.pre": pre, "tokenizer.ggml.add_bos_token": flag }));
    for (const pre of ["llama-bpe", "falcon3", "tekken"]) assert.equal(withSplit(pre).addBos, true, pre);
    for (const pre of ["qwen2", "gpt-2", "default", "deepseek-llm"]) assert.equal(withSplit(pre).addBos, false, pre);
    assert.equal(withSplit("qwen2", true).addBos, true);
    assert.equal(withSplit("llama-bpe", false).addBos, false);
  });

  it("decodes bytes, special tokens and damage", () => {
    const bytes = [...plain("🦙")];
    assert.equal(bytes.length, 4);
    assert.equal(tokenizer.decode(bytes), "🦙");
    assert.equal(tokenizer.decode(bytes.slice(0, 3)), "\uFFFD");
    assert.deepEqual(tokenizer.bytes(bytes[0] as number), Uint8Array.of(0xf0));
    assert.equal(tokenizer.decode([id("hello"), id("<|eot_id|>")]), "hello<|eot_id|>");
    assert.equal(tokenizer.decode([id("hello"), id("<|eot_id|>")], { skipSpecial: true }), "hello");
    assert.equal(tokenizer.decode(plain("\uFEFFa")), "\uFEFFa");
    assert.equal(tokenizer.decode([]), "");
  });

  it("returns every text from its ids, special tokens parsed or not", () => {
    const unit = fc.constantFrom(..."<|>_ \n\r\t'sé中🦙\u200D", "eot_id", "<|eot_id|>", "<tool>", "sys", "hello", "01");
    fc.assert(
      fc.property(fc.array(unit), fc.boolean(), (units, parseSpecial) => {
        const text = units.join("");
        assert.equal(tokenizer.decode(tokenizer.encode(text, { addBos: false, parseSpecial })), text);
      }),
    );
  });

  it("works without token types and special ids", () => {
    const bare = createTokenizer(
      smallMetadata({
        "tokenizer.ggml.token_type": undefined,
        "tokenizer.ggml.bos_token_id": undefined,
        "tokenizer.ggml.add_bos_token": undefined,
        "tokenizer.ggml.eot_token_id": undefined,
      }),
    );
    assert.deepEqual(bare.encode("hello"), [id("hello")]);
    assert.deepEqual([...bare.stopIds], [id("<|end_of_text|>")]);
    assert.throws(() => bare.encode("a", { addBos: true }), { code: "TOKENIZER", message: /bos_token_id/ });
  });
});

describe("a damaged vocabulary", () => {
  const tokens = smallMetadata().get("tokenizer.ggml.tokens") as { values: readonly string[] };
  const cases: [string, string, GgufValue | undefined, RegExp][] = [
    ["another tokenizer", "tokenizer.ggml.model", "bert", /expected "gpt2" or "llama", got "bert"/],
    ["another split", "tokenizer.ggml.pre", "tiny_aya", /expected one of \d+ splits .*"llama-bpe".*, got "tiny_aya"/],
    ["no split", "tokenizer.ggml.pre", undefined, /got nothing/],
    ["no tokens", "tokenizer.ggml.tokens", undefined, /an array of strings, got nothing/],
    ["tokens of numbers", "tokenizer.ggml.tokens", { type: "I32", values: Int32Array.of(1) }, /an array of 1 I32/],
    ["a token twice", "tokenizer.ggml.tokens", strings(tokens.values.with(98, "a")), /"a" at \d+ and at \d+/],
    [
      "no token for a byte",
      "tokenizer.ggml.tokens",
      strings(tokens.values.map((t) => (t === "a" ? "aa" : t))),
      /byte 97/,
    ],
    ["too few types", "tokenizer.ggml.token_type", { type: "I32", values: Int32Array.of(1) }, /types, one a token/],
    ["types of strings", "tokenizer.ggml.token_type", strings(["1"]), /an array of integers/],
    ["no merges", "tokenizer.ggml.merges", undefined, /an array of strings/],
    ["a merge to nowhere", "tokenizer.ggml.merges", strings([...SMALL_MERGES, "q zz"]), /\[11\] "q zz"/],
    ["a merge to a special token", "tokenizer.ggml.merges", strings(["sy s"]), /\[0\] "sy s"/],
    ["a merge of one", "tokenizer.ggml.merges", strings(["hello"]), /\[0\] "hello"/],
    ["an id out of range", "tokenizer.ggml.eos_token_id", 99_999, /a token id from 0 to/],
    ["a flag that is none", "tokenizer.ggml.add_bos_token", 1, /a boolean, got 1/],
  ];
  for (const [name, key, value, message] of cases) {
    it(name, () => {
      assert.throws(
        () => createTokenizer(smallMetadata({ [key]: value })),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, "TOKENIZER");
          assert.match(error.message, message);
          assert.ok(error.message.startsWith(key), error.message);
          return true;
        },
      );
    });
  }

  it("an id of another vocabulary", () => {
    const tokenizer = createTokenizer(smallMetadata());
    for (const id of [-1, 0.5, 99_999]) assert.throws(() => tokenizer.decode([id]), { code: "TOKENIZER" });
  });
});
