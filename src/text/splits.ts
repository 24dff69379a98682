/**
 * How texts are split into words before byte-pair merging, by the names that GGUF has for it (`tokenizer.ggml.pre`). The
 * patterns are those of the tokenizer.json of the models.
 */

export interface Split {
  /** applied in turn: what a pattern matches is a word for the next, and so is what lies between its matches */
  readonly stages: readonly RegExp[];
  /** a word that is a token is this token, whatever the merges would make of it (`ignore_merges`) */
  readonly wholeWords: boolean;
  /** the text is brought into this form first */
  readonly normal?: "NFC";
}

const CONTRACTIONS = /'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])/.source;
/** Words, runs of punctuation with the line ends after them, and blanks, which but for the last belong together. */
const REST = / ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+/u.source;
const pattern = (...alternatives: readonly string[]) => new RegExp(alternatives.join("|"), "gu");

const LETTERS = /[^\r\n\p{L}\p{N}]?\p{L}+/u.source;
const LLAMA3: Split = {
  stages: [pattern(CONTRACTIONS, LETTERS, /\p{N}{1,3}/u.source, REST)],
  wholeWords: true,
};
const QWEN2: Split = {
  stages: [pattern(CONTRACTIONS, LETTERS, /\p{N}/u.source, REST)],
  wholeWords: false,
  normal: "NFC",
};

const GPT2 = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;
const DIGITS = /\p{N}/gu;

/** Of Mistral's Tekken: a word ends where small letters do. */
const UPPER = /[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]/u.source;
const LOWER = /[\p{Ll}\p{Lm}\p{Lo}\p{M}]/u.source;
const FRONT = /[^\r\n\p{L}\p{N}]?/u.source;
const TEKKEN: Split = {
  stages: [
    pattern(
      `${FRONT}${UPPER}*${LOWER}+`,
      `${FRONT}${UPPER}+${LOWER}*`,
      /\p{N}/u.source,
      / ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+/u.source,
    ),
  ],
  wholeWords: true,
};

export const SPLITS: Readonly<Record<string, Split>> = {
  "llama-bpe": LLAMA3,
  llama3: LLAMA3,
  "llama-v3": LLAMA3,
  falcon3: LLAMA3,
  falcon_e: LLAMA3,
  qwen2: QWEN2,
  "gpt-2": { stages: [GPT2], wholeWords: false },
  smollm: { stages: [DIGITS, GPT2], wholeWords: false },
  tekken: TEKKEN,
};

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
