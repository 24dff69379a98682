/** Which texts a grammar has: regular expressions against those of JavaScript, numbers against their bounds, EBNF by hand. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { grammarExpression } from "../../src/grammar/ebnf.js";
import { ANY, character, notContaining, repeat, text } from "../../src/grammar/expression.js";
import { regexExpression } from "../../src/grammar/regex.js";
import { jsonSchema } from "../../src/grammar/schema/schema.js";
import { Random } from "../random.js";
import { accepts, automatonOf, begins, randomText } from "./texts.js";

const REGEXES = [
  "abc",
  "a|bc|",
  "a*b+c?",
  "(?:ab|a)(?:bc|c)",
  "[a-c]{2,4}",
  "(a{2}){3}",
  "(a|b){0,3}c",
  "(?:a?){3}",
  "(?:a*b?){2,3}",
  "[^a-y]{1,3}",
  "\\d{3}-\\d+",
  "\\w\\W\\s\\S",
  ".[\\n\\r]?",
  "[\\u00e0-\\u00ff\\u4e00-\\u4eff]+",
  "\\p{Lu}\\p{Ll}*",
  "[\\u{1f600}-\\u{1f64f}]{1,2}",
  "[-a\\]\\\\^]{2}",
  "\\x41\\u0042\\u{43}\\t",
  "(?<name>x)y*?",
  "a{0}b{1,}",
  "((a|b)*c)*",
  "\\.\\*\\[\\]\\(\\)\\{\\}\\/\\|\\^\\$",
];

const MATERIAL = Array.from("abcABCxyz019-_ .*[](){}/|^$\\\n\r\té中丁😀🙂");

describe("regular expressions have the texts that JavaScript finds", () => {
  for (const source of REGEXES) {
    test(source, () => {
      const automaton = automatonOf(regexExpression(source, "regex"));
      const oracle = new RegExp(`^(?:${source})$`, "u");
      const random = new Random(7);
      for (let i = 0; i < 60; i++) {
        const own = randomText(automaton, random, random.below(8));
        assert.ok(own !== undefined && oracle.test(own), `${JSON.stringify(own)} is none`);
        const other = Array.from({ length: random.below(6) }, () => random.pick(MATERIAL)).join("");
        const changed = own.slice(0, random.below(own.length + 1)) + random.pick(MATERIAL) + own.slice(random.below(4));
        for (const each of [other, changed]) {
          if (each.isWellFormed?.() === false) continue;
          assert.equal(accepts(automaton, each), oracle.test(each), JSON.stringify(each));
        }
      }
    });
  }
});

describe("patterns are looked for anywhere, in the string and not in its spelling", () => {
  for (const pattern of ["^a", "b$", "a.c", "^(?:a|b)+$", "^x|y$", '"', "^\\\\$", "[\\n\\t]", "^$", "\\/"]) {
    test(pattern, () => {
      const automaton = automatonOf(jsonSchema({ type: "string", pattern }, "schema"));
      const oracle = new RegExp(pattern, "u");
      const random = new Random(3);
      for (let i = 0; i < 60; i++) {
        const own = randomText(automaton, random, random.below(8)); // chance may not find what is looked for
        if (own !== undefined) assert.ok(oracle.test(JSON.parse(own)), own);
        const other = Array.from({ length: random.below(5) }, () =>
          random.pick(['"', "\\", "a", "b", "c", "y", "x", "\n"]),
        );
        const value = other.join("");
        assert.equal(accepts(automaton, JSON.stringify(value)), oracle.test(value), JSON.stringify(value));
      }
    });
  }
});

describe("numbers within bounds", () => {
  const bounds: readonly Readonly<Record<string, number>>[] = [
    { minimum: 0 },
    { maximum: -7 },
    { minimum: -20, maximum: 30 },
    { minimum: 95, maximum: 1205 },
    { exclusiveMinimum: 9, exclusiveMaximum: 11 },
    { exclusiveMinimum: -1, exclusiveMaximum: 1 },
    { minimum: 10, maximum: 10 },
    { minimum: -3.5, maximum: 2.25 },
    { exclusiveMinimum: 0 },
    { maximum: 0 },
    { exclusiveMaximum: 0 },
    { minimum: 0, maximum: 1000, multipleOf: 125 },
    { multipleOf: 7 },
    { multipleOf: 97 },
    { multipleOf: 400 },
    { minimum: 99.95, exclusiveMaximum: 100.05 },
    { exclusiveMinimum: 0.1, maximum: 0.125 },
    { minimum: 1e-6, maximum: 5e-5 },
    { minimum: -1e300 },
    { minimum: 0, maximum: 9007199254740991 },
  ];
  const holds = (value: number, limits: Readonly<Record<string, number>>) =>
    (limits.minimum === undefined || value >= limits.minimum) &&
    (limits.maximum === undefined || value <= limits.maximum) &&
    (limits.exclusiveMinimum === undefined || value > limits.exclusiveMinimum) &&
    (limits.exclusiveMaximum === undefined || value < limits.exclusiveMaximum) &&
    (limits.multipleOf === undefined || value % limits.multipleOf === 0);
  for (const limits of bounds) {
    test(JSON.stringify(limits), () => {
      const whole = automatonOf(jsonSchema({ type: "number", ...limits }, "schema"));
      for (const random = new Random(5), left = { count: 200 }; left.count > 0; left.count--) {
        const own = randomText(whole, random, random.below(12));
        assert.ok(own !== undefined && holds(Number(own), limits), `${own} is none`);
      }
      if (!Object.values(limits).every(Number.isInteger)) return;
      const integers = automatonOf(jsonSchema({ type: "integer", ...limits }, "schema"));
      for (let value = -1300; value <= 1300; value++) {
        assert.equal(accepts(integers, String(value)), holds(value, limits), String(value));
      }
    });
  }
  test("decimals with two places, by hand", () => {
    const automaton = automatonOf(jsonSchema({ type: "number", minimum: -1.5, exclusiveMaximum: 2.25 }, "schema"));
    for (let hundredths = -300; hundredths <= 300; hundredths++) {
      const value = hundredths / 100;
      const want = value >= -1.5 && value < 2.25;
      assert.equal(accepts(automaton, String(value)), want, String(value));
      assert.equal(accepts(automaton, value.toFixed(2)), want && value.toFixed(2) !== "-0.00", value.toFixed(2));
    }
  });
});

describe("EBNF", () => {
  const balanced = 'root ::= "(" root ")" root | ""   # pairs';
  const cases: readonly [string, readonly string[], readonly string[]][] = [
    [
      'root ::= "yes" | "no" tail?\ntail ::= ", " [a-z]{1,3}',
      ["yes", "no", "no, abc"],
      ["", "no, ", "no, abcd", "yes, a"],
    ],
    [balanced, ["", "()", "(())()", "()()()"], [")", "(", "(()", "())"]],
    ['root ::= a+\na ::= [^"\\\\\\n] | "\\\\" ["\\\\n]', ["x", "é\\n", '\\"'], ["", '"', "\\", "\\x"]],
    ['root ::= "\\x41\\u00e9\\U0001F600" [\\]\\-x]*', ["Aé😀", "Aé😀]-x"], ["A", "Aé😀y"]],
    ["root ::= (\n  [0-9]{2} # two\n  | [a]{3,}\n)", ["12", "aaa", "aaaaa"], ["1", "aa", "123"]],
    ['root ::= item ("," item)*\nitem ::= [a-z] item | [a-z]', ["ab,c", "x"], ["", ",", "a,"]],
  ];
  for (const [source, good, bad] of cases) {
    test(JSON.stringify(source), () => {
      const automaton = automatonOf(grammarExpression(source));
      for (const each of good) assert.ok(accepts(automaton, each), JSON.stringify(each));
      for (const each of bad) assert.ok(!accepts(automaton, each), JSON.stringify(each));
    });
  }
});

test("a text without a word has that word nowhere", () => {
  for (const word of ["<tool_call>", "aab", "abab", "ü"]) {
    const automaton = automatonOf(notContaining(word));
    const random = new Random(1);
    for (let i = 0; i < 300; i++) {
      const letters = Array.from({ length: random.below(12) }, () => random.pick([...word, "x"]));
      const value = letters.join("") + (random.chance(0.3) ? word : "") + random.pick(["", "b", "x"]);
      assert.equal(accepts(automaton, value), !value.includes(word), value);
    }
  }
});

test("characters are those of UTF-8, whole ones", () => {
  const automaton = automatonOf(repeat(character(ANY), 3, 3));
  for (const each of ["abc", "éé中", "😀😀😀", "\u0000\u007f\u0080", "\u07ff\u0800\uffff", "\ud7ff\ue000\u{10ffff}"]) {
    assert.ok(accepts(automaton, each), JSON.stringify(each));
  }
  assert.ok(!accepts(automaton, "ab") && !accepts(automaton, "abcd"));
  automaton.allow(1e6);
  for (const bytes of [
    [0x80],
    [0xc0, 0x80],
    [0xe0, 0x80, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xff],
  ]) {
    const refused = bytes.reduce<ReturnType<typeof automaton.step>>(
      (state, byte) => state && automaton.step(state, byte),
      automaton.start,
    );
    assert.equal(refused, null, `bytes ${bytes}`);
  }
});

test("what can go on can end", () => {
  const automaton = automatonOf(grammarExpression('root ::= "a" dead | "ab"\ndead ::= "x" dead'));
  assert.ok(begins(automaton, "a") && !begins(automaton, "ax"));
  assert.throws(() => automatonOf(grammarExpression('root ::= "x" root')), /no text satisfies it/);
  assert.ok(accepts(automatonOf(text("")), ""));
});
