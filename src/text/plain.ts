/**
 * Plain text → ids: the vocabulary's split into words, and byte-pair merging within each. Knows no special tokens. Time is in
 * proportion to the text (n log n within a word), and is given in slices, so that a long text need not block a thread.
 *
 * Our own since the time of `@huggingface/tokenizers` grows faster than the text: figures are in docs/dependencies.md. The
 * tests compare the two.
 */
import { BYTE_CHARACTERS, bytesOfPiece } from "./byte-alphabet.js";
import { Merges, SHORT, Word } from "./merges.js";
import { type Split, wordsOf } from "./splits.js";
import type { ByteVocabulary } from "./vocabulary.js";

/** What a vocabulary makes of plain text. */
export interface PlainText {
  /** Appends the tokens of `text` to `ids`; yields between slices. `isFirst`: nothing, or a special token, comes before it. */
  encode(text: string, ids: number[], isFirst: boolean): Generator<void, void, undefined>;
  /** What a token stands for that is neither special nor added. */
  bytesOf(piece: string): Uint8Array;
}

/** Characters, or merges of a long word, between two chances to do something else: a few milliseconds. */
export const SLICE = 1 << 14;

/** Words that are remembered, of at most so many characters: most words of a text are in it again. */
const REMEMBERED = 1 << 14;
const REMEMBERED_LENGTH = 64;

const encoder = new TextEncoder();

export class BytePairText implements PlainText {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #merges: Merges;
  readonly #split: Split;
  /** id of each byte */
  readonly #bytes: Int32Array;
  /** bytes of the longest token, or more */
  readonly #longest: number;
  readonly #remembered = new Map<string, readonly number[]>();

  constructor({ plainIds, merges, split }: Pick<ByteVocabulary, "plainIds" | "merges" | "split">) {
    this.#ids = plainIds;
    this.#split = split;
    this.#merges = new Merges(merges);
    let longest = 0;
    for (const { length } of plainIds.keys()) longest = Math.max(longest, length);
    this.#longest = longest;
    this.#bytes = Int32Array.from(BYTE_CHARACTERS, (character) => plainIds.get(character) as number);
  }

  *encode(text: string, ids: number[]): Generator<void, void, undefined> {
    const { stages, normal } = this.#split;
    let taken = 0; // characters since the last slice
    for (const word of wordsOf(normal === undefined ? text : text.normalize(normal), stages)) {
      taken += word.length;
      if (word.length <= SHORT / 4) this.#short(word, ids);
      else yield* this.#long(word, ids);
      if (taken < SLICE) continue;
      yield;
      taken = 0;
    }
  }

  bytesOf(piece: string): Uint8Array {
    return bytesOfPiece(piece);
  }

  #short(word: string, ids: number[]): void {
    let tokens = this.#remembered.get(word);
    if (tokens === undefined) {
      tokens = this.#tokensOf(word);
      if (this.#remembered.size === REMEMBERED) this.#remembered.clear();
      if (word.length <= REMEMBERED_LENGTH) this.#remembered.set(word, tokens);
    }
    for (const id of tokens) ids.push(id);
  }

  #tokensOf(text: string): number[] {
    const bytes = encoder.encode(text);
    const whole = this.#whole(bytes);
    if (whole !== undefined) return [whole];
    const word = new Word(this.#merges, this.#symbols(bytes));
    const tokens: number[] = [];
    word.merge(Number.POSITIVE_INFINITY);
    word.collect(tokens);
    return tokens;
  }

  *#long(text: string, ids: number[]): Generator<void, void, undefined> {
    const bytes = encoder.encode(text);
    const whole = this.#whole(bytes);
    if (whole !== undefined) {
      ids.push(whole);
      return;
    }
    const word = new Word(this.#merges, this.#symbols(bytes));
    while (!word.merge(SLICE)) yield;
    word.collect(ids);
  }

  /** The tokens of single bytes. */
  #symbols(bytes: Uint8Array): Int32Array {
    return Int32Array.from(bytes, (byte) => this.#bytes[byte]);
  }

  /** The token of a whole word, whatever the merges would make of it. */
  #whole(bytes: Uint8Array): number | undefined {
    if (!this.#split.wholeWords || bytes.length > this.#longest) return undefined;
    let spelling = "";
    for (const byte of bytes) spelling += BYTE_CHARACTERS[byte];
    return this.#ids.get(spelling);
  }
}
