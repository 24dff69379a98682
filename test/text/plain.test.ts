/**
 * Our merging against that of `@huggingface/tokenizers`: the same ids for any text and any list of merges, and for the
 * texts that are bad for it: one long word.
 */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { Tokenizer as Peer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { createTokenizer } from "../../src/engine/text.js";
import type { GgufArray, GgufValue } from "../../src/gguf/file.js";
import { BYTE_CHARACTERS } from "../../src/text/byte-alphabet.js";
import type { Tokenizer } from "../../src/text/tokenizer.js";
import { llama3Metadata, smallMetadata, strings } from "./fixtures.js";

/** What tokenizer.json of models with these names in GGUF says of splits. */
interface PeerSplit {
  readonly patterns: readonly string[];
  readonly wholeWords: boolean;
  readonly normalizer: { type: "NFC" } | null;
}

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const llama3 = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|` +
  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const [UPPER, LOWER] = ["\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}", "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"];
const TEKKEN =
  `[^\\r\\n\\p{L}\\p{N}]?[${UPPER}]*[${LOWER}]+|[^\\r\\n\\p{L}\\p{N}]?[${UPPER}]+[${LOWER}]*|\\p{N}|` +
  " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const LLAMA3: PeerSplit = { patterns: [llama3("\\p{N}{1,3}")], wholeWords: true, normalizer: null };
const PEERS: Readonly<Record<string, PeerSplit>> = {
  "llama-bpe": LLAMA3,
  qwen2: { patterns: [llama3("\\p{N}")], wholeWords: false, normalizer: { type: "NFC" } },
  "gpt-2": { patterns: [GPT2], wholeWords: false, normalizer: null },
  smollm: { patterns: ["\\p{N}", GPT2], wholeWords: false, normalizer: null },
  tekken: { patterns: [TEKKEN], wholeWords: true, normalizer: null },
};

/** The package's tokenizer over the plain tokens of the same arrays. */
function peerOf(
  metadata: ReadonlyMap<string, GgufValue>,
  { patterns, wholeWords, normalizer }: PeerSplit = LLAMA3,
): (text: string) => number[] {
  const list = (key: string) => (metadata.get(`tokenizer.ggml.${key}`) as GgufArray).values;
  const [pieces, types, merges] = [list("tokens") as string[], list("token_type"), list("merges") as string[]];
  const vocab = new Map(pieces.map((piece, id) => [piece, id] as const).filter(([, id]) => types[id] === 1));
  const pretokenizers = [
    ...patterns.map((each) => {
      // the blanks of Rust's regular expressions
      const Regex = each.replaceAll("\\s", "\\p{White_Space}").replaceAll("\\S", "\\P{White_Space}");
      return { type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false };
    }),
    { type: "ByteLevel", add_prefix_space: false, use_regex: false },
  ];
  const peer = new Peer(
    {
      added_tokens: [],
      normalizer,
      pre_tokenizer: { type: "Sequence", pretokenizers },
      model: { type: "BPE", vocab: {}, merges: merges.map((merge) => merge.split(" ")), ignore_merges: wholeWords },
      post_processor: null,
      decoder: null,
    },
    {},
  );
  (peer.model as unknown as { tokens_to_ids: Map<string, number> }).tokens_to_ids = vocab;
  return (text) => (text === "" ? [] : peer.encode(text).ids);
}

const SOME_TEXT = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 4 }),
      fc.constantFrom(
        ..."'s 'LL 'ſ \r\n\t\u0085\ufeff\u00a0 1234 ===>\n ---\n\n \ud800 \udc00 ﬁ Straße 中文 🦙👩‍👩‍👧 e\u0301".split(
          " ",
        ),
        " ",
      ),
      fc.constantFrom("function", "unbelievable", "http://", "    return x;\n", "Σίσυφος", "नमस्ते", "\r", "\n"),
      fc.constantFrom("camelCase", "HTTPServer", " /path/to//", "don't", "I'LL", "x٣٤", "ǅungla"),
    ),
    { maxLength: 30 },
  )
  .map((units) => units.join(""));

describe("the Llama 3 vocabulary, split as other models split theirs", () => {
  for (const [name, split] of Object.entries(PEERS).slice(1)) {
    it(name, async () => {
      const metadata = await llama3Metadata();
      const own = createTokenizer(metadata.set("tokenizer.ggml.pre", name));
      const peer = peerOf(metadata, split);
      fc.assert(
        fc.property(SOME_TEXT, (text) => assert.deepEqual(own.encode(text, { addBos: false }), peer(text))),
        { numRuns: 200 },
      );
    });
  }
});

describe("the Llama 3 vocabulary, as the package merges it", () => {
  let own: Tokenizer;
  let peer: (text: string) => number[];
  before(async () => {
    const metadata = await llama3Metadata();
    own = createTokenizer(metadata);
    peer = peerOf(metadata);
  });
  const same = (text: string) => assert.deepEqual(own.encode(text, { addBos: false }), peer(text));

  it("any text", () => {
    fc.assert(fc.property(SOME_TEXT, same), { numRuns: 500 });
  });

  it("words of one, two or all letters, longer than any slice of work", () => {
    for (const run of [
      "a",
      " ",
      "\n",
      "=",
      "1",
      "🦙",
      "中文字符測試",
      " \t",
      "a b ",
      "abcdefghij",
      "thequickbrownfox",
    ]) {
      same(run.repeat(Math.ceil(20_000 / run.length)));
    }
  });
});

describe("small vocabularies", () => {
  it("any list of merges, in any order, with pairs twice and halves that never come about", () => {
    const letter = fc.constantFrom("a", "b");
    const word = fc.string({ unit: letter, minLength: 1, maxLength: 4 });
    const merges = fc.array(fc.tuple(word, word), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(merges, fc.string({ unit: letter, maxLength: 40 }), (pairs, text) => {
        const made = [...new Set(pairs.map((pair) => pair.join("")))];
        const pieces = [...BYTE_CHARACTERS, ...made];
        const metadata = smallMetadata({
          "tokenizer.ggml.tokens": strings([...pieces, "<s>"]),
          "tokenizer.ggml.token_type": { type: "I32", values: Int32Array.from([...pieces.map(() => 1), 3]) },
          "tokenizer.ggml.merges": strings(pairs.map((pair) => pair.join(" "))),
          "tokenizer.ggml.bos_token_id": undefined,
          "tokenizer.ggml.eos_token_id": undefined,
          "tokenizer.ggml.eot_token_id": undefined,
        });
        assert.deepEqual(createTokenizer(metadata).encode(text), peerOf(metadata)(text));
      }),
      { numRuns: 300 },
    );
  });
});

describe("encodeAsync", () => {
  const tokenizer = createTokenizer(smallMetadata());
  const long = `${"hello ".repeat(50_000)}${"hello".repeat(50_000)}<|eot_id|>`;

  it("gives the ids of encode, and others have their turn", async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const ids = await tokenizer.encodeAsync(long, { parseSpecial: true });
    clearInterval(timer);
    assert.deepEqual(ids, tokenizer.encode(long, { parseSpecial: true }));
    assert.ok(turns > 0, "a timer could run");
  });

  it("ends by the signal", async () => {
    const gone = AbortSignal.abort(new Error("gone"));
    await assert.rejects(tokenizer.encodeAsync("a", { signal: gone }), /gone/);
    const controller = new AbortController();
    setImmediate(() => controller.abort(new Error("later")));
    await assert.rejects(tokenizer.encodeAsync(long.repeat(4), { signal: controller.signal }), /later/);
  });
});
