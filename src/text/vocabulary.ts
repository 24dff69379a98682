/**
 * GGUF metadata → a checked Vocabulary. Everything that encoding relies on is checked here, once, so that no text can be
 * lost later: every byte has a token, and every merge makes one. An error names the key.
 */
import { quote, TernionError } from "../errors.js";
import type { GgufArray, GgufValue } from "../gguf/file.js";
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

type Metadata = ReadonlyMap<string, GgufValue>;
type Ids = ReadonlyMap<string, number>;

/** Values of `tokenizer.ggml.token_type`. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;

const UNKNOWN_ID = -2;

/** Names that converters give to the Llama 3 split; all of them take whole pre-tokens before any merge. */
const LLAMA3_SPLITS = ["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon_e"];

export function readVocabulary(metadata: Metadata): Vocabulary {
  expectOneOf(metadata, "tokenizer.ggml.model", ["gpt2"]);
  expectOneOf(metadata, "tokenizer.ggml.pre", LLAMA3_SPLITS);

  const pieces = strings(metadata, "tokenizer.ggml.tokens");
  const named = (key: string) => optionalId(metadata, key, pieces.length);
  const bos = named("tokenizer.ggml.bos_token_id");
  const eos = named("tokenizer.ggml.eos_token_id");
  const eot = named("tokenizer.ggml.eot_token_id");
  const types = tokenTypes(metadata, pieces.length);
  // without types, those that the file names are all that is known to be special
  const isSpecial = (id: number) =>
    types === undefined ? [bos, eos, eot].includes(id) : types[id] === CONTROL || types[id] === UNKNOWN;
  const { plainIds, specialIds } = indexPieces(pieces, isSpecial);

  const addBos = metadata.get("tokenizer.ggml.add_bos_token") ?? true;
  if (typeof addBos !== "boolean") throw invalid("tokenizer.ggml.add_bos_token", "a boolean", describe(addBos));
  return {
    pieces,
    plainIds,
    specialIds,
    merges: readMerges(metadata, plainIds),
    added: new Set(Array.from(pieces.keys()).filter((id) => types?.[id] === USER_DEFINED)),
    bos,
    eos,
    eot,
    addBos: addBos && bos !== undefined,
  };
}

function indexPieces(pieces: readonly string[], isSpecial: (id: number) => boolean) {
  const plainIds = new Map<string, number>();
  const specialIds = new Map<string, number>();
  for (const [id, piece] of pieces.entries()) {
    const first = plainIds.get(piece) ?? specialIds.get(piece);
    if (first !== undefined) {
      throw invalid("tokenizer.ggml.tokens", "every token once", `${quote(piece)} at ${first} and at ${id}`);
    }
    (isSpecial(id) ? specialIds : plainIds).set(piece, id);
  }
  checkBytes(plainIds);
  return { plainIds, specialIds };
}

function checkBytes(plainIds: Ids): void {
  for (const [byte, character] of BYTE_CHARACTERS.entries()) {
    if (plainIds.has(character)) continue;
    throw invalid("tokenizer.ggml.tokens", "a token for every byte", `none for byte ${byte} ("${character}")`);
  }
}

/**
 * By induction from the bytes up, a pair with an unknown half never comes about and harms nothing; an unknown result
 * would drop text.
 */
function readMerges(metadata: Metadata, plainIds: Ids): MergeTable {
  const key = "tokenizer.ggml.merges";
  const merges = strings(metadata, key);
  const table = new Int32Array(3 * merges.length);
  for (const [i, merge] of merges.entries()) {
    const blank = merge.indexOf(" ");
    const left = merge.slice(0, blank);
    const right = merge.slice(blank + 1);
    if (blank < 1 || right === "")
      throw invalid(key, 'two tokens with a blank between ("Ġ t")', `[${i}] ${quote(merge)}`);
    const result = plainIds.get(left + right);
    if (result === undefined) throw invalid(key, "merges that make a token", `[${i}] ${quote(merge)}`);
    table[3 * i] = plainIds.get(left) ?? UNKNOWN_ID;
    table[3 * i + 1] = plainIds.get(right) ?? UNKNOWN_ID;
    table[3 * i + 2] = result;
  }
  return table;
}

function tokenTypes(metadata: Metadata, size: number): ArrayLike<number> | undefined {
  const key = "tokenizer.ggml.token_type";
  const value = metadata.get(key);
  if (value === undefined) return undefined;
  const values = isArray(value) ? value.values : undefined;
  if (!(values instanceof Int32Array || values instanceof Uint32Array || values instanceof Uint8Array)) {
    throw invalid(key, "an array of integers", describe(value));
  }
  if (values.length !== size) throw invalid(key, `${size} types, one a token`, `${values.length}`);
  return values;
}

function expectOneOf(metadata: Metadata, key: string, allowed: readonly string[]): void {
  const value = metadata.get(key);
  if (typeof value === "string" && allowed.includes(value)) return;
  throw invalid(key, allowed.map((name) => `"${name}"`).join(" or "), describe(value));
}

function strings(metadata: Metadata, key: string): readonly string[] {
  const value = metadata.get(key);
  if (value !== undefined && isArray(value) && value.type === "STRING" && value.values.length > 0) {
    return value.values as readonly string[];
  }
  throw invalid(key, "an array of strings", describe(value));
}

function optionalId(metadata: Metadata, key: string, size: number): number | undefined {
  const value = metadata.get(key);
  if (value === undefined) return undefined;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value < size) return value;
  throw invalid(key, `a token id from 0 to ${size - 1}`, describe(value));
}

function isArray(value: GgufValue): value is GgufArray {
  return typeof value === "object";
}

function describe(value: GgufValue | undefined): string {
  if (value === undefined) return "nothing";
  if (typeof value === "object") return `an array of ${value.values.length} ${value.type}`;
  return typeof value === "string" ? quote(value) : `${value}`;
}

function invalid(key: string, expected: string, got: string): TernionError {
  const advice = "Use a byte-level BPE model with the Llama 3 split, or convert the file again.";
  return new TernionError("TOKENIZER", `${key}: expected ${expected}, got ${got}. ${advice}`);
}
