/** What is written by name is found by name. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Layout, List, readFloat } from "../../src/backend/record.js";

const PART = { address: "pointer", scale: "float" } as const;
const LAYOUT = new Layout({
  first: "count",
  part: { ...PART, type: ["F32", "F16"] },
  int8: "flag",
  eps: "float",
  parts: new List(PART),
} as const);

function memory(words: number) {
  const i32 = new Int32Array(words);
  return { i32, f32: new Float32Array(i32.buffer) };
}

describe("a record", () => {
  const values = {
    first: -7,
    part: { address: 3_000_000_000, scale: 0.5, type: "F16" },
    int8: true,
    eps: 1e-5,
    parts: [
      { address: 8, scale: -1.25 },
      { address: 16, scale: 3 },
    ],
  } as const;
  const START = 5;

  test("is read by the offsets that it was written by, and touches no word beyond", () => {
    const to = memory(START + LAYOUT.wordsOf(values) + 1);
    to.i32.fill(99);
    LAYOUT.write(values, to, START);
    const { i32, f32 } = to;
    const { at } = LAYOUT;
    assert.equal(i32[START + at.first], -7);
    assert.equal(i32[START + at.part.address] >>> 0, 3_000_000_000);
    assert.equal(readFloat(f32, START, at.part.scale), 0.5);
    assert.equal(i32[START + at.part.type], 1);
    assert.equal(i32[START + at.int8], 1);
    assert.equal(readFloat(f32, START, at.eps), Math.fround(1e-5));
    assert.equal(i32[START + at.parts.count], 2);
    const second = START + at.parts.first + at.parts.words;
    assert.equal(i32[second + at.parts.at.address], 16);
    assert.equal(readFloat(f32, second, at.parts.at.scale), 3);
    assert.deepEqual([...i32.subarray(0, START)], [99, 99, 99, 99, 99]);
    assert.equal(i32.at(-1), 99);
  });

  test("is read as it was written", () => {
    const to = memory(START + LAYOUT.wordsOf(values));
    LAYOUT.write(values, to, START);
    const { first, part, int8, eps, parts } = LAYOUT.read(to, START);
    assert.deepEqual([first, part.scale, part.type, int8, eps], [-7, 0.5, "F16", true, Math.fround(1e-5)]);
    assert.deepEqual(parts, values.parts);
  });

  test("has as many words as its values take", () => {
    assert.equal(LAYOUT.words, 7);
    assert.equal(LAYOUT.wordsOf(values), 11);
    assert.equal(LAYOUT.wordsOf({ ...values, parts: [] }), 7);
  });

  test("has its list at the end", () => {
    assert.throws(
      () => new Layout({ parts: new List(PART), after: "count" }),
      /expected a list to come last, got after/,
    );
  });

  test("is checked by the compiler", () => {
    const wrong = () => {
      // @ts-expect-error a word that is not in it
      LAYOUT.at.second;
      // @ts-expect-error a float is not read as an integer
      1 + LAYOUT.at.eps;
      // @ts-expect-error nor an integer as a float
      readFloat(new Float32Array(), 0, LAYOUT.at.first);
      // @ts-expect-error a name that is none of those allowed
      LAYOUT.wordsOf({ ...values, part: { ...values.part, type: "Q6_K" } });
      // @ts-expect-error a word that is missing
      LAYOUT.wordsOf({ first: 1 });
    };
    assert.ok(wrong);
  });
});
