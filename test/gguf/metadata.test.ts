/** One reader of metadata for all who need a key: what is right is given, what is wrong is named. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { integerKind } from "../../src/check.js";
import type { GgufValue } from "../../src/gguf/file.js";
import { FLAG, MetadataReader, stringsOf, TEXT, textOf } from "../../src/gguf/metadata.js";

const METADATA = new Map<string, GgufValue>([
  ["text", "a"],
  ["number", 7],
  ["big", 2n ** 63n],
  ["flag", true],
  ["strings", { type: "STRING", values: ["a", "b"] }],
  ["none", { type: "STRING", values: [] }],
  ["numbers", { type: "I32", values: Int32Array.of(1, 2) }],
  ["floats", { type: "F32", values: Float32Array.of(1) }],
]);

class Refused extends Error {}
const keys = new MetadataReader(METADATA, (problem) => new Refused(problem));
const refuses = (read: () => unknown, message: string) =>
  assert.throws(read, (error: unknown) => error instanceof Refused && error.message === message);

describe("a reader of metadata", () => {
  it("gives values of the kind that is asked for", () => {
    assert.equal(keys.get("text", TEXT), "a");
    assert.equal(keys.get("number", integerKind(7, 7)), 7);
    assert.equal(keys.get("flag", FLAG), true);
    assert.deepEqual(keys.strings("strings"), ["a", "b"]);
    assert.deepEqual(keys.integers("numbers", 2, "numbers"), Int32Array.of(1, 2));
  });

  it("gives what stands for an absent key, if it is of the kind", () => {
    assert.equal(keys.get("absent", TEXT, "b"), "b");
    assert.equal(keys.get("text", TEXT, "b"), "a");
    assert.equal(keys.optional("absent", TEXT), undefined);
    assert.equal(keys.optional("text", TEXT), "a");
    assert.equal(keys.integers("absent", 2, "numbers"), undefined);
    refuses(() => keys.get("absent", integerKind(1, 9), 2.5), "absent: expected an integer from 1 to 9, got 2.5");
  });

  it("names the key, what was expected and what the file has", () => {
    refuses(() => keys.get("absent", TEXT), "absent: expected a string, got nothing");
    refuses(() => keys.get("number", TEXT), "number: expected a string, got 7");
    refuses(() => keys.get("text", FLAG), 'text: expected a boolean, got "a"');
    refuses(() => keys.get("number", integerKind(8)), "number: expected an integer of 8 or more, got 7");
    refuses(() => keys.get("big", integerKind(8)), "big: expected an integer of 8 or more, got 9223372036854775808");
    refuses(() => keys.optional("numbers", TEXT), "numbers: expected a string, got an array of 2 I32");
    refuses(() => keys.strings("none"), "none: expected an array of strings, got an array of 0 STRING");
    refuses(() => keys.strings("numbers"), "numbers: expected an array of strings, got an array of 2 I32");
    refuses(() => keys.integers("floats", 1, "ids"), "floats: expected an array of integers, got an array of 1 F32");
    refuses(() => keys.integers("numbers", 3, "ids"), "numbers: expected 3 ids, got 2");
  });

  it("is not needed for what a file may lack", () => {
    assert.deepEqual(
      [textOf(METADATA, "text"), textOf(METADATA, "number"), textOf(METADATA, "x")],
      ["a", undefined, undefined],
    );
    assert.deepEqual(stringsOf(METADATA, "strings"), ["a", "b"]);
    assert.deepEqual([stringsOf(METADATA, "numbers"), stringsOf(METADATA, "text")], [undefined, undefined]);
  });
});
