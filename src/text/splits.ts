/**
 * How texts are split into words before byte-pair merging, by the names that GGUF has for it (`tokenizer.ggml.pre`). The
 * patterns are those of the tokenizer.json of the models, names and flags those of llama.cpp. A name that is not here is
 * refused: with a split of another model most texts would become other tokens, and answers worse without a word.
 *
 * Time is in proportion to the text: no pattern may look further ahead than it then takes.
 */

export interface Split {
  /** applied in turn: what a pattern matches is a word for the next, and so is what lies between its matches */
  readonly stages: readonly RegExp[];
  /** a word that is a token is this token, whatever the merges would make of it (`ignore_merges`) */
  readonly wholeWords: boolean;
  /** texts begin with BOS where the file does not say (`add_bos_token`) */
  readonly addBos: boolean;
  /** the text is brought into this form first */
  readonly normal?: "NFC";
}

/** One pattern of alternatives. `\s` is Unicode's blank: JavaScript's has U+FEFF too, and lacks U+0085. */
function pattern(...alternatives: readonly string[]): RegExp {
  const source = alternatives.join("|").replaceAll("\\s", "\\p{White_Space}").replaceAll("\\S", "\\P{White_Space}");
  return new RegExp(source, "gu");
}

const plain = (...stages: readonly RegExp[]): Split => ({ stages, wholeWords: false, addBos: false });

const CONTRACTIONS = /'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])/.source;
const FRONT = /[^\r\n\p{L}\p{N}]?/u.source;
const LETTERS = `${FRONT}\\p{L}+`;
const DIGIT = /\p{N}/u.source;
const THREE_DIGITS = /\p{N}{1,3}/u.source;
const MARKS = / ?[^\s\p{L}\p{N}]+[\r\n]*/u.source;
/** Line ends with the blanks before them, and blanks, which but for the last belong together. */
const BLANKS = /\s*[\r\n]+|\s+(?!\S)|\s+/u.source;

const LLAMA3 = pattern(CONTRACTIONS, LETTERS, THREE_DIGITS, MARKS, BLANKS);
const QWEN2 = pattern(CONTRACTIONS, LETTERS, DIGIT, MARKS, BLANKS);
const QWEN35 = pattern(
  CONTRACTIONS,
  `${FRONT}[\\p{L}\\p{M}]+`,
  DIGIT,
  / ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*/u.source,
  BLANKS,
);
const SEED_CODER = pattern(CONTRACTIONS, LETTERS, DIGIT, / ?[^\s\p{L}\p{N}\r\n]+/u.source, BLANKS);

const GPT2 = pattern(/'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/u.source);
const DIGITS = pattern(DIGIT);
const ASCII_THREE = /[0-9][0-9][0-9]/g;

/** A word ends where small letters do, and has its contraction with it. */
const UPPER = /[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]/u.source;
const LOWER = /[\p{Ll}\p{Lm}\p{Lo}\p{M}]/u.source;
const CASED = (end: string) => `${FRONT}${UPPER}*${LOWER}+${end}|${FRONT}${UPPER}+${LOWER}*${end}`;
const MARKS_AND_SLASHES = / ?[^\s\p{L}\p{N}]+[\r\n/]*/u.source;
const TEKKEN = pattern(CASED(""), DIGIT, MARKS_AND_SLASHES, BLANKS);
const GPT4O = pattern(CASED(`(?:${CONTRACTIONS})?`), THREE_DIGITS, MARKS_AND_SLASHES, BLANKS);

const LINE_END = /[\r\n]/g;
const HAN_AND_HANGUL = /[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+/gu;
/** Letters with case, but for some. */
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

const DEEPSEEK_LLM = plain(
  LINE_END,
  pattern(`\\s?[${DEEPSEEK_LETTERS}]+`),
  pattern("\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"),
  pattern(/(?<!\s)\s+$/u.source), // from the first blank only, or a run of n would be looked at n times
  HAN_AND_HANGUL,
  pattern(/\p{N}+/u.source),
);
const DEEPSEEK_CODER = plain(
  LINE_END,
  pattern(/\s?\p{L}+/u.source),
  pattern(/\s?\p{P}+/u.source),
  HAN_AND_HANGUL,
  DIGITS,
);
const DEEPSEEK_V3 = plain(
  pattern(THREE_DIGITS),
  /[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+/gu,
  pattern(
    "[!-/:-@\\[-`{-~][A-Za-z]+",
    /[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+/u.source,
    / ?[\p{P}\p{S}]+[\r\n]*/u.source,
    BLANKS,
  ),
);

const NOT_PUNCTUATION = / ?[^(\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+/u.source;

/** A split, and the names of those who use it. */
const USES: readonly (readonly [split: Split, names: string])[] = [
  [
    { stages: [LLAMA3], wholeWords: true, addBos: true },
    "llama-bpe llama3 llama-v3 falcon3 falcon_e falcon-h1 pixtral midm-2.0 lfm2",
  ],
  [plain(LLAMA3), "dbrx smaug-bpe chatglm-bpe glm4"],
  [{ ...plain(QWEN2), normal: "NFC" }, "qwen2 deepseek-r1-qwen stablelm2 megrez kormo f2llmv2"],
  [plain(QWEN2), "hunyuan solar-open grok-2"],
  [{ ...plain(QWEN35), normal: "NFC" }, "qwen35"],
  [plain(SEED_CODER), "seed-coder"],
  [plain(GPT2), "gpt-2 phi-2 mpt olmo jais gigachat a.x-4.0 mellum exaone4 trillion granite-docling"],
  [plain(DIGITS, GPT2), "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2"],
  [plain(/[\p{P}$+<=>^~|]+/gu, GPT2, /\p{N}+/gu, ASCII_THREE), "default"],
  [plain(/[\p{P}$+<=>^~|`]+/gu, GPT2, ASCII_THREE), "falcon"],
  [{ stages: [TEKKEN], wholeWords: true, addBos: true }, "tekken"],
  [plain(GPT4O), "gpt-4o llama4 kanana2"],
  [DEEPSEEK_LLM, "deepseek-llm"],
  [DEEPSEEK_CODER, "deepseek-coder"],
  [DEEPSEEK_V3, "deepseek-v3 hunyuan-dense"],
  [plain(pattern(NOT_PUNCTUATION)), "poro-chat bloom gpt3-finnish"],
  [plain(pattern(NOT_PUNCTUATION), DIGITS), "viking"],
];

/** by `tokenizer.ggml.pre` */
export const SPLITS: ReadonlyMap<string, Split> = new Map(
  USES.flatMap(([split, names]) => names.split(" ").map((name) => [name, split] as const)),
);

/** The words of `text`, in order: together they are the text. */
export function* wordsOf(text: string, stages: readonly RegExp[]): Generator<string, void, undefined> {
  const [stage, ...rest] = stages;
  let end = 0;
  while (end < text.length) {
    stage.lastIndex = end; // not matchAll, which copies the pattern for each text
    const found = stage.exec(text);
    const at = found?.index ?? text.length;
    const word = found?.[0] ?? "";
    for (const part of [text.slice(end, at), word]) {
      if (rest.length > 0) yield* wordsOf(part, rest);
      else if (part !== "") yield part;
    }
    end = at + word.length;
  }
}
