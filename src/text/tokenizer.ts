/**
 * Text ↔ token ids. Owns what is a special token and what is plain text; merging is done by `@huggingface/tokenizers`,
 * fed with the arrays of the GGUF. Special tokens in a text are plain characters unless the caller asks otherwise.
 * `decode(encode(text))` is `text` for every well-formed string.
 */
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import * as check from "../check.js";
import { TernionError } from "../errors.js";
import type { GgufValue } from "../gguf/gguf.js";
import { bytesOfPiece } from "./byte-alphabet.js";
import { readVocabulary, type Vocabulary } from "./vocabulary.js";

export interface EncodeOptions {
  /** begin with BOS, unless the text itself does; default: what the vocabulary asks for */
  readonly addBos?: boolean | undefined;
  /** special tokens in the text become their ids; default false: they are plain characters */
  readonly parseSpecial?: boolean | undefined;
  /**
   * With `parseSpecial`: one UTF-16 unit that occurs nowhere in the real text. A special token right behind it is plain
   * characters; the mark itself is left out. It is how a rendered chat keeps what users wrote from being special.
   */
  readonly literalMark?: string | undefined;
}

export interface DecodeOptions {
  /** leave special tokens out; default false: they give their text */
  readonly skipSpecial?: boolean | undefined;
}

export interface Tokenizer {
  /** number of ids */
  readonly size: number;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly addBos: boolean;
  /** ids that end a turn or a text: eos and eot */
  readonly stopIds: ReadonlySet<number>;
  encode(text: string, options?: EncodeOptions): number[];
  /** Bytes that are no UTF-8 become U+FFFD. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /** What one token stands for; may be part of a character. A special token gives its text. */
  bytes(id: number): Uint8Array;
  /** The spelling in the vocabulary: " the" is "Ġthe". */
  piece(id: number): string;
  idOf(piece: string): number | undefined;
  isSpecial(id: number): boolean;
  /** spellings of all special tokens */
  readonly specialPieces: readonly string[];
}

const ENCODE_CHECKS: check.OptionChecks<EncodeOptions> = {
  addBos: check.boolean,
  parseSpecial: check.boolean,
  literalMark: check.string,
};

const DECODE_CHECKS: check.OptionChecks<DecodeOptions> = { skipSpecial: check.boolean };

/** Takes 0.6 s for the 128,256 tokens and 280,147 merges of Llama 3. */
export function createTokenizer(metadata: ReadonlyMap<string, GgufValue>): Tokenizer {
  if (typeof metadata?.get !== "function") throw check.wrongType("metadata", "a Map as readGguf gives it", metadata);
  return new BytePairTokenizer(readVocabulary(metadata));
}

const LLAMA3_SPLIT =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" +
  "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

