/** Finding words against the regular expression that says it plainly, and with more words than a stack holds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createTokenizer } from "../../src/engine/text.js";
import { node } from "../../src/platform/node.js";
import { ChatTemplate } from "../../src/text/chat.js";
import { WordFinder } from "../../src/text/special.js";
import { smallMetadata, strings } from "./fixtures.js";

function all(words: readonly string[], text: string): [number, string][] {
  const finder = new WordFinder(words);
  const found: [number, string][] = [];
  for (let from = 0, next = finder.next(text, 0); next !== undefined; next = finder.next(text, from)) {
    found.push([next.index, next.word]);
    from = next.index + next.word.length;
  }
  return found;
}

function oracle(words: readonly string[], text: string): [number, string][] {
  const present = words.filter((word) => word !== "").sort((a, b) => b.length - a.length);
  if (present.length === 0) return [];
  const pattern = new RegExp(present.map((word) => word.replace(/[|.]/g, "\\$&")).join("|"), "g");
  return Array.from(text.matchAll(pattern), ({ 0: word, index }) => [index, word]);
}

test("the longest word at each place, from left to right", () => {
  const unit = fc.constantFrom("a", "b", "|", "🦙", "\ud83e", "\uffff");
  const word = fc.string({ unit, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), fc.string({ unit, maxLength: 30 }), (words, text) => {
      assert.deepEqual(all(words, text), oracle(words, text));
    }),
    { numRuns: 1000 },
  );
});

test("200,000 special tokens", async () => {
  const small = smallMetadata();
  const tokens = (small.get("tokenizer.ggml.tokens") as { values: readonly string[] }).values;
  const types = (small.get("tokenizer.ggml.token_type") as { values: Int32Array }).values;
  const reserved = Array.from({ length: 200_000 }, (_, i) => `<|reserved_${i}|>`);
  const tokenizer = createTokenizer(
    smallMetadata({
      "tokenizer.ggml.tokens": strings([...tokens, ...reserved]),
      "tokenizer.ggml.token_type": {
        type: "I32",
        values: Int32Array.from({ length: tokens.length + 200_000 }, (_, i) => types[i] ?? 3),
      },
    }),
  );
  assert.equal(tokenizer.specialPieces.length, 200_005);
  const text = "hello<|reserved_7|><|reserved_199999|><|reserved_200000|>";
  const ids = tokenizer.encode(text, { parseSpecial: true });
  assert.deepEqual(ids.slice(2, 4), [tokens.length + 7, tokens.length + 199_999]);
  assert.equal(tokenizer.decode(ids), `<|begin_of_text|>${text}`);
  assert.equal(tokenizer.encode(text).filter((id) => tokenizer.isSpecial(id)).length, 1);

  const chat = new ChatTemplate(
    tokenizer,
    "{{ messages[0].content }}<|reserved_199999|>{{ '<|' + messages[0].role + '|>' }}",
    node.templateRunner(),
  );
  try {
    const prompt = await chat.encode([{ role: "reserved_1", content: "<|reserved_7|>" }]);
    const special = prompt.filter((id) => tokenizer.isSpecial(id)).map((id) => tokenizer.piece(id));
    assert.deepEqual(special, ["<|begin_of_text|>", "<|reserved_199999|>", "<|reserved_1|>"]);
  } finally {
    chat.close();
  }
});
