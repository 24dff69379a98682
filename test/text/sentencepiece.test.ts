/**
 * SentencePiece against `llama-tokenizer-js`, which has Llama's vocabulary of 32,000 tokens: the same ids for any text, and the
 * text again from them. The package has merges in place of scores; the scores of that file are -(id - 259) but for blanks.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import peer from "llama-tokenizer-js";
import { createTokenizer } from "../../src/engine/text.js";
import type { GgufValue } from "../../src/gguf/file.js";
import { TextStream } from "../../src/text/stream.js";
import { scoredMetadata, strings } from "./fixtures.js";

const pieces: readonly string[] = peer.vocabById;
const BYTES = { first: 3, end: 259 };

function metadata(changes: Readonly<Record<string, GgufValue>> = {}): Map<string, GgufValue> {
  const types = Int32Array.from(pieces.keys(), (id) => (id === 0 ? 2 : id < BYTES.first ? 3 : id < BYTES.end ? 6 : 1));
  const scores = Float32Array.from(pieces, (piece, id) => {
    if (id < BYTES.end) return 0;
    return /^\u2581{2,}$/.test(piece) ? -1e9 : BYTES.end - id;
  });
  const values: Readonly<Record<string, GgufValue>> = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": strings(pieces),
    "tokenizer.ggml.scores": { type: "F32", values: scores },
    "tokenizer.ggml.token_type": { type: "I32", values: types },
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    ...changes,
  };
  return new Map(Object.entries(values));
}

const TEXT = fc
  .array(
    fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 6 }),
      fc.constantFrom(
        "the ",
        " naïve",
        "Größe",
        "日本語",
        "🙂",
        "𝔘",
        "\t",
        "   \n",
        "  ",
        "1234",
        "<s>",
        "<0x0A>",
        "grabbed",
      ),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(""))
  .filter((text) => !text.includes("\u2581")); // which stands for a blank

describe("SentencePiece", () => {
  const tokenizer = createTokenizer(metadata());

  it("gives the ids of the other implementation, and the text again", () => {
    fc.assert(
      fc.property(TEXT, (text) => {
        const ids = tokenizer.encode(text);
        if (text !== "") assert.deepEqual(ids, peer.encode(text, true, true));
        assert.equal(tokenizer.decode(ids, { skipSpecial: true }), text);
      }),
      { numRuns: 500 },
    );
  });

  it("a word of ten thousand letters, in slices", async () => {
    const text = "unbelievable".repeat(1000);
    assert.deepEqual(await tokenizer.encodeAsync(text), peer.encode(text, true, true));
  });

  it("no blank comes first where the file says so, and one does after a special token", () => {
    const plain = createTokenizer(metadata({ "tokenizer.ggml.add_space_prefix": false }));
    const [hello, spaced] = ["hello", "\u2581hello"].map((piece) => tokenizer.idOf(piece));
    assert.deepEqual(plain.encode("hello", { addBos: false }), [...peer.encode("hello", false, false)]);
    assert.equal(plain.decode(plain.encode(" hello")), "<s> hello");
    assert.deepEqual(tokenizer.encode(["hello", 2, "hello"], { addBos: false }), [spaced, 2, spaced]);
    assert.notEqual(hello, spaced);
  });

  it("the spelling of a byte or of a control token is text", () => {
    for (const text of ["<0x41>", "<unk>", "</s>"]) {
      const ids = tokenizer.encode(text, { addBos: false });
      assert.ok(ids.length > 1 && ids.every((id) => id >= BYTES.end), text);
    }
    assert.deepEqual(tokenizer.encode("a</s>", { addBos: false, parseSpecial: true }).at(-1), 2);
    assert.deepEqual([...tokenizer.bytes(3 + 0x41)], [0x41]);
  });

  it("extra blanks are left out where the file says so", () => {
    const keeps = createTokenizer(scoredMetadata());
    const removes = createTokenizer(scoredMetadata({ "tokenizer.ggml.remove_extra_whitespaces": true }));
    const pieces = (text: string) => removes.encode(text, { addBos: false }).map((id) => removes.piece(id));
    assert.deepEqual(pieces("  hello   hello  "), ["\u2581hello", "\u2581hello"]);
    assert.deepEqual(pieces("   "), []);
    assert.deepEqual(removes.encode("hello hello"), keeps.encode("hello hello"));
    assert.equal(keeps.decode(keeps.encode("  hello   hello  "), { skipSpecial: true }), "  hello   hello  ");
    const started = performance.now();
    removes.encode(`${" ".repeat(1 << 20)}x${" ".repeat(1 << 20)}`);
    assert.ok(performance.now() - started < 5000, "2 MB of blanks: expected some 10 ms");
  });

  it("an added word is one token, an unused one none, and neither makes a blank", () => {
    const small = createTokenizer(scoredMetadata());
    const pieces = (text: string) => small.encode(text, { addBos: false }).map((id) => small.piece(id));
    assert.deepEqual(pieces("hello<tool>hell"), ["\u2581hello", "<tool>", "he", "ll"]);
    assert.deepEqual(pieces("<tool>"), ["<tool>"]);
    assert.ok(!pieces("spare").includes("spare"));
    for (const text of ["hello<tool>hell", "<tool> hello", " <tool>", "spare"]) {
      assert.equal(small.decode(small.encode(text, { addBos: false })), text);
    }
  });

  it("characters of several byte tokens come out whole, when they are complete", () => {
    const ids = tokenizer.encode("𝔘🦙 a", { addBos: false });
    const stream = new TextStream();
    const texts = ids.map((id) => stream.push(tokenizer.bytes(id)));
    assert.ok(texts.includes("") && texts.includes("🦙"), JSON.stringify(texts));
    assert.equal(texts.join("") + stream.flush(), " 𝔘🦙 a", "an answer keeps the blank that a text's first token has");
    assert.equal(tokenizer.decode(ids), "𝔘🦙 a");
    assert.equal(tokenizer.decode(ids.slice(0, -3)), "𝔘\ufffd");
  });

  it("a damaged vocabulary is named by its key", () => {
    for (const [key, value, message] of [
      [
        "tokenizer.ggml.scores",
        { type: "F32", values: Float32Array.of(1) },
        /expected 32000 scores, one a token, got 1/,
      ],
      ["tokenizer.ggml.scores", "none", /expected an array of F32/],
      [
        "tokenizer.ggml.scores",
        { type: "F32", values: new Float32Array(32_000).fill(Number.NaN) },
        /expected finite numbers, got NaN/,
      ],
      ["tokenizer.ggml.tokens", strings(pieces.with(3, "x")), /a token for every byte, got none for byte 0/],
    ] as const) {
      assert.throws(() => createTokenizer(metadata({ [key]: value })), { code: "TOKENIZER", message });
    }
  });
});
