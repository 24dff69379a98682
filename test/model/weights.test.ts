/** Every defect of a model's tensors and metadata that is found at load, with its message. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { type HeldGguf, openGguf } from "../../src/engine/input.js";
import type { GgufTensor, GgufValue } from "../../src/gguf/file.js";
import type { GgmlType } from "../../src/gguf/types.js";
import { readConfig } from "../../src/model/config.js";
import { headOf } from "../../src/model/open.js";
import { weightSources } from "../../src/model/weights.js";
import { repositoryFile } from "../golden.js";

let tiny: HeldGguf;
before(async () => {
  tiny = await openGguf(repositoryFile("test/golden/tiny/model.gguf"));
});

/** The file with some tensors changed or left out. */
function withTensors(changes: Readonly<Record<string, Partial<GgufTensor> | undefined>>): HeldGguf {
  const tensors = new Map(tiny.tensors);
  for (const [name, change] of Object.entries(changes)) {
    const found = tensors.get(name) ?? { name, type: "F32", dims: [1], offset: 0, byteLength: 4 };
    if (change === undefined) tensors.delete(name);
    else tensors.set(name, { ...found, ...change });
  }
  return { ...tiny, tensors };
}

const sourcesOf = (file: HeldGguf) => weightSources(file, readConfig(file));

const TABLE = "F16 or Q8_0 or Q6_K or BF16 or F32 or Q4_0 or Q4_K or Q2_0 or Q2_0_128 or PQ2_0";
const MATRIX = `I2_S or TQ1_0 or TQ2_0 or ${TABLE}`;

