/**
 * Plain text → ids as SentencePiece does it for models of its kind "BPE": all of a text is one word, whose characters are
 * merged, the pair first whose result has the highest score, of equal ones the leftmost. A character that the vocabulary lacks
 * becomes its bytes. Time is n log n, in slices.
 */
import { TernionError } from "../errors.js";
import { Merges, Word } from "./merges.js";
import { type PlainText, SLICE } from "./plain.js";
import type { ScoredVocabulary } from "./vocabulary.js";

const BLANK = "\u2581";

const encoder = new TextEncoder();

export class SentencePieceText implements PlainText {
  readonly #vocabulary: ScoredVocabulary;
  readonly #merges: Merges;

  constructor(vocabulary: ScoredVocabulary) {
    this.#vocabulary = vocabulary;
    this.#merges = mergesOf(vocabulary);
  }

  *encode(text: string, ids: number[], isFirst: boolean): Generator<void, void, undefined> {
    const { addSpace, removesSpaces, plainIds, bytes } = this.#vocabulary;
    const kept = removesSpaces ? text.replaceAll(/ +/g, " ").replace(/^ /, "").replace(/ $/, "") : text;
    if (kept === "") return;
    const spelled = (addSpace && isFirst ? ` ${kept}` : kept).replaceAll(" ", BLANK);
    const symbols: number[] = [];
    for (const character of spelled) symbols.push(plainIds.get(character) ?? unknown(character));
    const word = new Word(this.#merges, Int32Array.from(symbols));
    while (!word.merge(SLICE)) yield;
    const tokens: number[] = [];
    word.collect(tokens);
    for (const id of tokens) {
      if (id >= 0) ids.push(id);
      else for (const byte of encoder.encode(String.fromCodePoint(NONE - id))) ids.push(bytes[byte]);
    }
  }

  bytesOf(piece: string): Uint8Array {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(piece);
    return byte ? Uint8Array.of(Number.parseInt(byte[1], 16)) : encoder.encode(piece.replaceAll(BLANK, " "));
  }
}

/** Ids below this stand for characters that are no token. */
const NONE = -2;
const unknown = (character: string) => NONE - (character.codePointAt(0) as number);

/** Pairs, and characters that are looked up for them; Llama has 58,980 and a million. A file with more is made to hang. */
const MOST_PAIRS = 1 << 22;
const MOST_LOOKED_UP = 1 << 28;

/** Every pair of tokens that together are one, the highest score first. */
function mergesOf({ plainIds, scores }: ScoredVocabulary): Merges {
  const pairs: [left: number, right: number, result: number][] = [];
  let lookedUp = 0;
  for (const [piece, result] of plainIds) {
    lookedUp += piece.length ** 2;
    if (lookedUp > MOST_LOOKED_UP || pairs.length > MOST_PAIRS) throw tooMuch(result);
    for (let cut = 1; cut < piece.length; cut++) {
      const left = plainIds.get(piece.slice(0, cut));
      const right = left === undefined ? undefined : plainIds.get(piece.slice(cut));
      if (left !== undefined && right !== undefined) pairs.push([left, right, result]);
    }
  }
  pairs.sort((a, b) => scores[b[2]] - scores[a[2]]);
  const priorities = new Int32Array(pairs.length);
  for (let i = 1; i < pairs.length; i++) {
    priorities[i] = priorities[i - 1] + (scores[pairs[i][2]] === scores[pairs[i - 1][2]] ? 0 : 1);
  }
  return new Merges(Int32Array.from(pairs.flat()), priorities);
}

function tooMuch(id: number): TernionError {
  const expected = "tokenizer.ggml.tokens: expected tokens of some characters each, got too many long ones";
  return new TernionError("TOKENIZER", `${expected}, as at ${id}. Convert the file again.`);
}
