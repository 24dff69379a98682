/** Vocabularies as files have them, odd ones too: each makes a tokenizer or one error that names its key, in a short time. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createTokenizer } from "../../src/engine/text.js";
import type { GgufValue } from "../../src/gguf/file.js";
import { scoredMetadata, smallMetadata, strings } from "./fixtures.js";

const TEXTS = ["hello  hello\n", " 01 User's <tool>", "<0x41> \u2581 \ud83e\udd99 sys <s>", ""];

const number = fc.oneof(fc.integer({ min: -3, max: 400 }), fc.constantFrom(2 ** 31, -(2 ** 31), 0.5, Number.NaN));
const word = fc.oneof(
  fc.constantFrom(
    "",
    " ",
    "a",
    "hello",
    "\u2581",
    "<0x00>",
    "<s>",
    "\ud800",
    "\0",
    "q zz",
    "h e",
    "llama",
    "gpt2",
    "t5",
    "__proto__",
  ),
  fc.string({ unit: "binary", maxLength: 8 }),
);
const array: fc.Arbitrary<GgufValue> = fc.oneof(
  fc.array(word, { maxLength: 5 }).map(strings),
  fc.array(fc.integer(), { maxLength: 5 }).map((all) => ({ type: "I32", values: Int32Array.from(all) }) as const),
  fc.array(fc.float(), { maxLength: 5 }).map((all) => ({ type: "F32", values: Float32Array.from(all) }) as const),
);

/** A value of a key in place of the one that was there. */
const VALUE: fc.Arbitrary<GgufValue | undefined> = fc.oneof(
  fc.constantFrom(undefined, true, false),
  number,
  word,
  array,
);

/** The same array with one value changed, one more, or one less. */
function damaged(value: GgufValue | undefined): fc.Arbitrary<GgufValue | undefined> {
  if (typeof value !== "object") return VALUE;
  const { type, values } = value;
  return fc.tuple(fc.nat(values.length - 1), word, number, fc.nat(2)).map(([at, text, to, kind]) => {
    const changed = Array.from(values as ArrayLike<string | number>);
    changed.splice(at, kind === 0 ? 0 : 1, ...(kind === 1 ? [] : [type === "STRING" ? text : to]));
    if (type === "STRING") return strings(changed as string[]);
    return type === "F32"
      ? { type, values: Float32Array.from(changed as number[]) }
      : ({ type: "I32", values: Int32Array.from(changed as number[]) } as const);
  });
}

const KEYS = [
  "model",
  "pre",
  "tokens",
  "token_type",
  "merges",
  "scores",
  "bos_token_id",
  "eos_token_id",
  "eot_token_id",
]
  .concat("add_bos_token", "add_space_prefix", "remove_extra_whitespaces")
  .map((name) => `tokenizer.ggml.${name}`);

for (const [kind, whole] of [
  ["byte-level", smallMetadata()],
  ["SentencePiece", scoredMetadata()],
] as const) {
  describe(`damaged metadata, ${kind}`, () => {
    const change = fc
      .constantFrom(...KEYS)
      .chain((key) => fc.oneof(damaged(whole.get(key)), VALUE).map((value) => ({ key, value })));

    it("makes a tokenizer that takes any text, or an error that names a key", () => {
      let refused = 0;
      const runs = 300;
      fc.assert(
        fc.property(fc.array(change, { minLength: 1, maxLength: 2 }), (changes) => {
          const metadata = new Map(whole);
          for (const { key, value } of changes) {
            if (value === undefined) metadata.delete(key);
            else metadata.set(key, value);
          }
          try {
            const tokenizer = createTokenizer(metadata);
            for (const text of TEXTS) {
              const ids = tokenizer.encode(text, { addBos: false, parseSpecial: true });
              assert.ok(ids.every((id) => Number.isInteger(id) && id >= 0 && id < tokenizer.size));
              tokenizer.decode(ids);
            }
          } catch (error) {
            const { code, message } = error as Error & { code?: string };
            assert.equal(code, "TOKENIZER", String((error as Error).stack));
            assert.match(message, /^tokenizer\.ggml\.[a-z_]+: expected .*, got /s);
            refused++;
          }
        }),
        { numRuns: runs },
      );
      assert.ok(refused > runs / 10 && refused < runs, `${refused} of ${runs} refused`);
    });
  });
}

describe("odd vocabularies", () => {
  it("kinds that are not read are named", () => {
    for (const [model, what] of [
      ["t5", "unigrams"],
      ["bert", "WordPiece"],
    ] as const) {
      const message = new RegExp(`tokenizer.ggml.model: expected "gpt2" or "llama", got "${model}", which is ${what}`);
      assert.throws(() => createTokenizer(scoredMetadata({ "tokenizer.ggml.model": model })), { message });
    }
  });

  it("empty tokens, as converters fill up with, are no text", () => {
    const tokens = scoredMetadata().get("tokenizer.ggml.tokens") as { values: readonly string[] };
    const holes = strings(tokens.values.map((piece) => (piece === "spare" || piece === "<tool>" ? "" : piece)));
    const tokenizer = createTokenizer(scoredMetadata({ "tokenizer.ggml.tokens": holes }));
    assert.equal(tokenizer.decode(tokenizer.encode("hello", { addBos: false })), "hello");
  });

  it("control tokens that end turns end them, whatever the file names as eos", () => {
    const { values } = smallMetadata().get("tokenizer.ggml.tokens") as { values: readonly string[] };
    const named = strings(values.map((piece) => (piece === "<|eot_id|>" ? "<|im_end|>" : piece)));
    const changes = { "tokenizer.ggml.tokens": named, "tokenizer.ggml.eot_token_id": undefined };
    const tokenizer = createTokenizer(smallMetadata(changes));
    assert.deepEqual([...tokenizer.stopIds], [tokenizer.eos, tokenizer.idOf("<|im_end|>")]);
    const types = smallMetadata().get("tokenizer.ggml.token_type") as { values: Int32Array };
    const asText = { type: "I32", values: types.values.with(values.indexOf("<|eot_id|>"), 1) } as const;
    const plain = createTokenizer(smallMetadata({ ...changes, "tokenizer.ggml.token_type": asText }));
    assert.deepEqual([...plain.stopIds], [plain.eos], "text is no end");
  });

  it("tokens that would take minutes to pair are refused", () => {
    const { values } = scoredMetadata().get("tokenizer.ggml.tokens") as { values: readonly string[] };
    const long = strings(values.map((piece) => (piece === "spare" ? "he".repeat(1 << 16) : piece)));
    const types = scoredMetadata().get("tokenizer.ggml.token_type") as { values: Int32Array };
    const used = { type: "I32", values: types.values.with(values.indexOf("spare"), 1) } as const;
    const metadata = scoredMetadata({ "tokenizer.ggml.tokens": long, "tokenizer.ggml.token_type": used });
    assert.throws(() => createTokenizer(metadata), { code: "TOKENIZER", message: /too many long ones/ });
  });
});
