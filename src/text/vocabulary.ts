/**
 * GGUF metadata → a checked Vocabulary. Everything that encoding relies on is checked here, once, so that no text can be
 * lost later: every byte has a token, and every merge makes one. An error names the key.
 */
import { choiceKind, integerKind, type Kind } from "../check.js";
import { quote, TernionError } from "../errors.js";
import { FLAG, type Metadata, MetadataReader } from "../gguf/metadata.js";
import { BYTE_CHARACTERS } from "./byte-alphabet.js";
import type { MergeTable } from "./merges.js";
import { SPLITS, type Split } from "./splits.js";

interface AnyVocabulary {
  /** spelling of each id, as the file has it */
  readonly pieces: readonly string[];
  /** of all tokens that text can become */
  readonly plainIds: Map<string, number>;
  /** of tokens that stand for no text: BOS, end of turn, reserved ones */
  readonly specialIds: ReadonlyMap<string, number>;
  /** ids of added words: always one token where they occur in a text, spelled as text */
  readonly added: ReadonlySet<number>;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly eot: number | undefined;
  /** of all tokens that end a turn or a text */
  readonly ends: ReadonlySet<number>;
  readonly addBos: boolean;
}

/** Byte-level BPE: pieces are bytes in GPT-2's alphabet, special tokens as text. */
export interface ByteVocabulary extends AnyVocabulary {
  readonly kind: "gpt2";
  readonly merges: MergeTable;
  readonly split: Split;
}

/** SentencePiece with merges by score: pieces are text, with U+2581 for a blank. */
export interface ScoredVocabulary extends AnyVocabulary {
  readonly kind: "llama";
  readonly scores: Float32Array;
  /** id of each byte */
  readonly bytes: Int32Array;
  /** a text begins with a blank */
  readonly addSpace: boolean;
  /** blanks at both ends are left out, and of several that follow each other all but one */
  readonly removesSpaces: boolean;
}

export type Vocabulary = ByteVocabulary | ScoredVocabulary;

type Ids = ReadonlyMap<string, number>;

/** Values of `tokenizer.ggml.token_type`. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;
const BYTE = 6;

/**
 * Control tokens that end a turn or a text where models have them. Files name one of them as eos, seldom another as eot, and
 * models trained to chat write others: a base model's eos is <|endoftext|>, but its turns end with <|im_end|>.
 */
const ENDS: readonly string[] = [
  ...["<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<EOT>"],
  ...["<|endoftext|>", "<|end_of_text|>", "</s>", "<\uff5cend\u2581of\u2581sentence\uff5c>"],
];

const UNKNOWN_ID = -2;

/** Other values of tokenizer.ggml.model, and what they are. */
const NOT_READ: ReadonlyMap<unknown, string> = new Map([
  ["t5", "unigrams"],
  ["bert", "WordPiece"],
  ["rwkv", "a trie of bytes"],
  ["plamo2", "PLaMo 2"],
  ["gemma4", "BPE over characters"],
  ["none", "no vocabulary"],
  ["no_vocab", "no vocabulary"],
]);

export function readVocabulary(metadata: Metadata): Vocabulary {
  const keys = new MetadataReader(metadata, vocabularyError);
  const kind = readKind(keys);
  const pieces = keys.strings("tokenizer.ggml.tokens");
  const last = pieces.length - 1;
  const id = { ...integerKind(0, last), expected: `a token id from 0 to ${last}` };
  const named = (key: string) => keys.optional(key, id);
  const bos = named("tokenizer.ggml.bos_token_id");
  const eos = named("tokenizer.ggml.eos_token_id");
  const eot = named("tokenizer.ggml.eot_token_id");
  const types = keys.integers("tokenizer.ggml.token_type", pieces.length, "types, one a token");
  // without types, those that the file names are all that is known to be special
  const isSpecial = (id: number) =>
    types === undefined ? [bos, eos, eot].includes(id) : types[id] === CONTROL || types[id] === UNKNOWN;
  // bytes and unused pieces of SentencePiece are spelled like text that somebody may write
  const isText = (id: number) => kind === "gpt2" || (types?.[id] !== UNUSED && types?.[id] !== BYTE);
  const indexed = indexPieces(keys, pieces, isSpecial, isText);
  const added = new Set(Array.from(pieces.keys()).filter((id) => types?.[id] === USER_DEFINED));
  const addsBos = (byDefault: boolean) =>
    keys.get("tokenizer.ggml.add_bos_token", FLAG, byDefault) && bos !== undefined;
  const ends = new Set(
    [eos, eot, ...ENDS.map((piece) => indexed.specialIds.get(piece))].filter((id) => id !== undefined),
  );
  const all = { pieces, ...indexed, added, bos, eos, eot, ends };
  if (kind === "llama") return { ...all, kind, addBos: addsBos(true), ...scored(keys, pieces) };
  const split = readSplit(keys);
  checkBytes(keys, indexed.plainIds);
  return { ...all, kind: "gpt2", addBos: addsBos(split.addBos), split, merges: readMerges(keys, indexed.plainIds) };
}

