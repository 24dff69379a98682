/**
 * Golden words of texts: where Hugging Face's tokenizers, in Rust, cut each text with the patterns that the models' tokenizer.json
 * has, or for default, falcon, poro-chat and viking with those of llama.cpp.
 *
 *     npm install --no-save @anush008/tokenizers@0.6.0
 *     node test/golden/splits.mjs            compare splits.json with what the library gives
 *     node test/golden/splits.mjs --write    write it
 *
 * Shares no code with Ternion.
 */
import { readFileSync, writeFileSync } from "node:fs";
import library from "@anush008/tokenizers";
import { PARTS, randoms } from "./texts.mjs";

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const BLANKS = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const gpt4 = (digits) =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${BLANKS}`;
const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const [UPPER, LOWER] = ["[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]", "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"];
const cased = (end, digits) =>
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${end}|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${end}|${digits}|` +
  ` ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${BLANKS}`;
const poro = " ?[^(\\s|.,!?…。，、।۔،)]+";

const DEEPSEEK_LETTERS =
  "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377" +
  "\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556" +
  "\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a" +
  "\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4" +
  "\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc" +
  "\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f" +
  "\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b" +
  "\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a" +
  "\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}" +
  "\u{118a0}-\u{118df}\u{1e900}-\u{1e943}";

/** by tokenizer.ggml.pre */
const PATTERNS = {
  "llama-bpe": [gpt4("\\p{N}{1,3}")],
  qwen2: [gpt4("\\p{N}")],
  qwen35: [
    `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${BLANKS}`,
  ],
  "seed-coder": [`${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|${BLANKS}`],
  "gpt-2": [gpt2],
  smollm: ["\\p{N}", gpt2],
  default: ["[\\p{P}\\$\\+<=>\\^~\\|]+", gpt2, "\\p{N}+", "[0-9][0-9][0-9]"],
  falcon: ["[\\p{P}\\$\\+<=>\\^~\\|`]+", gpt2, "[0-9][0-9][0-9]"],
  tekken: [cased("", "\\p{N}")],
  "gpt-4o": [cased(`${CONTRACTIONS}?`, "\\p{N}{1,3}")],
  "deepseek-llm": [
    "[\r\n]",
    `\\s?[${DEEPSEEK_LETTERS}]+`,
    "\\s?[!-/:-~！-／：-～‘-‟　-。]+",
    "\\s+$",
    "[一-龥ࠀ-一가-퟿]+",
    "\\p{N}+",
  ],
  "deepseek-coder": ["[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "\\p{N}"],
  "deepseek-v3": [
    "\\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|" +
      " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
  ],
  "poro-chat": [poro],
  viking: [poro, "\\p{N}"],
};

/** A vocabulary of the 256 bytes alone, so that a text gives a token for each byte. */
const BYTES = library.byteLevelAlphabet();
const ADDED = { lstrip: false, rstrip: false, normalized: false, single_word: false, special: true };

function libraryOf(patterns) {
  const stages = patterns.map((Regex) => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false }));
  return library.Tokenizer.fromString(
    JSON.stringify({
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: [{ id: 256, content: "<none>", ...ADDED }],
      normalizer: null,
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [...stages, { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false }],
      },
      post_processor: null,
      decoder: null,
      model: { type: "BPE", vocab: Object.fromEntries(BYTES.map((byte, id) => [byte, id])), merges: [] },
    }),
  );
}

/** bytes of each word of `text` */
async function lengths(tokenizer, text) {
  const words = (await tokenizer.encode(text)).getWordIds();
  const counts = [];
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

function someTexts() {
  const next = randoms(16);
  const one = (list) => list[Math.floor(next() * list.length)];
  const text = () => Array.from({ length: 1 + Math.floor(next() * 12) }, () => one(PARTS)).join("");
  return Array.from({ length: 200 }, text);
}

const path = new URL("splits.json", import.meta.url);
const golden = { texts: someTexts(), bytes: {} };
for (const [name, patterns] of Object.entries(PATTERNS)) {
  const tokenizer = libraryOf(patterns);
  golden.bytes[name] = [];
  for (const text of golden.texts) golden.bytes[name].push((await lengths(tokenizer, text)).join(" "));
}
const made = `${JSON.stringify(golden, null, 1)}\n`;
if (process.argv.includes("--write")) writeFileSync(path, made);
else if (readFileSync(path, "utf8") !== made) throw new Error(`${path.pathname} is not what the library gives`);
console.log(`${golden.texts.length} texts, ${Object.keys(golden.bytes).length} splits`);
