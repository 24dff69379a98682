/** Numbers within bounds, as text: digit by digit from the highest, compared with the digits of the bounds. */
import { character, choice, EMPTY, type Expression, Rule, repeat, sequence, text } from "../expression.js";
import { digits, MOST_DIGITS } from "./json.js";

/** A decimal of 0 or more: digits before the point without zeros in front, and after it without zeros at the end. */
interface Decimal {
  readonly whole: string;
  readonly part: string;
}

export interface Bounds {
  readonly min: number;
  readonly max: number;
  /** whether the bound itself is left out */
  readonly minOut: boolean;
  readonly maxOut: boolean;
  /** digits after the point, at most */
  readonly places: number;
}

/** Numbers of at most 15 digits within the bounds; nothing where there is none. */
export function numberWithin({ min, max, minOut, maxOut, places }: Bounds): Expression {
  const ways: Expression[] = [];
  if (max > 0 || (max === 0 && !maxOut)) {
    const low = min >= 0 ? { value: decimal(min), out: minOut } : { value: decimal(0), out: false };
    ways.push(
      between(low, max === Number.POSITIVE_INFINITY ? undefined : { value: decimal(max), out: maxOut }, places),
    );
  }
  if (min < 0) {
    // -0 is 0, which the way above writes without a sign
    const low = max < 0 ? { value: decimal(-max), out: maxOut } : { value: decimal(0), out: true };
    const high = min === Number.NEGATIVE_INFINITY ? undefined : { value: decimal(-min), out: minOut };
    ways.push(sequence(text("-"), between(low, high, places)));
  }
  return choice(...ways);
}

interface Bound {
  readonly value: Decimal;
  readonly out: boolean;
}

/** The decimals from `low` to `high`, which are 0 or more. */
function between(low: Bound, high: Bound | undefined, places: number): Expression {
  const bottom = low.value.whole;
  // digits of a number that is compared with a bound stay below what a double tells apart
  const most = (whole: string) => Math.max(0, Math.min(places, MOST_DIGITS - whole.length));
  const anyPart = repeat(sequence(text("."), digits(1, Math.max(1, places))), 0, places > 0 ? 1 : 0);
  const atBottom = sequence(text(bottom), partFrom(low.value.part, low.out, most(bottom)));
  if (bottom.length > MOST_DIGITS) return choice();
  if (high === undefined) return choice(atBottom, sequence(wholesBetween(bottom, undefined), anyPart));
  const top = high.value.whole;
  if (compare(bottom, top) > 0) return choice();
  if (bottom === top) return sequence(text(top), partBetween(low, high, most(top)));
  const inside = sequence(wholesBetween(bottom, top), anyPart);
  if (top.length > MOST_DIGITS) return choice(atBottom, inside);
  return choice(atBottom, inside, sequence(text(top), partTo(high.value.part, high.out, most(top))));
}

/** Whole numbers above `low` and below `high`. */
function wholesBetween(low: string, high: string | undefined): Expression {
  const ways: Expression[] = [];
  const last = high?.length ?? MOST_DIGITS + 1;
  for (let length = low.length; length <= last && length <= MOST_DIGITS; length++) {
    const from = length === low.length ? low : undefined;
    const to = length === high?.length ? high : undefined;
    ways.push(sameLength(length, from, to, true));
  }
  return choice(...ways);
}

/** Digits of this length above `from` and below `to`; the first of several is no zero where it is `leading`. */
function sameLength(length: number, from: string | undefined, to: string | undefined, leading: boolean): Expression {
  if (length === 0) return from === undefined && to === undefined ? EMPTY : choice();
  if (from === undefined && to === undefined) {
    return sequence(digit(leading && length > 1 ? 1 : 0, 9), digits(length - 1, length - 1));
  }
  const first = from === undefined ? (leading && length > 1 ? 1 : 0) : Number(from[0]);
  const last = to === undefined ? 9 : Number(to[0]);
  if (first > last) return choice();
  const rest = (low: string | undefined, high: string | undefined) =>
    sameLength(length - 1, low?.slice(1), high?.slice(1), false);
  if (from !== undefined && to !== undefined && first === last) return sequence(digit(first, first), rest(from, to));
  const inside = digit(from === undefined ? first : first + 1, to === undefined ? last : last - 1);
  return choice(
    ...(from === undefined ? [] : [sequence(digit(first, first), rest(from, undefined))]),
    sequence(inside, digits(length - 1, length - 1)),
    ...(to === undefined ? [] : [sequence(digit(last, last), rest(undefined, to))]),
  );
}

/** What may follow the whole digits so that the part is `from` or more; `out`: more than it. */
function partFrom(from: string, out: boolean, most: number): Expression {
  if (from === "" && !out) return repeat(sequence(text("."), digits(1, Math.max(1, most))), 0, most > 0 ? 1 : 0);
  return most === 0 ? choice() : sequence(text("."), digitsWithin({ from, fromOut: out }, most));
}

