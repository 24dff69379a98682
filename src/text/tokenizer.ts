/**
 * Text ↔ token ids. Owns what is a special token and what is plain text; what becomes of the latter is the business of
 * `plain.ts`. Special tokens in a text are plain characters unless the caller asks otherwise.
 * `decode(encode(text))` is `text` for every well-formed string, but for what the vocabulary itself makes equal: blanks of a file
 * with `remove_extra_whitespaces`, U+2581 of SentencePiece, other forms than NFC where a split asks for that.
 */
import * as check from "../check.js";
import { TernionError } from "../errors.js";
import type { GgufValue } from "../gguf/file.js";
import type { NextTurn } from "../platform/platform.js";
import { BytePairText, type PlainText } from "./plain.js";
import { SentencePieceText } from "./sentencepiece.js";
import { WordFinder } from "./special.js";
import { readVocabulary, type Vocabulary } from "./vocabulary.js";

/** Of `tokenizer.encode`. */
export interface EncodeOptions {
  /** begin with BOS, unless the text itself does; default: what the vocabulary asks for */
  readonly addBos?: boolean | undefined;
  /** special tokens in the text become their ids; default false: they are plain characters */
  readonly parseSpecial?: boolean | undefined;
}

/** Text, and ids that stand for themselves: how a rendered chat keeps its special tokens apart from what users wrote. */
export type PromptPart = string | number;

/** Of `tokenizer.encodeAsync`. */
export interface EncodeAsyncOptions extends EncodeOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Of `tokenizer.decode`. */
export interface DecodeOptions {
  /** leave special tokens out; default false: they give their text */
  readonly skipSpecial?: boolean | undefined;
}

/** Text to ids and back, by the vocabulary of a model file. */
export interface Tokenizer {
  /** number of ids */
  readonly size: number;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly addBos: boolean;
  /** ids that end a turn or a text: eos, eot and control tokens that are known to, as <|im_end|> */
  readonly stopIds: ReadonlySet<number>;
  /** The ids of a text; it blocks for about a second a megabyte. */
  encode(text: string | readonly PromptPart[], options?: EncodeOptions): number[];
  /** The same in slices of some 10 ms, between which others have their turn; for texts of any length. */
  encodeAsync(text: string | readonly PromptPart[], options?: EncodeAsyncOptions): Promise<number[]>;
  /** Bytes that are no UTF-8 become U+FFFD. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /** What one token stands for; may be part of a character. A special token gives its text. */
  bytes(id: number): Uint8Array;
  /** The spelling in the vocabulary: " the" is "Ġthe". */
  piece(id: number): string;
  /** The id of a spelling, or undefined where the vocabulary has none. */
  idOf(piece: string): number | undefined;
  /** Whether an id is a control token, which stands for no text of a user. */
  isSpecial(id: number): boolean;
  /** spellings of all special tokens */
  readonly specialPieces: readonly string[];
}

const ENCODE_CHECKS: check.OptionChecks<EncodeOptions> = { addBos: check.boolean, parseSpecial: check.boolean };
const ASYNC_CHECKS: check.OptionChecks<EncodeAsyncOptions> = { ...ENCODE_CHECKS, signal: check.signal };
const DECODE_CHECKS: check.OptionChecks<DecodeOptions> = { skipSpecial: check.boolean };

/** Takes 0.3 s for the 128,256 tokens and 280,147 merges of Llama 3. */
export function createTokenizer(metadata: ReadonlyMap<string, GgufValue>, nextTurn: NextTurn): Tokenizer {
  if (typeof metadata?.get !== "function") throw check.wrongType("metadata", "a Map as readGguf gives it", metadata);
  return new VocabularyTokenizer(readVocabulary(metadata), nextTurn);
}

const SLICE_MS = 10;

class VocabularyTokenizer implements Tokenizer {
  readonly size: number;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly addBos: boolean;
  readonly stopIds: ReadonlySet<number>;
  readonly specialPieces: readonly string[];
  readonly #vocabulary: Vocabulary;
  readonly #special: ReadonlySet<number>;
  readonly #plain: PlainText;
  /** of added words, and of them and special tokens */
  readonly #added: WordFinder;
  readonly #all: WordFinder;

  readonly #nextTurn: NextTurn;