describe("tensors of tiny: width 256, ffn 768, 320 tokens, 4 heads of 64, 2 of them kv", () => {
  const expected = new Map([
    ["token_embd.weight", `${TABLE} [256, 320]`],
    ["output_norm.weight", "F32 [256]"],
  ]);
  for (const layer of [0, 1]) {
    for (const [part, type, dims] of [
      ["attn_norm", "F32", "256"],
      ["attn_q", MATRIX, "256, 256"],
      ["attn_k", MATRIX, "256, 128"],
      ["attn_v", MATRIX, "256, 128"],
      ["attn_sub_norm", "F32", "256"],
      ["attn_output", MATRIX, "256, 256"],
      ["ffn_norm", "F32", "256"],
      ["ffn_gate", MATRIX, "256, 768"],
      ["ffn_up", MATRIX, "256, 768"],
      ["ffn_sub_norm", "F32", "768"],
      ["ffn_down", MATRIX, "768, 256"],
    ]) {
      expected.set(`blk.${layer}.${part}.weight`, `${type} [${dims}]`);
    }
  }

  function refuses(file: HeldGguf, message: string): void {
    assert.throws(() => sourcesOf(file), { name: "TernionError", code: "MODEL_TENSOR", message });
  }

  test("a sound file gives one source for each, with the file's own offsets", () => {
    const sources = sourcesOf(tiny);
    assert.deepEqual(new Set(sources.map(({ name }) => name)), new Set(expected.keys()));
    assert.equal(sources.length, expected.size);
    for (const { name, type, rows, columns, offset, byteLength, bytes } of sources) {
      const tensor = tiny.tensors.get(name);
      assert.deepEqual(
        [type, offset, byteLength, bytes],
        [tensor?.type, tensor?.offset, tensor?.byteLength, tiny.bytes[0]],
      );
      assert.deepEqual(rows === 1 ? [columns] : [columns, rows], tensor?.dims);
    }
  });

  test("each that is missing is named", () => {
    for (const [name, want] of expected) {
      const end = "got no such tensor. The file is incomplete; download it again.";
      refuses(withTensors({ [name]: undefined }), `${name}: expected ${want}, ${end}`);
    }
  });

  test("each of another type is reported with both", () => {
    for (const [name, want] of expected) {
      const type: GgmlType = want.startsWith(MATRIX) ? "Q5_0" : "I2_S";
      const { dims } = tiny.tensors.get(name) ?? assert.fail(name);
      refuses(withTensors({ [name]: { type } }), `${name}: expected ${want}, got ${type} [${dims.join(", ")}].`);
    }
    refuses(
      withTensors({ "blk.0.ffn_down.weight": { type: "F16", dims: [256, 768] } }),
      `blk.0.ffn_down.weight: expected ${MATRIX} [768, 256], got F16 [256, 768].`,
    );
  });

  test("each of another shape is reported with both", () => {
    for (const [name, want] of expected) {
      const { type, dims } = tiny.tensors.get(name) ?? assert.fail(name);
      for (const wrong of [
        [...dims].reverse(),
        [...dims, 1],
        dims.slice(0, 1),
        [dims[0] + 128, ...dims.slice(1)],
        [],
      ]) {
        if (wrong.join() === dims.join()) continue;
        refuses(
          withTensors({ [name]: { dims: wrong } }),
          `${name}: expected ${want}, got ${type} [${wrong.join(", ")}].`,
        );
      }
    }
  });

  test("an output head of its own is taken, in any dense type, and checked", () => {
    for (const type of ["F16", "Q8_0", "Q6_K", "BF16", "F32", "Q4_0", "Q4_K", "Q2_0", "PQ2_0"] as const) {
      const sources = sourcesOf(withTensors({ "output.weight": { type, dims: [256, 320] } }));
      assert.deepEqual([sources.at(-1)?.name, sources.at(-1)?.type], ["output.weight", type]);
    }
    refuses(
      withTensors({ "output.weight": { type: "Q5_0", dims: [256, 320] } }),
      `output.weight: expected ${TABLE} [256, 320], got Q5_0 [256, 320].`,
    );
  });

  test("a tensor that nothing computes with is named", () => {
    for (const name of [
      "rope_freqs.weight",
      "blk.0.attn_q.scale",
      "blk.0.attn_q_norm.weight",
      "blk.2.attn_q.weight",
      "x",
    ])
      assert.throws(() => sourcesOf(withTensors({ [name]: {} })), {
        code: "MODEL_ARCH",
        message: `${name}: expected only tensors that bitnet-b1.58 computes with here, got this tensor. It cannot run here.`,
      });
  });

  test("scales are taken in files of bitnet, factors of RoPE in those of llama", () => {
    const taken = (name: string, arch: string) => {
      const file = withTensors({ [name]: {}, ...(arch === "llama" && LLAMA) });
      return weightSources(file, readConfig(file, changed({}, arch)));
    };
    const LLAMA = Object.fromEntries(
      [...tiny.tensors.keys()].filter((name) => name.includes("sub_norm")).map((name) => [name, undefined]),
    );
    assert.equal(taken("blk.1.ffn_down.scale", "bitnet").length, 24);
    assert.equal(taken("rope_freqs.weight", "llama").length, 20);
    for (const [name, arch] of [
      ["blk.1.ffn_down.scale", "llama"],
      ["rope_freqs.weight", "bitnet"],
      ["blk.1.attn_norm.scales", "bitnet"],
      ["blk.2.attn_q.scale", "bitnet"],
    ] as const) {
      assert.throws(() => taken(name, arch), { code: "MODEL_ARCH", message: new RegExp(`^${name}: expected only`) });
    }
  });

  test("the head of bitnet is the embedding, and one that the file brings is reported", () => {
    const file = withTensors({ "output.weight": { type: "F16", dims: [256, 320] } });
    const metadata = changed({}, "bitnet");
    const sources = weightSources(file, readConfig(file, metadata));
    assert.ok(!sources.some(({ name }) => name === "output.weight"));
    const { repairs } = headOf({ ...file, metadata }, false);
    assert.deepEqual(
      repairs.map(({ key, replacement }) => [key, replacement]),
      [["output.weight", "token_embd.weight"]],
    );
    assert.throws(() => headOf({ ...file, metadata }, true), { code: "MODEL_REPAIR", message: /output\.weight \(/ });
    assert.deepEqual(
      headOf({ ...file, metadata: changed({}) }, false).repairs.map(({ key }) => key),
      headOf({ ...tiny, metadata: changed({}) }, false).repairs.map(({ key }) => key),
    );
  });

  test("rows of I2_S are whole blocks of 128", () => {
    const file = withTensors({
      "token_embd.weight": { dims: [192, 320] },
      "blk.0.attn_norm.weight": { dims: [192] },
      "blk.0.attn_q.weight": { dims: [192, 192] },
    });
    const metadata = changed({ embedding_length: 192, "rope.dimension_count": 48 });
    assert.throws(() => weightSources(file, readConfig(file, metadata)), {
      code: "MODEL_TENSOR",
      message: `blk.0.attn_q.weight: expected ${MATRIX} [192, 192]: I2_S rows must be a multiple of 128 weights, got 192.`,
    });
  });
});

/** The metadata of tiny with some keys of its architecture, or whole keys with a dot in front, changed or left out. */
function changed(changes: Readonly<Record<string, GgufValue | undefined>>, arch = "bitnet-b1.58") {
  const metadata = new Map<string, GgufValue>();
  for (const [key, value] of tiny.metadata) metadata.set(key.replace(/^bitnet-b1\.58/, arch), value);
  metadata.set("general.architecture", arch);
  for (const [name, value] of Object.entries(changes)) {
    const key = name.startsWith(".") ? name.slice(1) : `${arch}.${name}`;
    if (value === undefined) metadata.delete(key);
    else metadata.set(key, value);
  }
  return metadata;
}

describe("configuration", () => {
  test("both architectures give the same numbers", () => {
    const { arch, ...rest } = readConfig(tiny, changed({}, "bitnet-25"));
    assert.equal(arch, "bitnet-25");
    assert.deepEqual(rest, {
      name: "tiny",
      vocabularySize: 320,
      contextLength: 4096,
      width: 256,
      ffnWidth: 768,
      layers: 2,
      heads: 4,
      kvHeads: 2,
      headDim: 64,
      normEps: Math.fround(1e-5),
      ropeBase: 500_000,
      ropePairs: "halves",
      activation: "relu2",
    });
    const { arch: other, ...same } = readConfig(tiny);
    assert.equal(other, "bitnet-b1.58");
    assert.deepEqual(same, rest);
    assert.equal(sourcesOf({ ...tiny, metadata: changed({}, "bitnet-25") }).length, 24);
  });

  test("keys that may be absent", () => {
    const absent = { "attention.head_count_kv": undefined, "rope.dimension_count": undefined };
    const config = readConfig(tiny, changed({ ...absent, "rope.freq_base": undefined, vocab_size: undefined }));
    assert.deepEqual([config.kvHeads, config.headDim, config.ropeBase, config.vocabularySize], [4, 64, 10_000, 320]);
    assert.equal(readConfig(tiny, changed({ ".general.name": undefined })).name, "bitnet-b1.58");
  });

  test("an architecture that is none of ours", () => {
    const known = "bitnet-b1.58 or bitnet-25 or bitnet or llama or qwen3";
    for (const arch of ["gemma3", "qwen35", "", "toString", "__proto__"]) {
      assert.throws(() => readConfig(tiny, changed({}, arch)), {
        code: "MODEL_ARCH",
        message: `general.architecture: expected ${known}, got "${arch}". Use a model of one of these architectures.`,
      });
    }
    assert.throws(() => readConfig(tiny, changed({}, "qwen3moe")), {
      code: "MODEL_ARCH",
      message: `general.architecture: expected ${known}, got "qwen3moe". Models of several experts do not run here.`,
    });
  });

  test("what would be computed wrongly if it were ignored", () => {
    for (const [key, value, message] of [
      [".prism.hadamard.block", 128, "prism.hadamard.block: expected weights that are not rotated (Hadamard), got 128"],
      ["expert_count", 8, "bitnet-b1.58.expert_count: expected a model without experts, got 8"],
      ["attention.value_length", 32, "bitnet-b1.58.attention.value_length: expected that of keys, 64, got 32"],
      ["rope.dimension_count", 32, "bitnet-b1.58.rope.dimension_count: expected all 64 elements of a head, got 32"],
      [
        "rope.scaling.type",
        "longrope",
        'bitnet-b1.58.rope.scaling.type: expected none, linear or yarn, got "longrope"',
      ],
    ] as const) {
      const metadata = changed({ "attention.key_length": 64, [key]: value });
      assert.throws(() => readConfig(tiny, metadata), {
        code: "MODEL_ARCH",
        message: `metadata key ${message}. Such a model cannot run here.`,
      });
    }
    assert.throws(() => sourcesOf(withTensors({ "blk.0.attn_q.bias": { dims: [256] } })), {
      code: "MODEL_ARCH",
      message: "blk.0.attn_q.bias: expected a model without biases, got this tensor. It cannot run here.",
    });
  });

  test("a scaled RoPE: linear divides all angles, by 1 it is none; YaRN stretches the slow pairs", () => {
    const scaled = (type: string, factor: number) =>
      readConfig(tiny, changed({ "rope.scaling.type": type, "rope.scaling.factor": factor }));
    assert.equal(scaled("linear", 1).ropeFactors, undefined);
    assert.deepEqual(scaled("linear", 4).ropeFactors, Array(32).fill(4));
    const { ropeFactors = [], ropeMagnitude } = scaled("yarn", 4);
    assert.deepEqual([ropeFactors[0], ropeFactors.at(-1)], [1, 4]);
    assert.deepEqual(ropeFactors, [...ropeFactors].sort());
    assert.equal(ropeMagnitude, 1 + 0.1 * Math.log(4));
  });

  test("an error names the key, what was expected and what was found", () => {
    for (const [key, value, expected, got] of [
      ["embedding_length", undefined, "an integer from 128 to 65536", "nothing"],
      ["embedding_length", 0, "an integer from 128 to 65536", "0"],
      ["embedding_length", "256", "an integer from 128 to 65536", '"256"'],
      ["attention.head_count", 2.5, "an integer from 1 to 1024", "2.5"],
      ["attention.head_count_kv", 5, "an integer from 1 to 4", "5"],
      ["attention.head_count_kv", 3, "a divisor of head_count 4", "3"],
      ["vocab_size", 2 ** 40, "an integer from 1 to 16777216", "1099511627776"],
      ["vocab_size", 2n ** 63n, "an integer from 1 to 16777216", "9223372036854775808"],
      ["context_length", -1, "an integer from 1 to 16777216", "-1"],
      [
        "feed_forward_length",
        { type: "I32", values: Int32Array.of(768) },
        "an integer from 128 to 1048576",
        "an array of 1 I32",
      ],
      ["block_count", 0, "an integer from 1 to 1000", "0"],
      ["block_count", true, "an integer from 1 to 1000", "true"],
      ["attention.layer_norm_rms_epsilon", undefined, "a number from 1e-12 to 0.01", "nothing"],
      ["attention.layer_norm_rms_epsilon", Number.NaN, "a number from 1e-12 to 0.01", "NaN"],
      ["rope.freq_base", 0, "a number from 1 to 1000000000000", "0"],
      ["rope.freq_base", Number.POSITIVE_INFINITY, "a number from 1 to 1000000000000", "Infinity"],
      [".general.architecture", 7, "a string", "7"],
    ] as const) {
      const name = key.startsWith(".") ? key.slice(1) : `bitnet-b1.58.${key}`;
      const end = "The file is damaged or was converted wrongly.";
      const message = `metadata key ${name}: expected ${expected}, got ${got}. ${end}`;
      assert.throws(() => readConfig(tiny, changed({ [key]: value })), { code: "MODEL_KEY", message });
    }
  });
});
