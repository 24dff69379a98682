/** Text in files and on stdin: marks, UTF-16, and bytes that are no text. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { decodeText, readAll } from "../../src/cli/text-input.js";
import { outcome, start, TINY } from "./program.js";

const TEXT = "Grüße, 世界 🌍\n";
const utf16 = (text: string) => Buffer.from(text, "utf16le");
const [UTF8_MARK, LE_MARK, BE_MARK] = [Buffer.from("\uFEFF"), utf16("\uFEFF"), utf16("\uFEFF").swap16()];

describe("decodeText", () => {
  it("drops the mark of UTF-8, once, and decodes UTF-16 with its mark", () => {
    const plain = Buffer.from(TEXT);
    for (const bytes of [
      plain,
      Buffer.concat([UTF8_MARK, plain]),
      Buffer.concat([LE_MARK, utf16(TEXT)]),
      Buffer.concat([BE_MARK, utf16(TEXT).swap16()]),
    ]) {
      assert.equal(decodeText(bytes, "x"), TEXT);
    }
    assert.equal(decodeText(Buffer.concat([UTF8_MARK, UTF8_MARK]), "x"), "\uFEFF");
    assert.equal(decodeText(Buffer.from("\uFFFD"), "x"), "\uFFFD");
    for (const empty of [Buffer.alloc(0), UTF8_MARK, LE_MARK, BE_MARK]) assert.equal(decodeText(empty, "x"), "");
  });

  it("refuses other bytes, and names the first of them", () => {
    for (const [bytes, said] of [
      [Buffer.from("H\xe9llo", "latin1"), /x: expected text in UTF-8, .* got byte 0xe9 at offset 1; convert/],
      [Buffer.concat([Buffer.from("\uFFFD"), Buffer.of(0xff)]), /got byte 0xff at offset 3/],
      [Buffer.concat([UTF8_MARK, Buffer.of(0x61, 0x80)]), /got byte 0x80 at offset 4/],
      [Buffer.of(0x61, 0xed, 0xa0, 0x80), /got byte 0xed at offset 1/], // half of a pair, written as UTF-8
      [Buffer.from("é").subarray(0, 1), /got /],
      [Buffer.concat([LE_MARK, Buffer.of(0x61)]), /x: expected UTF-16LE as its mark says, got half of a character/],
    ] as const) {
      assert.throws(() => decodeText(bytes, "x"), said);
    }
  });
});

describe("readAll", () => {
  it("ends what gives bytes without end, as /dev/zero does", async () => {
    const chunk = Buffer.alloc(1 << 26);
    async function* endless() {
      for (;;) yield chunk;
    }
    await assert.rejects(readAll(endless(), "stdin: "), /^Error: stdin: expected at most \d+ bytes of text, got more$/);
  });
});

describe("the commands", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "ternion-text-"));
  });
  after(() => rm(directory, { recursive: true }));

  async function run(args: readonly string[], input: Buffer) {
    const child = start(args);
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    return outcome(child);
  }
  const TOKENS = ["tokenize", "--model", TINY, "--no-bos"];

  it("take the same text in every encoding, from a file and from stdin", async () => {
    const file = join(directory, "marked.txt");
    const marked = Buffer.concat([LE_MARK, utf16("hé")]);
    await writeFile(file, marked);
    const { stdout } = await run([...TOKENS, "--json"], Buffer.from("hé"));
    assert.equal((await run([...TOKENS, "--json"], marked)).stdout, stdout);
    assert.equal((await run([...TOKENS, "--json", "--file", file], Buffer.alloc(0))).stdout, stdout);
    assert.equal((await run([...TOKENS, "--json", "hé"], Buffer.alloc(0))).stdout, stdout);
  });

  it("take lines in every encoding", async () => {
    const lines = '"a"\n"é"\n';
    const expected = '{"ids":[97]}\n{"ids":[195,169]}\n';
    for (const input of [
      Buffer.from(lines),
      Buffer.concat([UTF8_MARK, Buffer.from(lines)]),
      Buffer.concat([BE_MARK, utf16(lines).swap16()]),
    ]) {
      assert.deepEqual(await run([...TOKENS, "--jsonl"], input), { stdout: expected, stderr: "", code: 0 });
    }
  });

  it("refuse what is no text, in one line", async () => {
    const file = join(directory, "latin1.txt");
    const bytes = Buffer.from("caf\xe9", "latin1");
    await writeFile(file, bytes);
    const reason = "expected text in UTF-8, or in UTF-16 with its mark, got byte 0xe9 at offset 3; convert it to UTF-8";
    for (const args of [
      ["run", "--file", file],
      ["perplexity", file],
      ["tokenize", "--file", file],
    ]) {
      const got = await run([...args, "--model", TINY], Buffer.alloc(0));
      assert.deepEqual(got, { stdout: "", stderr: `ternion: ${file}: ${reason}\n`, code: 1 });
    }
    for (const [command, name] of [
      ["run", "stdin"],
      ["chat", "stdin, line 1"],
    ]) {
      const got = await run([command, "--model", TINY], bytes);
      assert.deepEqual(got, { stdout: "", stderr: `ternion: ${name}: ${reason}\n`, code: 1 });
    }
  });
});
