/**
 * GGUF metadata → a checked Vocabulary. Everything that encoding relies on is checked here, once, so that no text can be
 * lost later: every byte has a token, and every merge makes one. An error names the key.
 */
import { choiceKind, integerKind, type Kind } from "../check.js";
import { quote, TernionError } from "../errors.js";
import { FLAG, type Metadata, MetadataReader } from "../gguf/metadata.js";
import { BYTE_CHARACTERS } from "./byte-alphabet.js";
import type { MergeTable } from "./merges.js";

export interface Vocabulary {
  /** spelling of each id, as the file has it: bytes in GPT-2's alphabet, special tokens as text */
  readonly pieces: readonly string[];
  /** of all tokens that text can become */
  readonly plainIds: Map<string, number>;
  /** of tokens that stand for no text: BOS, end of turn, reserved ones */
  readonly specialIds: ReadonlyMap<string, number>;
  readonly merges: MergeTable;
  /** ids of added words: always one token where they occur in a text, spelled as text */
  readonly added: ReadonlySet<number>;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly eot: number | undefined;
  readonly addBos: boolean;
}

type Ids = ReadonlyMap<string, number>;

/** Values of `tokenizer.ggml.token_type`. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;

const UNKNOWN_ID = -2;

/** Names that converters give to the Llama 3 split; all of them take whole pre-tokens before any merge. */
const LLAMA3_SPLITS = ["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon_e"];

export function readVocabulary(metadata: Metadata): Vocabulary {
  const keys = new MetadataReader(metadata, vocabularyError);
  keys.get("tokenizer.ggml.model", quotedChoice(["gpt2"]));
  keys.get("tokenizer.ggml.pre", quotedChoice(LLAMA3_SPLITS));

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
  const { plainIds, specialIds } = indexPieces(keys, pieces, isSpecial);

  const addBos = keys.get("tokenizer.ggml.add_bos_token", FLAG, true);
  return {
    pieces,
    plainIds,
    specialIds,
    merges: readMerges(keys, plainIds),
    added: new Set(Array.from(pieces.keys()).filter((id) => types?.[id] === USER_DEFINED)),
    bos,
    eos,
    eot,
    addBos: addBos && bos !== undefined,
  };
}

/** 'expected "gpt2"': names in a file look like any other word. */
function quotedChoice(choices: readonly string[]): Kind<string> {
  return { ...choiceKind(choices), expected: choices.map((each) => `"${each}"`).join(" or ") };
}

function indexPieces(keys: MetadataReader, pieces: readonly string[], isSpecial: (id: number) => boolean) {
  const plainIds = new Map<string, number>();
  const specialIds = new Map<string, number>();
  for (const [id, piece] of pieces.entries()) {
    const first = plainIds.get(piece) ?? specialIds.get(piece);
    if (first !== undefined) {
      throw keys.wrong("tokenizer.ggml.tokens", "every token once", `${quote(piece)} at ${first} and at ${id}`);
    }
    (isSpecial(id) ? specialIds : plainIds).set(piece, id);
  }
  checkBytes(keys, plainIds);
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
  const advice = "Use a byte-level BPE model with the Llama 3 split, or convert the file again.";
  return new TernionError("TOKENIZER", `${problem}. ${advice}`);
}
