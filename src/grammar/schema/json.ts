/**
 * JSON as text, as all of the schemas write it: without blanks between the parts, numbers of bounded length, and one spelling
 * for each character of a string, so that characters can be counted and names compared.
 */
import {
  ANY,
  character,
  choice,
  common,
  type Expression,
  except,
  pair,
  type Ranges,
  Rule,
  repeat,
  sequence,
  text,
} from "../expression.js";

const CONTROLS: Ranges = [[0, 0x1f]];
/** characters that stand for themselves in a string */
const PLAIN: Ranges = except([...CONTROLS, pair(0x22), pair(0x5c)]);
/** the others, each with its one spelling */
const ESCAPED = [...Array.from({ length: 0x20 }, (_, code) => code), 0x22, 0x5c];
const spellings = (codes: readonly number[]) => choice(...codes.map((code) => text(inner(String.fromCodePoint(code)))));
const ALL_ESCAPED = new Rule("an escape", spellings(ESCAPED));

/** One character of `ranges`, within a string. */
export function letter(ranges: Ranges): Expression {
  const escaped = ESCAPED.filter((code) => ranges.some(([first, last]) => first <= code && code <= last));
  const plain = character(common(ranges, PLAIN));
  if (escaped.length === 0) return plain;
  return choice(plain, escaped.length === ESCAPED.length ? ALL_ESCAPED : spellings(escaped));
}

/** Any characters of a string. */
export const ANYTHING = new Rule("characters", repeat(letter(ANY), 0));

/** A string whose characters are those of `content`. */
export const quoted = (content: Expression): Expression => sequence(text('"'), content, text('"'));

const anyLetter = new Rule("a character", letter(ANY));

/** A string of so many characters. */
export const stringOf = (min: number, max: number): Expression =>
  quoted(min === 0 && max === Number.POSITIVE_INFINITY ? ANYTHING : repeat(anyLetter, min, max));

/** What stands between the quotation marks for `value`. */
export function inner(value: string): string {
  return JSON.stringify(value).slice(1, -1);
}

/** This value and no other. */
export const constant = (value: unknown): Expression => text(JSON.stringify(value));

const DIGIT: Ranges = [[0x30, 0x39]];
/** Digits before the point and after it: a double holds 15 in any case. */
export const MOST_DIGITS = 15;

export const digits = (min: number, max: number): Expression => repeat(character(DIGIT), min, max);

const natural = choice(text("0"), sequence(character([[0x31, 0x39]]), digits(0, MOST_DIGITS - 1)));
const minus = repeat(text("-"), 0, 1);

export const INTEGER = new Rule("an integer", sequence(minus, natural));
export const NUMBER = new Rule(
  "a number",
  sequence(
    minus,
    natural,
    repeat(sequence(text("."), digits(1, MOST_DIGITS)), 0, 1),
    repeat(
      sequence(character([pair(0x45), pair(0x65)]), repeat(character([pair(0x2b), pair(0x2d)]), 0, 1), digits(1, 2)),
      0,
      1,
    ),
  ),
);
export const STRING = new Rule("a string", stringOf(0, Number.POSITIVE_INFINITY));
export const BOOLEAN = choice(text("true"), text("false"));
export const NULL = text("null");

/** So many of `item` with commas between them. */
export function separated(item: Expression, min: number, max: number): Expression {
  if (max === 0) return sequence();
  const rest = repeat(sequence(text(","), item), Math.max(0, min - 1), max - 1);
  return repeat(sequence(item, rest), min === 0 ? 0 : 1, 1);
}

/** Any JSON value. */
export const VALUE = new Rule("a value");
const member = sequence(STRING, text(":"), VALUE);
export const OBJECT = new Rule(
  "an object",
  sequence(text("{"), separated(member, 0, Number.POSITIVE_INFINITY), text("}")),
);
export const ARRAY = new Rule(
  "an array",
  sequence(text("["), separated(VALUE, 0, Number.POSITIVE_INFINITY), text("]")),
);
VALUE.body = choice(OBJECT, ARRAY, STRING, NUMBER, BOOLEAN, NULL);
