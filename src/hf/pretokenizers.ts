/**
 * Which split of words a tokenizer.json asks for, by the name that GGUF files have for it (`tokenizer.ggml.pre`). The
 * patterns are compared as text: another one would split otherwise, and is refused.
 */
import { isRecord } from "../check.js";
import { TernionError } from "../errors.js";
import { type JsonObject, shown } from "./folder.js";

interface Known {
  readonly pre: string;
  /** patterns of Split, or the name of a step */
  readonly steps: readonly string[];
  readonly normal: string | undefined;
  /** `ignore_merges` of the model */
  readonly wholeWords: boolean;
}

const WORDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const REST = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const FRONT = "[^\\r\\n\\p{L}\\p{N}]?";
const TEKKEN =
  `${FRONT}${UPPER}*${LOWER}+|${FRONT}${UPPER}+${LOWER}*|\\p{N}|` +
  " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const KNOWN: readonly Known[] = [
  { pre: "llama-bpe", steps: [`${WORDS}|\\p{N}{1,3}|${REST}`], normal: undefined, wholeWords: true },
  { pre: "qwen2", steps: [`${WORDS}|\\p{N}|${REST}`], normal: "NFC", wholeWords: false },
  { pre: "gpt-2", steps: ["ByteLevel"], normal: undefined, wholeWords: false },
  { pre: "smollm", steps: ["Digits", "ByteLevel"], normal: undefined, wholeWords: false },
  { pre: "tekken", steps: [TEKKEN], normal: undefined, wholeWords: true },
];

/** `file`: tokenizer.json; `wholeWords`: `ignore_merges` of its model. */
export function splitOf(file: JsonObject, wholeWords: boolean): string {
  const normalizer = file.any("normalizer");
  const normal = isRecord(normalizer) ? normalizer.type : normalizer;
  const steps = listed(file.any("pre_tokenizer")).flatMap(stepOf);
  const found = KNOWN.find(
    (known) =>
      known.normal === normal && known.wholeWords === wholeWords && known.steps.join("\n") === steps.join("\n"),
  );
  if (found !== undefined) return found.pre;
  const got = `normalizer ${shown(normal)}, ignore_merges ${wholeWords}, words by ${shown(steps)}`;
  const names = KNOWN.map(({ pre }) => pre).join(" or ");
  throw new TernionError(
    "TOKENIZER",
    `tokenizer.json: pre_tokenizer: expected that of ${names}, got ${got}. Use a GGUF file of this model.`,
  );
}

/** The steps of a Sequence, or the one. */
function listed(step: unknown): readonly unknown[] {
  const { type, pretokenizers } = Object(step) as Readonly<Record<string, unknown>>;
  return type === "Sequence" && Array.isArray(pretokenizers) ? pretokenizers : [step];
}

/** None for what splits no words. */
function stepOf(step: unknown): string | readonly string[] {
  const fields = Object(step) as Readonly<Record<string, unknown>>;
  const { type, pattern, behavior, invert = false } = fields;
  const { Regex: regex } = Object(pattern) as Readonly<Record<string, unknown>>;
  const isSplit = type === "Split" && typeof regex === "string" && behavior === "Isolated" && invert === false;
  if (isSplit) return regex;
  if (type === "Digits" && fields.individual_digits === true) return "Digits";
  if (type === "ByteLevel" && fields.add_prefix_space !== true) return fields.use_regex === false ? [] : "ByteLevel";
  return shown(step);
}
