/** Foreign text in messages: one line, cut, and nothing in it that a terminal obeys. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { printable, quote } from "../src/errors.js";
import type { GgufFile } from "../src/gguf/file.js";
import { readConfig } from "../src/model/config.js";

test("controls, line ends, marks of direction and lone surrogates are spelled out", () => {
  const cases = [
    ["bitnet-b1.58", "bitnet-b1.58"],
    ["\x1b[2J\x07", "\\x1b[2J\\x07"],
    ["a\r\n\tb", "a\\r\\n\\tb"],
    ["\x7f\x9b31m", "\\x7f\\x9b31m"],
    ["\u202egpj.exe\u2028", "\\u202egpj.exe\\u2028"],
    ["\ud800", "\\ud800"],
    ["\u{e0041}", "\\u{e0041}"],
    ["é中🦙", "é中🦙"],
  ];
  for (const [text, shown] of cases) assert.equal(printable(text), shown);
  assert.equal(quote("a\nb"), '"a\\nb"');
});

test("long text is cut between characters", () => {
  assert.equal(printable("x".repeat(80)), "x".repeat(80));
  assert.equal(printable("x".repeat(81)), `${"x".repeat(79)}…`);
  assert.equal(printable("🦙".repeat(100), 3), "🦙🦙…");
  assert.equal(printable("\x1b".repeat(1e7), 13), "\\x1b\\x1b\\x1b…");
  assert.equal(printable("\x1b".repeat(20)), "\\x1b".repeat(20));
  assert.equal(printable("\x1b".repeat(21)), `${"\\x1b".repeat(19)}…`);
});

test("no text leaves anything that is not printed", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => assert.doesNotMatch(printable(text), /[\p{C}\p{Zl}\p{Zp}]/u)),
  );
});

test("a hostile architecture cannot steer the terminal", () => {
  const file = { metadata: new Map([["general.architecture", `\x1b]0;owned\x07\n${"x".repeat(1e6)}`]]) };
  assert.throws(
    () => readConfig(file as unknown as GgufFile),
    ({ message }: Error) => /got "\\x1b\]0;owned\\x07\\nx+…"\./.test(message) && message.length < 250,
  );
});
