/** Models written as GGUF: the same logits and ids as what they were read from, types changed without loss or refused. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openModel } from "../../../src/engine/open.js";
import { createTokenizer } from "../../../src/engine/text.js";
import { writeGguf } from "../../../src/engine/write.js";
import type { DecodedWeight } from "../../../src/formats/decode.js";
import { readBytes, readWeight } from "../../../src/formats/read.js";
import type { Metadata } from "../../../src/gguf/metadata.js";
import { type GgufTensorSource, keyValues } from "../../../src/gguf/write.js";
import {
  type ConvertType,
  convertFile,
  Engine,
  type GgufTensor,
  quantizeFile,
  readGguf,
  type TernionError,
} from "../../../src/index.js";
import { guessLayout } from "../../../src/model/layout-evidence.js";
import { ternion } from "../../cli/program.js";
import { type GoldenName, repositoryFile } from "../../golden.js";
import { type DirectoryOptions, writeDirectory } from "../../hf/directory.js";

const golden = (name: GoldenName) => repositoryFile(`test/golden/${name}/model.gguf`);
const BOX = repositoryFile("models/ternion-tiny.gguf");

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ternion-convert-"));
});
after(() => rm(folder, { recursive: true }));

const at = (name: string) => join(folder, name);

async function logitsOf(path: string): Promise<Float32Array | undefined> {
  await using engine = await Engine.load(path, { backend: "cpu", threads: 1, contextLength: 64, strict: true });
  return (await engine.trace([1, 2, 3, 60, 5, 6, 7, 8])).get("logits")?.data;
}

/** The ids of some text, and those that end one. */
function idsOf(metadata: Metadata) {
  const tokenizer = createTokenizer(metadata);
  const ids = tokenizer.encode("Hello, wörld 1234!\n  <|eot_id|>", { parseSpecial: true });
  return [ids, [...tokenizer.stopIds]];
}

async function weightsOf(path: string): Promise<Map<string, DecodedWeight & { type: string }>> {
  await using model = await openModel(path);
  const weights = await Promise.all(
    model.sources.map(async (source) => ({ ...(await readWeight(source)), type: source.type })),
  );
  return new Map(weights.map((weight) => [weight.name, weight]));
}

describe("a GGUF file out of a directory", () => {
  const cases: readonly (readonly [GoldenName, DirectoryOptions])[] = [
    ["tiny", { linearClass: "bitlinear", shards: 2 }],
    ["tiny", { form: "master" }],
    [
      "llama-ropefreqs",
      {
        config: {
          rope_scaling: {
            type: "llama3",
            factor: 8,
            low_freq_factor: 1,
            high_freq_factor: 4,
            original_max_position_embeddings: 128,
          },
        },
      },
    ],
    ["qwen3-yarn", {}],
  ];
  for (const [i, [name, options]] of cases.entries()) {
    it(`${name} ${JSON.stringify(options).slice(0, 60)}: weights, configuration and ids of the directory`, async () => {
      const from = await writeDirectory(golden(name), at(`${name}-${i}`), options);
      const to = at(`${name}-${i}.gguf`);
      const { converted, repairs } = await convertFile(from, to);
      assert.equal(converted, 0);
      assert.deepEqual(repairs, []);
      await using own = await openModel(from);
      await using written = await openModel(to);
      assert.deepEqual(written.config, own.config);
      assert.deepEqual(await weightsOf(to), await weightsOf(from));
      assert.deepEqual(idsOf(written.metadata), idsOf(own.metadata));
    });
  }

  it("the logits of the directory, bit for bit", async () => {
    assert.deepEqual(await logitsOf(at("qwen3-yarn-3.gguf")), await logitsOf(at("qwen3-yarn-3")));
  });

  it("packed codes of q and k come into their order", async () => {
    const ternary = at("llama.gguf");
    await quantizeFile(golden("llama-ropefreqs"), ternary, { type: "ternary", threads: 1 });
    const quantization_config = { quant_method: "bitnet" };
    for (const form of ["packed", "unpacked", "master"] as const) {
      const quantization =
        form === "master" ? { ...quantization_config, quantization_mode: "online" } : quantization_config;
      const config = { quantization_config: quantization };
      const options = { form, linearClass: "bitlinear", config } as const;
      const from = await writeDirectory(ternary, at(`llama-${form}`), options);
      const [own, other] = [await weightsOf(ternary), await weightsOf(from)];
      for (const [name, { ternary: codes }] of own) {
        if (codes === undefined) continue;
        const found = other.get(name)?.ternary;
        assert.deepEqual(found?.values, codes.values, name);
        assert.ok(Math.abs((found?.scales[0] ?? 0) / codes.scales[0] - 1) < 1e-6, name);
      }
    }
  });
});

