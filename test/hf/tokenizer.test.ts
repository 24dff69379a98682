/** tokenizer.json as a GGUF file would have it: the same ids, in byte-level BPE and in that of SentencePiece. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Tokenizer as Peer } from "@huggingface/tokenizers";
import fc from "fast-check";
import llama from "llama-tokenizer-js";
import { readGguf } from "../../src/engine/input.js";
import { createTokenizer } from "../../src/engine/text.js";
import type { GgufArray, GgufValue } from "../../src/gguf/file.js";
import { type Folder, JsonObject } from "../../src/hf/folder.js";
import { tokenizerMetadata } from "../../src/hf/tokenizer.js";
import { memoryBytes } from "../../src/platform/bytes.js";
import { repositoryFile } from "../golden.js";
import { llama3Metadata } from "../text/fixtures.js";
import { tokenizerJson } from "./directory.js";

function folderOf(files: Readonly<Record<string, unknown>>): Folder {
  return {
    name: "model",
    async open(file) {
      const content = files[file];
      if (content === undefined) return undefined;
      return memoryBytes(Buffer.from(typeof content === "string" ? content : JSON.stringify(content)), file);
    },
  };
}

async function metadataOf(files: Readonly<Record<string, unknown>>, size: number): Promise<Map<string, GgufValue>> {
  const entries = await tokenizerMetadata(folderOf(files), new JsonObject("config.json", {}), size);
  return new Map(entries.map(({ key, value }) => [key, value]));
}

const valuesOf = (metadata: ReadonlyMap<string, GgufValue>, key: string) =>
  (metadata.get(`tokenizer.ggml.${key}`) as GgufArray).values;

describe("byte-level BPE", () => {
  it("Llama 3's comes out as its GGUF file has it", async () => {
    const expected = await llama3Metadata();
    const json = tokenizerJson(expected);
    const settings = { bos_token: "<|begin_of_text|>", eos_token: { content: "<|end_of_text|>" } };
    const files = { "tokenizer.json": json, "tokenizer_config.json": settings };
    const found = await metadataOf(files, valuesOf(expected, "tokens").length);
    for (const key of ["tokens", "token_type", "merges"]) {
      assert.deepEqual([...valuesOf(found, key)], [...valuesOf(expected, key)], key);
    }
    for (const key of ["model", "pre", "bos_token_id", "eos_token_id", "eot_token_id", "add_bos_token"]) {
      assert.equal(found.get(`tokenizer.ggml.${key}`), expected.get(`tokenizer.ggml.${key}`), key);
    }
  });

  for (const name of ["tiny", "qwen3-q2"]) {
    it(`${name}: the ids of the package that reads tokenizer.json`, async () => {
      const { metadata } = await readGguf(repositoryFile(`test/golden/${name}/model.gguf`));
      const json = tokenizerJson(metadata);
      const peer = new Peer(json as ConstructorParameters<typeof Peer>[0], {});
      const size = valuesOf(metadata, "tokens").length;
      const own = createTokenizer(await metadataOf({ "tokenizer.json": json }, size));
      fc.assert(
        fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 40 }), (text) => {
          assert.deepEqual(own.encode(text, { addBos: false }), peer.encode(text, { add_special_tokens: false }).ids);
        }),
        { numRuns: 200 },
      );
    });
  }

  it("ids that have no token, ends of turns, templates by name", async () => {
    const { metadata } = await readGguf(repositoryFile("test/golden/tiny/model.gguf"));
    const size = valuesOf(metadata, "tokens").length + 2;
    const files = {
      "tokenizer.json": tokenizerJson(metadata),
      "tokenizer_config.json": {
        add_bos_token: false,
        bos_token: null,
        chat_template: [
          { name: "tool_use", template: "t" },
          { name: "default", template: "d" },
        ],
      },
      "generation_config.json": { eos_token_id: [5, 7] },
    };
    const found = await metadataOf(files, size);
    assert.equal(valuesOf(found, "tokens")[size - 1], `[PAD${size - 1}]`);
    assert.equal(found.get("tokenizer.ggml.add_bos_token"), false);
    assert.equal(found.get("tokenizer.ggml.bos_token_id"), undefined);
    assert.deepEqual(
      [...createTokenizer(found).stopIds].slice(0, 2),
      [5, 7],
      "then those that end turns by their name",
    );
    assert.equal(found.get("tokenizer.chat_template"), "d");
    const own = await metadataOf({ ...files, "chat_template.jinja": "own" }, size);
    assert.equal(own.get("tokenizer.chat_template"), "own");
  });
});

describe("SentencePiece", () => {
  const pieces: readonly string[] = llama.vocabById;

  /** As transformers converts it (convert_slow_tokenizer.py): every pair that makes a piece, by its score. */
  function merges(): [string, string][] {
    const ids = new Map(pieces.map((piece, id) => [piece, id]));
    const pairs: { pair: [string, string]; score: number }[] = [];
    for (const [id, piece] of pieces.entries()) {
      const score = id < 259 ? 0 : /^\u2581{2,}$/.test(piece) ? -1e9 : 259 - id;
      for (let cut = 1; cut < piece.length; cut++) {
        const pair: [string, string] = [piece.slice(0, cut), piece.slice(cut)];
        if (pair.every((each) => ids.has(each))) pairs.push({ pair, score });
      }
    }
    return pairs.sort((a, b) => b.score - a.score).map(({ pair }) => pair);
  }

  const all = merges();
  const special = ["<unk>", "<s>", "</s>"].map((content, id) => ({ id, content, special: true }));
  const tokenizer = (changes: Readonly<Record<string, unknown>> = {}, used = all) => ({
    added_tokens: special,
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "\u2581" },
        { type: "Replace", pattern: { String: " " }, content: "\u2581" },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    },
    model: {
      type: "BPE",
      unk_token: "<unk>",
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges: used.map((pair) => pair.join(" ")),
    },
    ...changes,
  });
  const settings = { bos_token: { content: "<s>" }, eos_token: { content: "</s>" } };
  const read = (json: unknown) => {
    return metadataOf({ "tokenizer.json": json, "tokenizer_config.json": settings }, pieces.length);
  };

  it("gives the ids of an implementation of its own", async () => {
    const own = createTokenizer(await read(tokenizer()));
    const text = fc
      .array(
        fc.oneof(
          fc.string({ unit: "grapheme", maxLength: 6 }),
          fc.constantFrom("the ", "Größe", "  ", "grabbed", "日本"),
        ),
      )
      .map((parts) => parts.join(""))
      .filter((each) => each !== "" && !each.includes("\u2581"));
    fc.assert(
      fc.property(text, (each) => assert.deepEqual(own.encode(each), llama.encode(each, true, true))),
      {
        numRuns: 200,
      },
    );
    assert.deepEqual([...own.stopIds], [2]);
  });

  it("no blank comes first where the file has it so", async () => {
    const metaspace = { type: "Metaspace", replacement: "\u2581", prepend_scheme: "never", split: false };
    const found = await read(tokenizer({ normalizer: null, pre_tokenizer: metaspace }));
    assert.equal(found.get("tokenizer.ggml.add_space_prefix"), false);
  });

  it("merges of another kind, and other forms, are refused", async () => {
    const fewer = all.filter(([left, right]) => left !== "\u2581" || right !== "t");
    const refusal = { code: "TOKENIZER", message: /merges: expected every pair .*, got no \["▁","t"\]/ };
    await assert.rejects(read(tokenizer({}, fewer)), refusal);
    const lower = read(tokenizer({ normalizer: { type: "Lowercase" } }));
    await assert.rejects(lower, { code: "TOKENIZER", message: /got \{"type":"Lowercase"\}/ });
  });
});
