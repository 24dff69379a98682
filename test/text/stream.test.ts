/** Streaming against the whole: every way to cut the input must give the text that no cutting gives. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { StopStrings, TextStream } from "../../src/text/stream.js";

const encoder = new TextEncoder();

function streamed(pieces: readonly Uint8Array[]): string {
  const stream = new TextStream();
  return pieces.map((piece) => stream.push(piece)).join("") + stream.flush();
}

/** `list` cut before each position of `cuts`. */
function cut<T extends { slice(from: number, to?: number): T; length: number }>(list: T, cuts: readonly number[]): T[] {
  const ends = [...new Set(cuts.map((c) => c % (list.length + 1)))].sort((a, b) => a - b);
  return [0, ...ends].map((from, i) => list.slice(from, ends[i] ?? list.length));
}

describe("TextStream", () => {
  const text = "aé中🦙👩‍👩‍👧\uFEFFz";

  it("gives the same text for every split in two and in single bytes", () => {
    const bytes = encoder.encode(text);
    for (let i = 0; i <= bytes.length; i++) assert.equal(streamed([bytes.slice(0, i), bytes.slice(i)]), text);
    assert.equal(streamed(Array.from(bytes, (byte) => Uint8Array.of(byte))), text);
  });

  it("never gives out half a character", () => {
    const stream = new TextStream();
    for (const byte of encoder.encode(text)) {
      const piece = stream.push(Uint8Array.of(byte));
      assert.ok(piece.isWellFormed() && !piece.includes("\uFFFD"), piece);
    }
    assert.equal(stream.flush(), "");
  });

  it("keeps a leading U+FEFF and ends an unfinished character with U+FFFD", () => {
    assert.equal(streamed([encoder.encode("\uFEFFa")]), "\uFEFFa");
    assert.equal(streamed([encoder.encode("🦙").slice(0, 3)]), "\uFFFD");
  });

  it("decodes any bytes as if they came at once", () => {
    const bytes = fc.uint8Array({ maxLength: 40 });
    fc.assert(
      fc.property(bytes, fc.array(fc.nat(40)), (b, cuts) => {
        assert.equal(streamed(cut(b, cuts)), new TextDecoder("utf-8", { ignoreBOM: true }).decode(b));
      }),
    );
  });
});

/** What comes out for these pieces, and the stop string that ended it. */
function stopped(stops: readonly string[], pieces: readonly string[]): { text: string; stop: string | undefined } {
  const filter = new StopStrings(stops);
  let text = "";
  for (const piece of pieces) {
    const out = filter.push(piece);
    text += out.text;
    if (out.stop !== undefined) return { text, stop: out.stop };
  }
  return { text: text + filter.flush(), stop: undefined };
}

/** The rule itself: the shortest beginning of the text that ends in a stop string, less the longest such. */
function oracle(stops: readonly string[], text: string): { text: string; stop: string | undefined } {
  for (let end = 1; end <= text.length; end++) {
    const found = stops.filter((stop) => text.slice(0, end).endsWith(stop)).sort((a, b) => b.length - a.length)[0];
    if (found !== undefined) return { text: text.slice(0, end - found.length), stop: found };
  }
  return { text, stop: undefined };
}

describe("StopStrings", () => {
  it("cuts at the stop string and holds back what may be one", () => {
    const filter = new StopStrings(["\nUser:", "###"]);
    assert.deepEqual(filter.push("Hi\nUs"), { text: "Hi" });
    assert.deepEqual(filter.push("ual #"), { text: "\nUsual " });
    assert.deepEqual(filter.push("# "), { text: "## " });
    assert.deepEqual(filter.push("end\nUser: x"), { text: "end", stop: "\nUser:" });
    assert.deepEqual(filter.push("more"), { text: "", stop: "\nUser:" });
    assert.equal(filter.flush(), "");
  });

  it("gives out what was held back when the text ends", () => {
    assert.deepEqual(stopped(["###"], ["a#", "#"]), { text: "a##", stop: undefined });
    assert.deepEqual(stopped([], ["a", "b"]), { text: "ab", stop: undefined });
  });

  it("finds overlapping stop strings alike in every cutting", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 5 });
    const text = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 20 });
    fc.assert(
      fc.property(fc.array(letters, { maxLength: 4 }), text, fc.array(fc.nat(20)), (stops, t, cuts) => {
        assert.deepEqual(stopped(stops, cut<string>(t, cuts)), oracle(stops, t));
      }),
    );
  });

  it("refuses a stop string that would stop everything", () => {
    assert.throws(() => new StopStrings([""]), { name: "RangeError", message: /stop\[0\]/ });
    assert.throws(() => new StopStrings([1 as unknown as string]), { name: "TypeError", message: /stop\[0\].*number/ });
  });
});
