/** Strings of a head that are decoded at once are those that are decoded one by one, whatever their bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeStrings } from "../../src/gguf/strings.js";

function packed(texts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const lengths = texts.map(({ byteLength }) => Buffer.from(BigUint64Array.of(BigInt(byteLength)).buffer));
  return new Uint8Array(Buffer.concat(texts.flatMap((text, i) => [lengths[i], text])));
}

const same = (texts: readonly Uint8Array[]) =>
  assert.deepEqual(
    decodeStrings(packed(texts), texts.length),
    texts.map((text) => Buffer.from(text).toString("utf8")),
  );

test("sound UTF-8 of every length, empty strings, U+FEFF", () => {
  same([]);
  same(["", "a", "", "é", "Ġthe", "€", "😀", "\ufeffa", "\ufeff", "a😀é€b", ""].map((text) => Buffer.from(text)));
  fc.assert(fc.property(fc.array(fc.string({ unit: "binary" })), (texts) => same(texts.map((t) => Buffer.from(t)))));
});

test("bytes that are no UTF-8, and characters that go over from one string to the next", () => {
  const smile = Buffer.from("😀");
  same([smile.subarray(0, 2), smile.subarray(2)]);
  same([Buffer.from("a"), smile.subarray(0, 3), Buffer.alloc(0), smile.subarray(3), Buffer.from("b")]);
  same([Buffer.from([0xed, 0xa0, 0x80]), Buffer.from([0xff]), Buffer.from([0xc0, 0x80]), Buffer.from("é")]);
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 6 })), same));
});