describe("types", () => {
  const as = async (from: string, type: ConvertType, name: string) => {
    await convertFile(from, at(name), { type, force: true });
    return at(name);
  };

  it("one scale becomes one a block and comes back: the codes are the same, the scale is rounded to binary16", async () => {
    const own = await weightsOf(golden("tiny"));
    const blocks = await as(golden("tiny"), "tq2_0", "blocks.gguf");
    for (const path of [blocks, await as(blocks, "i2_s", "again.gguf")]) {
      for (const [name, found] of await weightsOf(path)) {
        const expected = own.get(name);
        if (expected?.ternary === undefined) {
          assert.deepEqual(found.dense, expected?.dense);
          continue;
        }
        assert.equal(found.type, path === blocks ? "TQ2_0" : "I2_S");
        assert.deepEqual(found.ternary?.values, expected.ternary.values);
        for (const scale of found.ternary?.scales ?? []) {
          assert.ok(Math.abs(scale / expected.ternary.scales[0] - 1) <= 2 ** -11);
        }
      }
    }
  });

  it("one scale a block becomes one a block", async () => {
    const [own, found] = [
      await weightsOf(golden("bitnet-tq1")),
      await weightsOf(await as(golden("bitnet-tq1"), "tq2_0", "tq2.gguf")),
    ];
    for (const [name, { ternary, factor }] of own) {
      assert.deepEqual(found.get(name)?.ternary, ternary);
      assert.equal(found.get(name)?.factor, factor);
    }
  });

  it("floats become other floats: Q8_0 of what was Q8_0 is the same bytes", async () => {
    const wide = await as(golden("llama-q8"), "f32", "f32.gguf");
    for (const [name, { type, rows }] of await weightsOf(wide)) assert.equal(type, "F32", `${name} of ${rows} rows`);
    const again = await as(wide, "q8_0", "q8_0.gguf");
    await using own = await openModel(golden("llama-q8"));
    await using back = await openModel(again);
    const was = new Map(own.sources.map((source) => [source.name, source]));
    let compared = 0;
    for (const source of back.sources) {
      const before = was.get(source.name);
      if (before?.type !== "Q8_0") continue;
      const bytes = await Promise.all([source, before].map((each) => readBytes(each, 0, each.byteLength)));
      assert.deepEqual(...(bytes as [Uint8Array, Uint8Array]));
      compared++;
    }
    assert.ok(compared > 20);
    for (const type of ["f16", "bf16"] as const) {
      const rounded = await weightsOf(await as(wide, type, `${type}.gguf`));
      for (const [name, { dense }] of await weightsOf(wide)) {
        const limit = type === "f16" ? 2 ** -11 : 2 ** -8;
        const near = (value: number, i: number) =>
          Math.abs(value - (dense?.[i] ?? 0)) <= limit * Math.abs(value) + 2 ** -25;
        assert.ok(rounded.get(name)?.dense?.every(near), name);
      }
    }
  });

  it("blocks with one scale but for those of zeros become one scale: the same logits", async () => {
    const to = await as(golden("llama-tq2"), "i2_s", "one.gguf");
    assert.deepEqual(await logitsOf(to), await logitsOf(golden("llama-tq2")));
  });

  it("what a type cannot hold is refused, and nothing is left", async () => {
    const bytes = await readFile(golden("llama-tq2"));
    const { offset } = (await readGguf(golden("llama-tq2"))).tensors.get("blk.0.attn_q.weight") as GgufTensor;
    bytes.writeUInt16LE(0x3c00, offset + 4 * 66 - 2); // the scale of block 3: 1
    await writeFile(at("two-scales.gguf"), bytes);
    const wide = at("wide.gguf");
    await convertFile(golden("llama-ropefreqs"), wide, { type: "f32" });
    const file = await readFile(wide);
    const table = (await readGguf(wide)).tensors.get("token_embd.weight") as GgufTensor;
    file.writeFloatLE(70_000, table.offset + 40);
    await writeFile(wide, file);
    for (const [from, type, code, message] of [
      [
        at("two-scales.gguf"),
        "i2_s",
        "MODEL_TENSOR",
        /blk\.0\.attn_q\.weight: expected one positive scale .* 1 in its TQ2_0/,
      ],
      [golden("llama-q8"), "i2_s", "MODEL_TENSOR", /no ternary weights, .* `ternion quantize`/],
      [
        wide,
        "f16",
        "MODEL_CODES",
        /token_embd\.weight: expected finite F16 weights, got Infinity .* in row 0, column 10/,
      ],
    ] as const) {
      const names = await readdir(folder);
      await assert.rejects(convertFile(from, at("refused.gguf"), { type }), { code, message });
      assert.deepEqual(await readdir(folder), names);
    }
    const uneven = quantizeFile(golden("llama-q8"), at("refused.gguf"), { type: "ternary" });
    await assert.rejects(uneven, {
      message: /blk\.0\.ffn_down\.weight: I2_S rows must be a multiple of 128 weights, got 704/,
    });
  });
});

