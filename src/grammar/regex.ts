/**
 * Regular expressions as JavaScript writes them (flag u), as expressions. What looks around or back is refused: no automaton
 * of this kind has it.
 */
import { Cursor, readTimes } from "./cursor.js";
import {
  ANY,
  character,
  choice,
  codeOf,
  EMPTY,
  type Expression,
  except,
  pair,
  type Ranges,
  repeat,
  sequence,
} from "./expression.js";

/** How a set of characters is spelled where the text stands. */
export type Spelling = (ranges: Ranges) => Expression;

/** The whole text matches `source`. */
export function regexExpression(source: string, name: string): Expression {
  const alternatives = new Parser(new Cursor(name, source), character).all();
  return choice(...alternatives.map(({ parts }) => sequence(...parts)));
}

/** `source` matches somewhere in the text, as `RegExp.test` has it; the text is spelled as `spelling` does. */
export function searchExpression(source: string, name: string, spelling: Spelling): Expression {
  const anything = repeat(spelling(ANY), 0);
  const alternatives = new Parser(new Cursor(name, source), spelling).all();
  return choice(
    ...alternatives.map(({ parts, atStart, atEnd }) =>
      sequence(atStart ? EMPTY : anything, ...parts, atEnd ? EMPTY : anything),
    ),
  );
}

interface Alternative {
  readonly parts: readonly Expression[];
  /** whether it begins with ^ and ends with $ */
  readonly atStart: boolean;
  readonly atEnd: boolean;
}

const LINE_ENDS: Ranges = [pair(0x0a), pair(0x0d), [0x2028, 0x2029]];
const DIGITS: Ranges = [[0x30, 0x39]];
const WORD: Ranges = [[0x30, 0x39], [0x41, 0x5a], pair(0x5f), [0x61, 0x7a]];
const SPACES: Ranges = [
  [0x09, 0x0d],
  pair(0x20),
  pair(0xa0),
  pair(0x1680),
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  pair(0x202f),
  pair(0x205f),
  pair(0x3000),
  pair(0xfeff),
];
const SETS: Readonly<Record<string, Ranges>> = {
  d: DIGITS,
  w: WORD,
  s: SPACES,
  D: except(DIGITS),
  W: except(WORD),
  S: except(SPACES),
};
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };
const HEX = /x([\da-fA-F]{2})|u([\da-fA-F]{4})|u\{([\da-fA-F]{1,6})\}/y;
const PROPERTY = /[pP]\{([\w=]{1,60})\}/y;
const GROUP = /\?(?::|<[\p{L}_$][\p{L}\p{N}_$]*>)/uy;

class Parser {
  constructor(
    readonly cursor: Cursor,
    readonly spelling: Spelling,
  ) {}

  all(): Alternative[] {
    const alternatives = this.#outer();
    if (!this.cursor.ended) throw this.cursor.wrong("the end");
    return alternatives;
  }

  /** Alternatives in which ^ and $ may stand. */
  #outer(): Alternative[] {
    const alternatives: Alternative[] = [];
    do {
      const atStart = this.cursor.takes("^");
      const parts = this.#terms();
      alternatives.push({ parts, atStart, atEnd: this.cursor.takes("$") });
    } while (this.cursor.takes("|"));
    return alternatives;
  }

  #inner(): Expression {
    const alternatives: Expression[] = [];
    do alternatives.push(sequence(...this.#terms()));
    while (this.cursor.takes("|"));
    return choice(...alternatives);
  }

  #terms(): Expression[] {
    const parts: Expression[] = [];
    while (!this.cursor.ended && !"|)$".includes(this.cursor.peek())) {
      const part = this.#atom();
      const times = readTimes(this.cursor);
      if (times !== undefined) this.cursor.takes("?"); // how much is taken first makes no other texts
      parts.push(times === undefined ? part : repeat(part, times.min, times.max));
    }
    return parts;
  }

  #atom(): Expression {
    const { cursor } = this;
    if (cursor.takes("(")) return this.#group();
    if (cursor.takes("[")) return this.spelling(this.#class());
    if (cursor.takes(".")) return this.spelling(except(LINE_ENDS));
    if (cursor.takes("\\")) return this.spelling(this.#escape());
    if ("^*+?{}]".includes(cursor.peek()))
      throw cursor.wrong("a character, a class or a group (^ only at the beginning)");
    return this.spelling([pair(codeOf(cursor.next()))]);
  }

  #group(): Expression {
    const { cursor } = this;
    if (cursor.peek() === "?" && cursor.match(GROUP) === undefined) {
      throw cursor.wrong("a group that does not look ahead or behind");
    }
    const part = cursor.nested(() => this.#inner());
    cursor.expect(")");
    return part;
  }

  #class(): Ranges {
    const { cursor } = this;
    const negated = cursor.takes("^");
    const ranges: (readonly [number, number])[] = [];
    while (!cursor.takes("]")) {
      const first = this.#member();
      const from = single(first);
      if (from === undefined || cursor.peek() !== "-" || cursor.text[cursor.at + 1] === "]") ranges.push(...first);
      else {
        cursor.next();
        const to = single(this.#member());
        if (to === undefined || to < from) throw cursor.wrong("a range that ascends");
        ranges.push([from, to]);
      }
    }
    return negated ? except(ranges) : except(except(ranges));
  }

  #member(): Ranges {
    return this.cursor.takes("\\") ? this.#escape(true) : [pair(codeOf(this.cursor.next()))];
  }

  #escape(inClass = false): Ranges {
    const { cursor } = this;
    const hex = cursor.match(HEX);
    if (hex !== undefined) return this.#code(Number.parseInt(hex[1] ?? hex[2] ?? hex[3], 16));
    const property = cursor.match(PROPERTY);
    if (property !== undefined) return this.#property(property[0]);
    const letter = cursor.peek();
    if (Object.hasOwn(SETS, letter) || Object.hasOwn(CONTROLS, letter) || (inClass && letter === "b")) {
      cursor.next();
      return SETS[letter] ?? [pair(CONTROLS[letter] ?? 8)];
    }
    if (letter === "" || /[\p{L}\p{N}]/u.test(letter)) {
      throw cursor.wrong("an escape of a character or a class after \\ (no word boundary, no reference back)");
    }
    return [pair(codeOf(cursor.next()))];
  }

  #code(code: number): Ranges {
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
      throw this.cursor.wrong("the code of a character before");
    return [pair(code)];
  }

  #property(source: string): Ranges {
    try {
      return withProperty(source);
    } catch {
      throw this.cursor.wrong(`a Unicode property that there is before, not \\${source}`);
    }
  }
}

const single = (ranges: Ranges): number | undefined =>
  ranges.length === 1 && ranges[0][0] === ranges[0][1] ? ranges[0][0] : undefined;

const properties = new Map<string, Ranges>();
const MOST_PROPERTIES = 64;

/** The characters that `\p{...}` means, asked of each of them once: some 40 ms. */
function withProperty(source: string): Ranges {
  const known = properties.get(source);
  if (known !== undefined) return known;
  const pattern = new RegExp(`^\\${source}$`, "u");
  const ranges: [number, number][] = [];
  for (const [first, last] of ANY) {
    for (let code = first; code <= last; code++) {
      if (!pattern.test(String.fromCodePoint(code))) continue;
      const before = ranges.at(-1);
      if (before !== undefined && before[1] === code - 1) before[1] = code;
      else ranges.push([code, code]);
    }
  }
  if (properties.size === MOST_PROPERTIES) properties.clear();
  properties.set(source, ranges);
  return ranges;
}
