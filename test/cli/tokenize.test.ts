/** `ternion tokenize`, on a file that has a vocabulary and no tensors, and on a model. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import { llama3Vocabulary } from "../vocabulary.js";
import { repositoryFile, TINY, ternion } from "./program.js";

const golden = (name: string) => readFile(repositoryFile(`test/golden/llama3/${name}`), "utf8");
const lines = (text: string) => text.trimEnd().split("\n");

describe("ternion tokenize", () => {
  let vocabulary: string;
  before(async () => {
    vocabulary = await llama3Vocabulary();
  });

  it("gives the ids of llama.cpp for its 47 cases, a JSON string a line", async () => {
    const cases = (await golden("llama-bpe.inp")).split("\n__ggml_vocab_test__\n");
    const expected = (await golden("llama-bpe.out")).split("\n").slice(0, cases.length);
    const input = cases.map((text) => `${JSON.stringify(text)}\n`).join("");
    const { stdout, stderr, code } = await ternion(["tokenize", "--jsonl", "--no-bos", "--model", vocabulary], input);
    assert.deepEqual({ stderr, code }, { stderr: "", code: 0 });
    const wanted = expected.map((ids) => ({ ids: ids.trim().split(" ").filter(Boolean).map(Number) }));
    assert.equal(wanted.length, 47);
    assert.deepEqual(
      lines(stdout).map((line) => JSON.parse(line)),
      wanted,
    );
  });

  it("takes the text as it is, with its line ends and its special tokens as plain text", async () => {
    const json = async (options: string[], text: string) => {
      const { stdout, code } = await ternion(["tokenize", "--json", "--model", vocabulary, ...options], text);
      assert.equal(code, 0);
      return JSON.parse(stdout);
    };
    assert.deepEqual(await json([], "Hello\n"), {
      ids: [128_000, 9906, 198],
      pieces: ["<|begin_of_text|>", "Hello", "Ċ"],
    });
    assert.deepEqual(await json(["--special", "--no-bos"], "Hello<|eot_id|>"), {
      ids: [9906, 128_009],
      pieces: ["Hello", "<|eot_id|>"],
    });
    assert.ok(!(await json([], "<|eot_id|>")).ids.includes(128_009));
    assert.deepEqual(await json(["--no-bos"], ""), { ids: [], pieces: [] });
  });

  it("prints a line for each token", async () => {
    const { stdout } = await ternion(["tokenize", "--model", TINY, "--no-bos"], "o \n");
    assert.equal(stdout, '111\t"o"\n32\t"Ġ"\n10\t"Ċ"\n');
  });

  it("splits lines at line feeds only", async () => {
    const { stdout } = await ternion(["tokenize", "--jsonl", "--no-bos", "--model", TINY], '"a\u2028b"\r\n"c"');
    assert.deepEqual(lines(stdout), ['{"ids":[97,226,128,168,98]}', '{"ids":[99]}']);
  });

  it("answers until the line that is no JSON string, and names it", async () => {
    const got = await ternion(["tokenize", "--jsonl", "--no-bos", "--model", TINY], '"c"\n["c"]\n"d"\n');
    assert.deepEqual(got, {
      stdout: '{"ids":[99]}\n',
      stderr: 'ternion: stdin, line 2: expected a JSON string, got "[\\"c\\"]"\n',
      code: 1,
    });
  });
});
