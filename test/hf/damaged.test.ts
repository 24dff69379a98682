/** Damaged and strange files of a directory: one typed error each, quickly, and nothing else. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { openModel } from "../../src/engine/open.js";
import { TernionError } from "../../src/errors.js";
import { readSafetensors } from "../../src/hf/safetensors.js";
import { memoryBytes } from "../../src/platform/bytes.js";
import { repositoryFile } from "../golden.js";
import { type DirectoryOptions, safetensors, type Tensor, writeDirectory } from "./directory.js";

const TINY = repositoryFile("test/golden/tiny/model.gguf");
const QWEN = repositoryFile("test/golden/qwen3-q2/model.gguf");

const tensors: Tensor[] = [
  { name: "a", dtype: "F32", shape: [2, 3], bytes: new Uint8Array(24) },
  { name: "b", dtype: "BF16", shape: [4], bytes: new Uint8Array(8) },
  { name: "empty", dtype: "U8", shape: [0], bytes: new Uint8Array(0) },
];
const sound = safetensors(tensors);

const read = (bytes: Buffer) => readSafetensors(memoryBytes(bytes, "m.safetensors"));

/** Holds together, or is refused with SAFETENSORS. */
async function readsSafely(bytes: Buffer): Promise<void> {
  try {
    const found = await read(bytes);
    const end = found.reduce((sum, { byteLength }) => sum + byteLength, 0);
    for (const tensor of found) assert.ok(tensor.offset >= 8 && tensor.offset + tensor.byteLength <= bytes.length);
    assert.ok(end <= bytes.length);
  } catch (error) {
    assert.ok(error instanceof TernionError && error.code === "SAFETENSORS", String((error as Error).stack));
    assert.ok(error.message.length < 600);
  }
}

describe("the header of a safetensors file", () => {
  it("is read", async () => {
    const found = await read(sound);
    assert.deepEqual(
      found.map(({ name, dtype, shape, byteLength }) => ({ name, dtype, shape, byteLength })),
      [
        { name: "a", dtype: "F32", shape: [2, 3], byteLength: 24 },
        { name: "b", dtype: "BF16", shape: [4], byteLength: 8 },
        { name: "empty", dtype: "U8", shape: [0], byteLength: 0 },
      ],
    );
    assert.equal(found[0].offset, sound.length - 32);
  });

  it("cut at every byte, and with every byte set to 255 or to a digit", async () => {
    for (let i = 0; i < sound.length; i++) {
      await readsSafely(sound.subarray(0, i));
      for (const byte of [255, 0x39]) await readsSafely(Buffer.from(sound.with(i, byte)));
    }
  });

  it("damaged by chance", async () => {
    const entry = fc.record(
      {
        dtype: fc.constantFrom<unknown>("F32", "U8", "F9", 7, null),
        shape: fc.oneof(
          fc.array(fc.constantFrom<unknown>(0, 1, 6, -1, 2 ** 31, 2 ** 53, 1.5, "2"), { maxLength: 4 }),
          fc.json(),
        ),
        data_offsets: fc.array(fc.constantFrom<unknown>(0, 8, 24, 32, -8, 2 ** 53, 1e308, "0"), { maxLength: 3 }),
      },
      { requiredKeys: [] },
    );
    const property = fc.asyncProperty(fc.dictionary(fc.constantFrom("a", "b", "c", "__proto__"), entry), (changed) =>
      readsSafely(safetensors(tensors, (entries) => ({ ...entries, ...changed }))),
    );
    await fc.assert(property, { numRuns: 500 });
  });

  for (const [what, header, message] of [
    ["a hole", { b: { dtype: "BF16", shape: [3], data_offsets: [26, 32] } }, /"b": expected it to begin at 24, got 26/],
    ["an overlap", { b: { dtype: "BF16", shape: [8], data_offsets: [16, 32] } }, /begin at 24, got 16/],
    [
      "too few bytes",
      { b: { dtype: "BF16", shape: [8], data_offsets: [24, 32] } },
      /expected 16 bytes of BF16 \[8\], got 8/,
    ],
    [
      "a product beyond 2^53",
      { b: { dtype: "U8", shape: [2 ** 40, 2 ** 40], data_offsets: [24, 32] } },
      /expected 1\.2\d*e\+24 bytes/,
    ],
    ["an unknown dtype", { b: { dtype: "F4", shape: [16], data_offsets: [24, 32] } }, /expected dtype BOOL or U8/],
  ] as const) {
    it(`${what} is refused`, async () => {
      const bytes = safetensors(tensors, (entries) => ({ ...entries, ...header }));
      await assert.rejects(read(bytes), { code: "SAFETENSORS", message });
    });
  }
});