function partTo(to: string, out: boolean, most: number): Expression {
  if (most === 0) return out && to === "" ? choice() : EMPTY;
  const within = sequence(text("."), digitsWithin({ to, toOut: out }, most));
  return out && to === "" ? choice() : choice(EMPTY, within);
}

function partBetween(low: Bound, high: Bound, most: number): Expression {
  const [from, to] = [low.value.part, high.value.part];
  const without = from === "" && !low.out && !(to === "" && high.out) ? [EMPTY] : [];
  const limits = { from, fromOut: low.out, to, toOut: high.out };
  return choice(...without, ...(most === 0 ? [] : [sequence(text("."), digitsWithin(limits, most))]));
}

interface Limits {
  /** digits after the point that are compared with, as if zeros followed without end */
  readonly from?: string;
  readonly fromOut?: boolean;
  readonly to?: string;
  readonly toOut?: boolean;
}

/** One to `most` digits within the limits. */
function digitsWithin(limits: Limits, most: number): Expression {
  return new DigitsWithin(limits, most).rule(0, true, true);
}

class DigitsWithin {
  readonly #rules = new Map<string, Rule>();

  constructor(
    readonly limits: Limits,
    readonly most: number,
  ) {}

  /** What follows `at` digits; `low` and `high`: they are those of the limit so far. At least one where `at` is 0. */
  rule(at: number, low: boolean, high: boolean): Expression {
    const { from, to } = this.limits;
    const [isLow, isHigh] = [low && from !== undefined, high && to !== undefined];
    const key = `${at} ${isLow} ${isHigh}`;
    let rule = this.#rules.get(key);
    if (rule === undefined) {
      rule = new Rule(`digits ${key}`);
      this.#rules.set(key, rule);
      const end = at > 0 && this.#mayEnd(at, isLow, isHigh) ? [EMPTY] : [];
      rule.body = choice(...end, ...(at < this.most ? this.#ways(at, isLow, isHigh) : []));
    }
    return rule;
  }

  #ways(at: number, low: boolean, high: boolean): Expression[] {
    const { from = "", to = "" } = this.limits;
    const first = low ? Number(from[at] ?? 0) : 0;
    const last = high ? Number(to[at] ?? 0) : 9;
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => {
      const value = first + i;
      return sequence(digit(value, value), this.rule(at + 1, low && value === first, high && value === last));
    });
  }

  /** Whether the digits so far, which are those of the limits where these are asked for, are within them. */
  #mayEnd(at: number, low: boolean, high: boolean): boolean {
    const { from = "", to = "", fromOut = false, toOut = false } = this.limits;
    const lowEnough = !low || (from.length <= at && !fromOut);
    return lowEnough && (!high || to.length > at || !toOut);
  }
}

const digit = (first: number, last: number): Expression => character([[0x30 + first, 0x30 + last]]);

const compare = (a: string, b: string): number => a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);

/** Of a finite number of 0 or more. Doubles of 1e21 and more, and below 1e-6, are written with an exponent. */
function decimal(value: number): Decimal {
  const [mantissa, exponent = "0"] = String(value).split("e");
  const [whole, part = ""] = mantissa.split(".");
  const shift = Number(exponent);
  const all = whole + part;
  const point = whole.length + shift;
  const padded = point < 0 ? "0".repeat(-point) + all : all.padEnd(point, "0");
  const at = Math.max(0, point);
  return { whole: padded.slice(0, at).replace(/^0+(?=.)/, "") || "0", part: padded.slice(at).replace(/0+$/, "") };
}

/** The digits of multiples: with more of them a step of 100 would take half of all states. */
const MULTIPLE_DIGITS = 9;

/** Steps that `multiples` takes, times powers of ten. */
export const LARGEST_STEP = 100;

/** Multiples of `step` of some 9 digits: by the remainder of the digits so far. Undefined where the step is too large. */
export function multiples(step: number): Expression | undefined {
  const zeros = /0*$/.exec(String(step))?.[0] ?? "";
  const base = step / 10 ** zeros.length;
  if (!Number.isInteger(step) || base > LARGEST_STEP || zeros.length > MULTIPLE_DIGITS) return undefined;
  const rules = new Map<string, Rule>();
  const leading = Array.from({ length: 9 }, (_, i) => {
    return sequence(digit(i + 1, i + 1), remaining(rules, base, (i + 1) % base, MULTIPLE_DIGITS - 1));
  });
  return choice(text("0"), sequence(repeat(text("-"), 0, 1), choice(...leading), text(zeros)));
}

/** Up to `left` digits after those with this remainder. */
function remaining(rules: Map<string, Rule>, step: number, remainder: number, left: number): Rule {
  const key = `${remainder} ${left}`;
  const known = rules.get(key);
  if (known !== undefined) return known;
  const rule = new Rule(`multiples of ${step}`);
  rules.set(key, rule);
  const ways = Array.from({ length: left === 0 ? 0 : 10 }, (_, value) => {
    return sequence(digit(value, value), remaining(rules, step, (10 * remainder + value) % step, left - 1));
  });
  rule.body = choice(...(remainder === 0 ? [EMPTY] : []), ...ways);
  return rule;
}
