/**
 * Regular expressions as JavaScript writes them (flag u), as expressions. Looking ahead says something of all that follows,
 * and so is honoured where nothing around it is repeated: outside of groups. What looks back is refused.
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
import { intersection } from "./intersection.js";

/** How a set of characters is spelled where the text stands. */
export type Spelling = (ranges: Ranges) => Expression;

/** The whole text matches `source`. */
export function regexExpression(source: string, name: string): Expression {
  return choice(...new Parser(new Cursor(name, source), character).all(EMPTY));
}

/** `source` matches somewhere in the text, as `RegExp.test` has it; the text is spelled as `spelling` does. */
export function searchExpression(source: string, name: string, spelling: Spelling): Expression {
  return choice(...new Parser(new Cursor(name, source), spelling).all(repeat(spelling(ANY), 0)));
}

/** What an expression looks ahead for; what follows must match all of `wanted` and none of `refused`. */
interface Ahead {
  readonly wanted: Expression[];
  readonly refused: Expression[];
}

/** A part without a look ahead within, after one. */
interface Segment {
  readonly ahead: Ahead;
  readonly parts: Expression[];
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

const WANTED = "(?=";
const AHEAD = [WANTED, "(?!"];

class Parser {
  constructor(
    readonly cursor: Cursor,
    readonly spelling: Spelling,
  ) {}

  /** `around` stands where ^ or $ could. */
  all(around: Expression): Expression[] {
    const alternatives = this.#outer(around, around);
    if (!this.cursor.ended) throw this.cursor.wrong("the end");
    return alternatives;
  }

  /** Alternatives in which ^ and $ may stand, in the place of `before` and `after`; without `before` no ^. */
  #outer(before: Expression | undefined, after: Expression): Expression[] {
    const alternatives: Expression[] = [];
    do {
      const start = before === undefined || this.cursor.takes("^") ? EMPTY : before;
      const segments = this.#segments();
      const end = this.cursor.takes("$") ? EMPTY : after;
      alternatives.push(sequence(start, this.#joined(segments, end)));
    } while (this.cursor.takes("|"));
    return alternatives;
  }

  #segments(): Segment[] {
    const segments: Segment[] = [];
    do {
      const ahead: Ahead = { wanted: [], refused: [] };
      while (this.#looksAhead(ahead));
      segments.push({ ahead, parts: this.#terms(true) });
    } while (this.#isAhead);
    return segments;
  }

  get #isAhead(): boolean {
    return AHEAD.some((mark) => this.cursor.text.startsWith(mark, this.cursor.at));
  }

  /** Reads one look ahead, where there is one. */
  #looksAhead({ wanted, refused }: Ahead): boolean {
    const mark = AHEAD.find((each) => this.cursor.takes(each));
    if (mark === undefined) return false;
    const anything = repeat(this.spelling(ANY), 0);
    const looked = this.cursor.nested(() => choice(...this.#outer(undefined, anything)));
    this.cursor.expect(")");
    (mark === WANTED ? wanted : refused).push(looked);
    return true;
  }

  /** From the last to the first: each looks at all that follows. */
  #joined(segments: readonly Segment[], end: Expression): Expression {
    return segments.reduceRight((rest, { ahead: { wanted, refused }, parts }) => {
      const all = sequence(...parts, rest);
      if (wanted.length === 0 && refused.length === 0) return all;
      return intersection([all, ...wanted], { name: this.cursor.name, except: refused });
    }, end);
  }

  #inner(): Expression {
    const alternatives: Expression[] = [];
    do alternatives.push(sequence(...this.#terms(false)));
    while (this.cursor.takes("|"));
    return choice(...alternatives);
  }

  /** `outer`: up to the next look ahead. */
  #terms(outer: boolean): Expression[] {
    const parts: Expression[] = [];
    while (!this.cursor.ended && !"|)$".includes(this.cursor.peek()) && !(outer && this.#isAhead)) {
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
      throw cursor.wrong("a group that does not look behind, and ahead only outside of other groups");
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