describe("a directory that is no model", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ternion-hf-"));
  });
  after(() => rm(folder, { recursive: true }));

  const renamed = (from: string, to: string) => (tensor: Tensor) =>
    tensor.name === from ? { ...tensor, name: to } : tensor;
  const Q = "model.layers.0.self_attn.q_proj.weight";
  const retyped = (dtype: string) => (tensor: Tensor) => (tensor.name === Q ? { ...tensor, dtype } : tensor);
  const cases: readonly (readonly [
    what: string,
    from: string,
    options: DirectoryOptions,
    code: string,
    message: RegExp,
  ])[] = [
    [
      "another model_type",
      TINY,
      { config: { model_type: "qwen3_moe" } },
      "MODEL_ARCH",
      /model_type: expected bitnet or llama or qwen3, got "qwen3_moe"/,
    ],
    [
      "another activation",
      QWEN,
      { config: { hidden_act: "gelu" } },
      "MODEL_ARCH",
      /hidden_act: expected silu, got "gelu"/,
    ],
    [
      "biases",
      QWEN,
      { change: renamed(Q, "model.layers.0.self_attn.q_proj.bias") },
      "MODEL_ARCH",
      /expected a model without biases/,
    ],
    [
      "a size that is none",
      QWEN,
      { config: { hidden_size: "320" } },
      "MODEL_KEY",
      /config\.json: hidden_size: expected an integer from 1 to 65536, got "320"/,
    ],
    [
      "another quantization",
      QWEN,
      { config: { quantization_config: { quant_method: "awq" } } },
      "MODEL_ARCH",
      /quant_method: expected bitnet, got "awq"/,
    ],
    [
      "norms before matrices",
      TINY,
      { config: { quantization_config: { quant_method: "bitnet", use_rms_norm: true } } },
      "MODEL_ARCH",
      /use_rms_norm/,
    ],
    [
      "another RoPE",
      QWEN,
      { config: { rope_scaling: { type: "longrope" } } },
      "MODEL_ARCH",
      /rope_scaling: type: expected default or linear or yarn or llama3, got "longrope"/,
    ],
    [
      "no weight_scale",
      TINY,
      { change: renamed(Q.replace("weight", "weight_scale"), "model.layers.0.rotary_emb.inv_freq") },
      "MODEL_TENSOR",
      /q_proj\.weight: expected .*weight_scale beside it/,
    ],
    [
      "a weight_scale of nothing",
      TINY,
      { change: renamed(Q, "model.layers.0.rotary_emb.inv_freq") },
      "MODEL_TENSOR",
      /weight_scale: expected .*q_proj\.weight beside it/,
    ],
    ["integers", TINY, { change: retyped("I8") }, "MODEL_TENSOR", /expected uint8 codes or floats, got I8/],
    [
      "packed codes without a word of them",
      QWEN,
      { change: (t) => (t.name === Q ? { ...t, dtype: "U8", shape: [t.shape[0], 4 * t.shape[1]] } : t) },
      "MODEL_ARCH",
      /expected quantization_config with quant_method bitnet/,
    ],
    [
      "an unknown tensor",
      QWEN,
      { change: renamed("model.norm.weight", "model.norm_f.weight") },
      "MODEL_ARCH",
      /"model\.norm_f\.weight": expected the tensors of/,
    ],
    [
      "a head that is missing",
      QWEN,
      { config: { tie_word_embeddings: false } },
      "MODEL_TENSOR",
      /there is no lm_head\.weight/,
    ],
    [
      "a layer that is missing",
      QWEN,
      { config: { num_hidden_layers: 4 } },
      "MODEL_TENSOR",
      /blk\.3\.attn_norm\.weight: .*got no such tensor/,
    ],
    [
      "an index to elsewhere",
      QWEN,
      { shards: 2, files: { "model.safetensors.index.json": '{"weight_map":{"a":"../a.safetensors"}}' } },
      "MODEL_DIRECTORY",
      /got "\.\.\/a\.safetensors"/,
    ],
    [
      "an index of no file",
      QWEN,
      { shards: 2, files: { "model.safetensors.index.json": '{"weight_map":{"a":"a.safetensors"}}' } },
      "MODEL_DIRECTORY",
      /expected "a\.safetensors", which .* names, got none/,
    ],
    [
      "a tensor in two files",
      QWEN,
      { shards: 2, change: renamed("model.norm.weight", "model.embed_tokens.weight") },
      "MODEL_DIRECTORY",
      /"model\.embed_tokens\.weight" in one file, got two/,
    ],
    [
      "no JSON",
      QWEN,
      { files: { "config.json": "<html>" } },
      "MODEL_DIRECTORY",
      /config\.json: expected JSON, got "<html>"/,
    ],
    ["no object", QWEN, { files: { "config.json": "[]" } }, "MODEL_DIRECTORY", /expected a JSON object/],
    [
      "another split of words",
      QWEN,
      { files: { "tokenizer.json": '{"model":{"vocab":{},"merges":[]},"pre_tokenizer":{"type":"Whitespace"}}' } },
      "TOKENIZER",
      /pre_tokenizer: expected that of llama-bpe or .*Whitespace/,
    ],
    [
      "an id beyond the embedding",
      QWEN,
      { files: { "tokenizer.json": '{"model":{"vocab":{"a":360},"merges":[]}}' } },
      "TOKENIZER",
      /token "a": expected an id below vocab_size 360, got 360/,
    ],
    [
      "another kind of tokenizer",
      QWEN,
      { files: { "tokenizer.json": '{"model":{"type":"Unigram"}}' } },
      "TOKENIZER",
      /type: expected "?BPE"?, got "Unigram"/,
    ],
  ];
  for (const [what, from, options, code, message] of cases) {
    it(what, async () => {
      const path = await writeDirectory(from, join(folder, what), options);
      await assert.rejects(openModel(path), (error: TernionError) => {
        assert.ok(error instanceof TernionError, String((error as Error).stack));
        assert.equal(error.code, code, error.message);
        assert.match(error.message, message);
        return true;
      });
    });
  }

  it("without its files", async () => {
    await assert.rejects(openModel(folder), {
      code: "GGUF_READ",
      message: /got a directory\. .*config\.json/,
    });
    for (const [file, message] of [
      ["model.safetensors", /expected model\.safetensors, or model\.safetensors\.index\.json that names files/],
      ["tokenizer.json", /expected tokenizer\.json in the directory, got none/],
    ] as const) {
      const path = await writeDirectory(QWEN, join(folder, `no ${file}`));
      await rm(join(path, file));
      await assert.rejects(openModel(path), { code: "MODEL_DIRECTORY", message });
    }
  });
});
