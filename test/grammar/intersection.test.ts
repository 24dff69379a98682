/** Texts that several expressions have in common, held against the expressions of JavaScript and counts of characters. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { jsonSchema } from "../../src/grammar/schema/schema.js";
import { Random } from "../random.js";
import { accepts, automatonOf, begins, randomText } from "./texts.js";

interface Case {
  readonly patterns: readonly string[];
  readonly minLength?: number;
  readonly maxLength?: number;
}

const CASES: readonly Case[] = [
  { patterns: ["^[a-c]+$"], minLength: 2, maxLength: 4 },
  { patterns: ["^[a-c]+$"], minLength: 3 },
  { patterns: ["b"], maxLength: 3 },
  { patterns: ["^(?:aa)*b$"], minLength: 4, maxLength: 5 },
  { patterns: ["^(?:aaa)+$"], minLength: 4, maxLength: 11 },
  { patterns: ["é|中|😀", "^[^x]+$"], minLength: 1, maxLength: 3 },
  { patterns: ["^a", "b$", "c"], maxLength: 6 },
  { patterns: ['["\\\\\\n]', '^[ab"\\\\\\n]*$'], minLength: 2, maxLength: 3 },
  { patterns: ["^(?=.*[a-z])(?=.*\\d)[a-z\\d]{2,4}$"] },
  { patterns: ["^(?!.*bb)[ab]+$"], maxLength: 5 },
  { patterns: ["^(?!a$|b)[abc]+(?!c).$"] },
  { patterns: ["(?=b)[abc]{2}(?!c|$)"], maxLength: 4 },
  { patterns: ["^x(?=(?!aa)[ab]{2}$)|^y+$"] },
];

const LETTERS = Array.from('abcxy1"\\\n é中😀');

describe("patterns that all hold, of so many characters", () => {
  for (const { patterns, ...length } of CASES) {
    test(JSON.stringify({ patterns, ...length }), () => {
      const [pattern, ...others] = patterns;
      const schema = { type: "string", pattern, ...length, allOf: others.map((each) => ({ pattern: each })) };
      const automaton = automatonOf(jsonSchema(others.length > 0 ? schema : { ...schema, allOf: [{}] }, "schema"));
      const oracles = patterns.map((source) => new RegExp(source, "u"));
      const { minLength = 0, maxLength = 1e9 } = length;
      const holds = (value: string) => {
        const letters = Array.from(value).length;
        return letters >= minLength && letters <= maxLength && oracles.every((oracle) => oracle.test(value));
      };
      const random = new Random(11);
      for (let i = 0; i < 80; i++) {
        const own = randomText(automaton, random, random.below(8));
        assert.ok(own === undefined || holds(JSON.parse(own)), `${own} is none`);
        const value = Array.from({ length: random.below(6) }, () => random.pick(LETTERS)).join("");
        assert.equal(accepts(automaton, JSON.stringify(value)), holds(value), JSON.stringify(value));
      }
    });
  }
});

test("what can go on can end, whatever was written before", () => {
  const schema = { type: "string", pattern: "^(?:aaa|bbbb)+é?$", minLength: 7, maxLength: 11 };
  const automaton = automatonOf(jsonSchema(schema, "schema"));
  automaton.allow(1e9);
  const seen = new Set([automaton.start]);
  for (const state of seen) {
    const next = Array.from({ length: 256 }, (_, byte) => automaton.step(state, byte)).filter((each) => each !== null);
    assert.ok(state.accepts || next.length > 0);
    for (const each of next) seen.add(each);
  }
  assert.ok(seen.size > 20);
  assert.ok(!begins(automaton, '"bbbbbbbbaaaa'));
});

test("long strings are counted and not written out", () => {
  const schema = { type: "string", pattern: "^[^<>]+$", minLength: 2, maxLength: 1_000_000_000 };
  const automaton = automatonOf(jsonSchema(schema, "schema"));
  assert.ok(accepts(automaton, JSON.stringify("ab".repeat(400))));
  assert.ok(!accepts(automaton, '"a"') && !begins(automaton, '"a<'));
});

test("a format beside a pattern and a length", () => {
  const email = { type: "string", format: "email", pattern: "^(?!\\.)(?!.*\\.\\.)[^@]+@[^@]+$", maxLength: 20 };
  const automaton = automatonOf(jsonSchema(email, "schema"));
  assert.ok(accepts(automaton, '"ann.b@example.org"'));
  for (const wrong of ['".ann@example.org"', '"ann@example"', '"a..b@example.org"', '"ann@example.example.org"']) {
    assert.ok(!accepts(automaton, wrong), wrong);
  }
  const unknown = automatonOf(jsonSchema({ type: "string", format: "cuid", pattern: "^c[a-z0-9]{3}$" }, "schema"));
  assert.ok(accepts(unknown, '"c0a1"') && !accepts(unknown, '"x"'));
});

test("what is too large, or has no text, is refused by its place", () => {
  const refused = (schema: object, words: RegExp) =>
    assert.throws(() => automatonOf(jsonSchema({ type: "object", properties: { a: schema } }, "schema")), words);
  const long = { type: "string", pattern: "^(?=(?:.{97})*$)(?=(?:.{89})*$)(?=(?:.{83})*$)a*$" };
  refused(long, /^TernionError: schema\.properties\.a\.pattern: expected what takes at most 10000 states/);
  refused(
    { type: "string", pattern: "^[ab]+c$", minLength: 5_000_000 },
    /schema\.properties\.a\.minLength: expected at/,
  );
  refused({ type: "string", pattern: "a(?:(?=b)c)*" }, /pattern: expected a group that does not look behind/);
  refused({ type: "string", pattern: "(?<!a)b" }, /pattern: expected a group that does not look behind/);
  refused({ type: "string", pattern: "^a(?=^b)" }, /pattern: expected/);
  const none = { type: "string", pattern: "^[a-c]{5}$", maxLength: 4 };
  assert.throws(() => automatonOf(jsonSchema(none, "schema")), /no text satisfies it/);
});