function readKind(keys: MetadataReader): "gpt2" | "llama" {
  const key = "tokenizer.ggml.model";
  const value = keys.metadata.get(key);
  const what = NOT_READ.get(value);
  if (what !== undefined) throw keys.wrong(key, '"gpt2" or "llama"', `"${value}", which is ${what}`);
  return keys.get(key, quotedChoice(["gpt2", "llama"]));
}

function readSplit(keys: MetadataReader): Split {
  const known = `one of ${SPLITS.size} splits such as "llama-bpe" or "qwen2" (docs/tokenizers.md)`;
  const name = keys.get("tokenizer.ggml.pre", {
    expected: known,
    holds: (value): value is string => typeof value === "string" && SPLITS.has(value),
  });
  return SPLITS.get(name) as Split;
}

function scored(
  keys: MetadataReader,
  pieces: readonly string[],
): Pick<ScoredVocabulary, "scores" | "bytes" | "addSpace" | "removesSpaces"> {
  const scores = keys.floats("tokenizer.ggml.scores", pieces.length, "scores, one a token");
  const bytes = Int32Array.from({ length: 256 }, (_, byte) => {
    return pieces.indexOf(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  });
  const missing = bytes.indexOf(-1);
  if (missing >= 0) throw keys.wrong("tokenizer.ggml.tokens", "a token for every byte", `none for byte ${missing}`);
  return {
    scores,
    bytes,
    addSpace: keys.get("tokenizer.ggml.add_space_prefix", FLAG, true),
    removesSpaces: keys.get("tokenizer.ggml.remove_extra_whitespaces", FLAG, false),
  };
}

/** 'expected "gpt2"': names in a file look like any other word. */
function quotedChoice<T extends string>(choices: readonly T[]): Kind<T> {
  return { ...choiceKind(choices), expected: choices.map((each) => `"${each}"`).join(" or ") };
}

function indexPieces(
  keys: MetadataReader,
  pieces: readonly string[],
  isSpecial: (id: number) => boolean,
  isText: (id: number) => boolean,
) {
  const plainIds = new Map<string, number>();
  const specialIds = new Map<string, number>();
  for (const [id, piece] of pieces.entries()) {
    if (piece === "") continue; // converters fill up with them
    const first = plainIds.get(piece) ?? specialIds.get(piece);
    if (first !== undefined) {
      throw keys.wrong("tokenizer.ggml.tokens", "every token once", `${quote(piece)} at ${first} and at ${id}`);
    }
    if (isSpecial(id)) specialIds.set(piece, id);
    else if (isText(id)) plainIds.set(piece, id);
  }
  return { plainIds, specialIds };
}

function checkBytes(keys: MetadataReader, plainIds: Ids): void {
  for (const [byte, character] of BYTE_CHARACTERS.entries()) {
    if (plainIds.has(character)) continue;
    throw keys.wrong("tokenizer.ggml.tokens", "a token for every byte", `none for byte ${byte} ("${character}")`);
  }
}

/**
 * By induction from the bytes up, a pair with an unknown half never comes about and harms nothing; an unknown result
 * would drop text.
 */
function readMerges(keys: MetadataReader, plainIds: Ids): MergeTable {
  const key = "tokenizer.ggml.merges";
  const merges = keys.strings(key);
  const table = new Int32Array(3 * merges.length);
  for (const [i, merge] of merges.entries()) {
    const blank = merge.indexOf(" ");
    const left = merge.slice(0, blank);
    const right = merge.slice(blank + 1);
    if (blank < 1 || right === "")
      throw keys.wrong(key, 'two tokens with a blank between ("Ġ t")', `[${i}] ${quote(merge)}`);
    const result = plainIds.get(left + right);
    if (result === undefined) throw keys.wrong(key, "merges that make a token", `[${i}] ${quote(merge)}`);
    table[3 * i] = plainIds.get(left) ?? UNKNOWN_ID;
    table[3 * i + 1] = plainIds.get(right) ?? UNKNOWN_ID;
    table[3 * i + 2] = result;
  }
  return table;
}

function vocabularyError(problem: string): TernionError {
  const advice = "Use a model with a byte-level BPE or a SentencePiece vocabulary, or convert the file again.";
  return new TernionError("TOKENIZER", `${problem}. ${advice}`);
}
