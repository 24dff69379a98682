/** A text that is read from left to right by a parser; its errors name the place. */
import { quote } from "../errors.js";
import { refused } from "./network.js";

/** Brackets within brackets. */
const MOST_NESTED = 200;

export class Cursor {
  at = 0;
  #nested = 0;

  constructor(
    /** how messages call the text */
    readonly name: string,
    readonly text: string,
  ) {}

  get ended(): boolean {
    return this.at >= this.text.length;
  }

  /** The next character; "" at the end. */
  peek(): string {
    const code = this.text.codePointAt(this.at);
    return code === undefined ? "" : String.fromCodePoint(code);
  }

  next(): string {
    const letter = this.peek();
    if (letter === "") throw this.wrong("more");
    this.at += letter.length;
    return letter;
  }

  /** Whether `word` comes next, which is then read. */
  takes(word: string): boolean {
    const found = this.text.startsWith(word, this.at);
    if (found) this.at += word.length;
    return found;
  }

  expect(word: string): void {
    if (!this.takes(word)) throw this.wrong(quote(word));
  }

  /** What the expression, which is sticky, finds here, which is then read. */
  match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text) ?? undefined;
    if (found !== undefined) this.at = pattern.lastIndex;
    return found;
  }

  /** Reads what is in brackets. */
  nested<T>(read: () => T): T {
    this.#nested++;
    if (this.#nested > MOST_NESTED)
      throw refused(`${this.name}: expected at most ${MOST_NESTED} nested groups, got more`);
    const result = read();
    this.#nested--;
    return result;
  }

  wrong(expected: string): Error {
    const rest = this.text.slice(this.at, this.at + 40);
    const got = rest === "" ? "its end" : quote(rest, 20);
    return refused(`${this.name}: expected ${expected}, got ${got} at character ${this.at + 1}`);
  }
}

/** "{2}", "{2,}" and "{2,5}", and the signs for such */
const TIMES = /\{(\d{1,9})(,(\d{1,9})?)?\}/y;

/** How many times the part before may come; undefined where nothing is said. */
export function readTimes(cursor: Cursor): { min: number; max: number } | undefined {
  if (cursor.takes("*")) return { min: 0, max: Number.POSITIVE_INFINITY };
  if (cursor.takes("+")) return { min: 1, max: Number.POSITIVE_INFINITY };
  if (cursor.takes("?")) return { min: 0, max: 1 };
  const start = cursor.at;
  const found = cursor.match(TIMES);
  if (found === undefined) return undefined;
  const min = Number(found[1]);
  const max = found[2] === undefined ? min : Number(found[3] ?? Number.POSITIVE_INFINITY);
  if (min <= max) return { min, max };
  cursor.at = start;
  throw cursor.wrong("no more times at least than at most");
}