class BytePairTokenizer implements Tokenizer {
  readonly size: number;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly addBos: boolean;
  readonly stopIds: ReadonlySet<number>;
  readonly specialPieces: readonly string[];
  readonly #vocabulary: Vocabulary;
  readonly #special: ReadonlySet<number>;
  readonly #model: HuggingFaceTokenizer;
  /** added words, and with `#allPattern` special tokens too; undefined where there are none */
  readonly #addedPattern: RegExp | undefined;
  readonly #allPattern: RegExp | undefined;

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
    this.size = vocabulary.pieces.length;
    this.bos = vocabulary.bos;
    this.eos = vocabulary.eos;
    this.addBos = vocabulary.addBos;
    this.stopIds = new Set([vocabulary.eos, vocabulary.eot].filter((id) => id !== undefined));
    const added = Array.from(vocabulary.added, (id) => vocabulary.pieces[id] as string);
    this.specialPieces = [...vocabulary.specialIds.keys()];
    this.#special = new Set(vocabulary.specialIds.values());
    this.#addedPattern = anyOf(added);
    this.#allPattern = anyOf([...added, ...this.specialPieces]);
    this.#model = buildModel(vocabulary);
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    check.string("text", text);
    const { addBos = this.addBos, parseSpecial = false, literalMark } = check.options(options, ENCODE_CHECKS);
    const ids: number[] = [];
    const pattern = parseSpecial ? this.#allPattern : this.#addedPattern;
    let start = 0;
    for (const { index, id, length } of this.#matches(text, pattern, literalMark)) {
      this.#encodePlain(text.slice(start, index), literalMark, ids);
      ids.push(id);
      start = index + length;
    }
    this.#encodePlain(text.slice(start), literalMark, ids);
    return addBos ? this.#withBos(ids) : ids;
  }

  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    const { skipSpecial = false } = check.options(options, DECODE_CHECKS);
    if (!(Symbol.iterator in Object(ids)) || typeof ids === "string")
      throw check.wrongType("ids", "an array of token ids", ids);
    const kept = Array.from(ids).filter((id) => !(skipSpecial && this.isSpecial(id)));
    // one decoder a call: characters may straddle tokens, and a leading U+FEFF is text
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    return decoder.decode(Buffer.concat(kept.map((id) => this.bytes(id))));
  }

  bytes(id: number): Uint8Array {
    const piece = this.piece(id);
    return this.#special.has(id) || this.#vocabulary.added.has(id)
      ? new TextEncoder().encode(piece)
      : bytesOfPiece(piece);
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

  /** Where `text` has tokens that are never merged, left to right, the longest first. */
  *#matches(text: string, pattern: RegExp | undefined, mark: string | undefined) {
    if (pattern === undefined) return;
    const search = new RegExp(pattern);
    for (let match = search.exec(text); match !== null; match = search.exec(text)) {
      const [piece] = match;
      const id = this.idOf(piece) as number;
      if (mark !== undefined && text[match.index - 1] === mark && this.isSpecial(id))
        search.lastIndex = match.index + 1;
      else yield { index: match.index, id, length: piece.length };
    }
  }

  #encodePlain(text: string, mark: string | undefined, ids: number[]): void {
    const plain = mark === undefined ? text : text.replaceAll(mark, "");
    if (plain === "") return;
    for (const id of this.#model.encode(plain).ids) ids.push(id);
  }

  #withBos(ids: number[]): number[] {
    if (this.bos === undefined) {
      throw new TernionError(
        "TOKENIZER",
        "addBos: expected a vocabulary with tokenizer.ggml.bos_token_id, got one without. Encode with addBos: false.",
      );
    }
    return ids[0] === this.bos ? ids : [this.bos, ...ids];
  }
}

/** A pattern for any of the pieces, the longest first. */
function anyOf(pieces: readonly string[]): RegExp | undefined {
  const present = pieces.filter((piece) => piece !== "").sort((a, b) => b.length - a.length);
  const escaped = present.map((piece) => piece.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return escaped.length === 0 ? undefined : new RegExp(escaped.join("|"), "g");
}

/**
 * The package's tokenizer without special tokens: it always splits at those it knows, and takes a whole pre-token that
 * is in the vocabulary as it is, so one that it knew could be written by anybody.
 */
function buildModel({ plainIds, merges }: Vocabulary): HuggingFaceTokenizer {
  const pretokenizers = [
    { type: "Split", pattern: { Regex: LLAMA3_SPLIT }, behavior: "Isolated", invert: false },
    { type: "ByteLevel", add_prefix_space: false, use_regex: false },
  ];
  const tokenizer = new HuggingFaceTokenizer(
    {
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: "Sequence", pretokenizers },
      model: { type: "BPE", vocab: {}, merges, ignore_merges: true },
      post_processor: null,
      decoder: null,
    },
    {},
  );
  // handed over as a Map: going through `vocab`, an object with 128,000 keys, takes 0.3 s longer
  (tokenizer.model as { tokens_to_ids: Map<string, number> }).tokens_to_ids = plainIds;
  return tokenizer;
}
