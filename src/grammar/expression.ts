/**
 * What a grammar is made of: expressions over characters. They are values, joined by the functions here; a `Rule` is an
 * expression that is given its body later, so that it can stand in it. How they are matched is the business of network.ts.
 */

/** Code points from the first to the last of each pair, both included; ascending, apart from each other. */
export type Ranges = readonly (readonly [first: number, last: number])[];

export type Expression =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "character"; readonly ranges: Ranges }
  | { readonly kind: "sequence"; readonly parts: readonly Expression[] }
  | { readonly kind: "choice"; readonly parts: readonly Expression[] }
  | { readonly kind: "repeat"; readonly part: Expression; readonly min: number; readonly max: number }
  | Machine
  | Rule;

/** States over bytes, of which the first one begins; all lead to one that accepts. Made by intersection.ts. */
export interface Machine {
  readonly kind: "machine";
  readonly states: readonly MachineState[];
  /** where the characters of a text are counted */
  readonly length?: Length | undefined;
}

export interface MachineState {
  /** first byte, last byte and target of each edge, one after the other */
  readonly edges: readonly number[];
  readonly accepts: boolean;
  /** an edge that leads here ends a character */
  readonly endsCharacter: boolean;
}

/** Bounds of the characters of a text that a machine reads. */
export interface Length {
  readonly min: number;
  readonly max: number;
  /** most characters from a state to the nearest one that accepts */
  readonly farthest: number;
  /** Whether a text that is in `state` after `count` whole characters can end within the bounds. */
  isAlive(state: number, count: number): boolean;
}

/** Messages call it by its name. */
export class Rule {
  readonly kind = "rule";
  body: Expression | undefined;

  constructor(
    readonly name: string,
    body?: Expression,
  ) {
    this.body = body;
  }
}

/** These characters. */
export const text = (value: string): Expression => ({ kind: "text", text: value });

/** One character of these ranges. */
export const character = (ranges: Ranges): Expression => ({ kind: "character", ranges: normal(ranges) });

/** One of the characters of `letters`. */
export const oneOf = (letters: string): Expression => character(Array.from(letters, (each) => pair(codeOf(each))));

export const sequence = (...parts: readonly Expression[]): Expression =>
  parts.length === 1 ? parts[0] : { kind: "sequence", parts };

/** One of the parts; without any, nothing at all matches. */
export const choice = (...parts: readonly Expression[]): Expression =>
  parts.length === 1 ? parts[0] : { kind: "choice", parts };

export const repeat = (part: Expression, min: number, max = Number.POSITIVE_INFINITY): Expression => ({
  kind: "repeat",
  part,
  min,
  max,
});

export const optional = (part: Expression): Expression => repeat(part, 0, 1);

export const EMPTY: Expression = sequence();

const LAST = 0x10ffff;

/** All characters but those of `ranges`. Surrogates are no characters. */
export function except(ranges: Ranges): Ranges {
  const left: [number, number][] = [];
  let next = 0;
  for (const [first, last] of normal([...ranges, [0xd800, 0xdfff]])) {
    if (first > next) left.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= LAST) left.push([next, LAST]);
  return left;
}

/** The characters that are in both. */
export const common = (a: Ranges, b: Ranges): Ranges => except([...except(a), ...except(b)]);

export const ANY: Ranges = except([]);

/** Any text in which `word` does not occur. */
export function notContaining(word: string): Expression {
  const letters = Array.from(word);
  // one rule for each beginning of the word that the text may end with
  const rules = letters.map((_, length) => new Rule(`not ${JSON.stringify(word)}, ${length}`));
  for (const [length, rule] of rules.entries()) {
    const letterHere = new Set(letters);
    const others = except(Array.from(letterHere, (letter) => pair(codeOf(letter))));
    const ways = Array.from(letterHere, (letter) => {
      const next = longestEnd(letters, [...letters.slice(0, length), letter]);
      return next < letters.length ? sequence(text(letter), rules[next]) : choice();
    });
    rule.body = choice(EMPTY, sequence(character(others), rules[0]), ...ways);
  }
  return rules[0] ?? choice();
}

/** Length of the longest beginning of `word` that `letters` end with. */
function longestEnd(word: readonly string[], letters: readonly string[]): number {
  let length = Math.min(word.length, letters.length);
  while (length > 0 && word.slice(0, length).join("") !== letters.slice(-length).join("")) length--;
  return length;
}

export const codeOf = (letter: string): number => letter.codePointAt(0) as number;

export const pair = (code: number): [number, number] => [code, code];

function normal(ranges: Ranges): Ranges {
  const sorted = ranges.filter(([first, last]) => first <= last).sort((a, b) => a[0] - b[0]);
  const merged: [number, number][] = [];
  for (const [first, last] of sorted) {
    const before = merged.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else merged.push([first, last]);
  }
  return merged;
}