describe("ternion convert", () => {
  it("says what it did", async () => {
    const from = await writeDirectory(golden("tiny"), at("of-cli"));
    const { stdout, stderr, code } = await ternion(["convert", from, at("cli.gguf"), "--type", "q8_0"]);
    assert.deepEqual({ stderr, code }, { stderr: "", code: 0 });
    assert.match(stdout, /^1 tensors became q8_0\nwrote .*cli\.gguf, \d+ bytes\n$/);
    const refused = await ternion(["convert", from, at("cli.gguf")]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /cli\.gguf: expected no such file, got one/);
    const inspected = await ternion(["inspect", "--model", from]);
    assert.match(inspected.stdout, /general\.architecture +"bitnet-b1\.58"/);
  });
});

/**
 * A model that makes sense, with matrices of floats that were not trained to be ternary: each column of a matrix is divided by a
 * factor, and the gain of the norm before it multiplied.
 */
async function floatModel(to: string): Promise<string> {
  await using model = await openModel(BOX);
  const factor = (column: number) => 2 ** (((7 * column) % 13) - 6);
  const tensors: GgufTensorSource[] = [];
  for (const source of model.sources) {
    const { name, rows, columns, dense, ternary } = await readWeight(source);
    const values = dense ?? new Float32Array(rows * columns);
    const isGain = /^blk\..*norm/.test(name);
    if (isGain) for (let i = 0; i < columns; i++) values[i] *= factor(i);
    if (ternary) {
      for (let i = 0; i < values.length; i++) {
        values[i] = (ternary.values[i] * ternary.scales[0]) / factor(i % columns);
      }
    }
    const dims = rows === 1 ? [columns] : [columns, rows];
    tensors.push({ name, type: "F32", dims, data: () => [new Uint8Array(values.buffer)] });
  }
  await writeGguf(to, { metadata: keyValues(model.file), tensors });
  return to;
}

describe("ternion quantize", () => {
  it("prints the perplexity before and after, and what it means", async () => {
    const from = await floatModel(at("float.gguf"));
    const to = at("ternary.gguf");
    const { stdout, code } = await ternion(["quantize", from, to, "--type", "ternary", "--threads", "1"]);
    assert.equal(code, 0);
    assert.match(
      stdout,
      /^91 matrices became ternary; embedding, head and norms stay\nwrote .*ternary\.gguf, \d+ bytes\n/,
    );
    const [, before, after] = /^perplexity of a short English text: ([\d.]+) before, (\d+) after$/m.exec(stdout) ?? [];
    assert.ok(Number(before) < 304 && Number(after) > 1000, stdout);
    assert.match(stdout, /^The model is garbage now .*trained so from the start\.$/m);
    // it loads all the same: nobody takes its sense for a sign of damage
    assert.equal((await readGguf(to)).metadata.get("ternion.ternary_layout"), "block128");
    await using model = await openModel(to);
    assert.deepEqual(await guessLayout(model.sources, model.metadata), { layouts: ["block128"], certain: true });
  });

  it("refuses what is ternary already", async () => {
    const refusal = (error: TernionError) => /There is nothing to do/.test(error.message);
    await assert.rejects(quantizeFile(BOX, at("none.gguf"), { type: "ternary", threads: 1 }), refusal);
  });
});
