/**
 * Finds any of many words in a text, at each place the longest: special tokens, of which a file may have hundreds of
 * thousands. Takes a search by halves at each place where one may begin, and memory for the list alone.
 */

export interface Found {
  readonly index: number;
  readonly word: string;
}

export class WordFinder {
  /** sorted by UTF-16 units */
  readonly #words: readonly string[];
  /** for each word, where the longest other is that it begins with, or -1 */
  readonly #shorter: Int32Array;
  /** by UTF-16 unit: 1 where a word begins with it */
  readonly #first = new Uint8Array(0x10000);
  readonly #longest: number;

  constructor(words: Iterable<string>) {
    this.#words = [...new Set(words)].filter((word) => word !== "").sort();
    this.#shorter = beginnings(this.#words);
    this.#longest = this.#words.reduce((longest, { length }) => Math.max(longest, length), 0);
    for (const word of this.#words) this.#first[word.charCodeAt(0)] = 1;
  }

  /** The first word in `text` that begins at `from` or after it. */
  next(text: string, from: number): Found | undefined {
    if (this.#words.length === 0) return undefined;
    for (let index = from; index < text.length; index++) {
      if (this.#first[text.charCodeAt(index)] === 0) continue;
      const word = this.at(text, index);
      if (word !== undefined) return { index, word };
    }
    return undefined;
  }

  /** All words in `text` from left to right, each after the end of the one before. */
  *all(text: string): Generator<Found, void, undefined> {
    for (let found = this.next(text, 0); found !== undefined; ) {
      yield found;
      found = this.next(text, found.index + found.word.length);
    }
  }

  /**
   * Whatever is sorted between a word that the rest begins with and the rest itself begins with that word too: so the one
   * searched for is the last word that is not sorted after the rest, or one that it begins with.
   */
  at(text: string, index: number): string | undefined {
    if (this.#first[text.charCodeAt(index)] === 0) return undefined;
    const rest = text.slice(index, index + this.#longest);
    let at = this.#lastUpTo(rest);
    while (at >= 0 && !rest.startsWith(this.#words[at])) at = this.#shorter[at];
    return this.#words[at];
  }

  #lastUpTo(rest: string): number {
    let [low, high] = [-1, this.#words.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#words[middle] <= rest) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

function beginnings(words: readonly string[]): Int32Array {
  const shorter = new Int32Array(words.length);
  for (let i = 0; i < words.length; i++) {
    let at = i - 1;
    while (at >= 0 && !words[i].startsWith(words[at])) at = shorter[at];
    shorter[i] = at;
  }
  return shorter;
}