  constructor(vocabulary: Vocabulary, nextTurn: NextTurn) {
    this.#nextTurn = nextTurn;
    this.#vocabulary = vocabulary;
    this.size = vocabulary.pieces.length;
    this.bos = vocabulary.bos;
    this.eos = vocabulary.eos;
    this.addBos = vocabulary.addBos;
    this.stopIds = vocabulary.ends;
    const added = Array.from(vocabulary.added, (id) => vocabulary.pieces[id] as string);
    this.specialPieces = [...vocabulary.specialIds.keys()];
    this.#special = new Set(vocabulary.specialIds.values());
    this.#added = new WordFinder(added);
    this.#all = new WordFinder([...added, ...this.specialPieces]);
    this.#plain = vocabulary.kind === "gpt2" ? new BytePairText(vocabulary) : new SentencePieceText(vocabulary);
  }

  encode(text: string | readonly PromptPart[], options: EncodeOptions = {}): number[] {
    const steps = this.#encode(this.#parts(text), check.options(options, ENCODE_CHECKS));
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
    }
  }

  async encodeAsync(text: string | readonly PromptPart[], options: EncodeAsyncOptions = {}): Promise<number[]> {
    const { signal, ...own } = check.options(options, ASYNC_CHECKS);
    const steps = this.#encode(this.#parts(text), own);
    for (let since = performance.now(); ; ) {
      signal?.throwIfAborted();
      const { done, value } = steps.next();
      if (done) return value;
      if (performance.now() - since < SLICE_MS) continue;
      await this.#nextTurn();
      since = performance.now();
    }
  }

  #parts(text: string | readonly PromptPart[]): readonly PromptPart[] {
    if (!Array.isArray(text)) return [check.string("text", text)];
    for (const [i, part] of text.entries()) {
      if (typeof part === "number") this.piece(part);
      else check.string(`text[${i}]`, part);
    }
    return text;
  }

  *#encode(
    parts: readonly PromptPart[],
    { addBos = this.addBos, parseSpecial = false }: EncodeOptions,
  ): Generator<void, number[], undefined> {
    const ids = addBos ? [this.#begin()] : [];
    const finder = parseSpecial ? this.#all : this.#added;
    for (const part of parts) {
      if (typeof part === "number") ids.push(part);
      else yield* this.#encodeText(part, finder, ids);
    }
    if (addBos && ids[1] === this.bos) ids.shift();
    return ids;
  }

  *#encodeText(text: string, finder: WordFinder, ids: number[]): Generator<void, void, undefined> {
    let start = 0;
    // whether the token before is special
    const isFirst = () => ids.length === 0 || this.isSpecial(ids[ids.length - 1]);
    for (const { index, word } of finder.all(text)) {
      yield* this.#plain.encode(text.slice(start, index), ids, isFirst());
      ids.push(this.idOf(word) as number);
      start = index + word.length;
    }
    yield* this.#plain.encode(text.slice(start), ids, isFirst());
  }

  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    const { skipSpecial = false } = check.options(options, DECODE_CHECKS);
    if (!(Symbol.iterator in Object(ids)) || typeof ids === "string")
      throw check.wrongType("ids", "an array of token ids", ids);
    const kept = Array.from(ids).filter((id) => !(skipSpecial && this.isSpecial(id)));
    // one decoder a call: characters may straddle tokens, and a leading U+FEFF is text
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    return decoder.decode(joined(this.#unspaced(kept)));
  }

  /** The bytes of tokens, without the blank that encoding puts before a text. */
  #unspaced(ids: readonly number[]): Uint8Array[] {
    const bytes = ids.map((id) => this.bytes(id));
    const first = ids.findIndex((id) => !this.isSpecial(id));
    const hasBlank = this.#vocabulary.kind === "llama" && this.#vocabulary.addSpace && bytes[first]?.[0] === 0x20;
    if (hasBlank) bytes[first] = bytes[first].subarray(1);
    return bytes;
  }

  bytes(id: number): Uint8Array {
    const piece = this.piece(id);
    return this.#special.has(id) || this.#vocabulary.added.has(id)
      ? new TextEncoder().encode(piece)
      : this.#plain.bytesOf(piece);
  }

  piece(id: number): string {
    const piece = this.#vocabulary.pieces[id];
    if (piece !== undefined) return piece;
    throw new TernionError(
      "TOKENIZER",
      `token id: expected an integer from 0 to ${this.size - 1}, got ${id}. The id belongs to another vocabulary.`,
    );
  }

  idOf(piece: string): number | undefined {
    return this.#vocabulary.plainIds.get(piece) ?? this.#vocabulary.specialIds.get(piece);
  }

  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }

  #begin(): number {
    if (this.bos !== undefined) return this.bos;
    throw new TernionError(
      "TOKENIZER",
      "addBos: expected a vocabulary with tokenizer.ggml.bos_token_id, got one without. Encode with addBos: false.",
    );
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}
