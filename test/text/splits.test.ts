/**
 * Where texts are cut into words: against Hugging Face's tokenizers in Rust (test/golden/splits.json), and in time that grows as
 * the text does.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { SPLITS, wordsOf } from "../../src/text/splits.js";

interface Golden {
  readonly texts: readonly string[];
  /** for each split, the bytes of the words of each text */
  readonly bytes: Readonly<Record<string, readonly string[]>>;
}

describe("words", async () => {
  const golden: Golden = JSON.parse(
    await readFile(new URL("../../../test/golden/splits.json", import.meta.url), "utf8"),
  );
  const own = new Set(Array.from(SPLITS.values(), ({ stages }) => stages.map(String).join(" ")));

  it("every split is in the goldens", () => {
    assert.equal(Object.keys(golden.bytes).length, own.size);
    assert.ok(golden.texts.length >= 200);
  });

  for (const [name, expected] of Object.entries(golden.bytes)) {
    const { stages } = SPLITS.get(name) ?? assert.fail(name);
    it(`${name}: those of the Rust library`, () => {
      for (const [i, text] of golden.texts.entries()) {
        const words = [...wordsOf(text, stages)];
        assert.equal(words.join(""), text);
        const lengths = words.map((word) => Buffer.byteLength(word)).join(" ");
        assert.equal(lengths, expected[i], `${JSON.stringify(text)} became ${JSON.stringify(words)}`);
      }
    });

    it(`${name}: time in proportion to a run of anything`, () => {
      const length = 1 << 15; // of which the square is seconds
      for (const run of [
        " ",
        "\n",
        "\t ",
        "a",
        "A",
        "aA",
        "1",
        "=",
        "'",
        "中",
        "e\u0301",
        "\u0301",
        "\u0000",
        "ª",
        " =",
      ]) {
        const { user } = process.cpuUsage();
        let words = 0;
        for (const end of ["x", "🙂"]) {
          for (const _ of wordsOf(run.repeat(length / run.length) + end, stages)) words++;
        }
        const ms = (process.cpuUsage().user - user) / 1000;
        assert.ok(words > 0 && ms < 500, `${JSON.stringify(run)}: expected some 10 ms, got ${ms}`);
      }
    });
  }
});
