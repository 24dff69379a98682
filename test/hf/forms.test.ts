/**
 * Models in the form that Hugging Face publishes, against the goldens that their weights are of: the same logits from every
 * form of ternary weights and of files, and from the GGUF file.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Engine } from "../../src/index.js";
import { type Golden, type GoldenName, loadGolden, rowErrors } from "../golden.js";
import { type DirectoryOptions, writeDirectory } from "./directory.js";

/** Up to the first activation that is rounded otherwise than in float64: test/golden/README.md. */
const UNFLIPPED = 1e-5;
const FLIPPED = 5e-2;

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ternion-hf-"));
});
after(() => rm(folder, { recursive: true }));

/** The CPU loads made bytes in a way of its own; the others are cheaper on the reference backend. */
const backendOf = (name: GoldenName) => (name === "gqa" ? "cpu" : "reference");

async function logitsOf(name: GoldenName, path: string, { tokens }: Golden): Promise<Float32Array> {
  const options = {
    backend: backendOf(name),
    threads: 1,
    contextLength: 64,
    strict: true,
    tuning: { kv: "f32" },
  } as const;
  await using engine = await Engine.load(path, options);
  return (await engine.trace(tokens)).get("logits")?.data ?? new Float32Array();
}

const FORMS: readonly (readonly [name: GoldenName, what: string, options: DirectoryOptions])[] = [
  ["tiny", "packed, the scale multiplies", {}],
  ["tiny", "packed, the scale divides, in three files", { linearClass: "bitlinear", shards: 3 }],
  ["tiny", "codes as floats", { form: "unpacked" }],
  ["tiny", "master weights, online", { form: "master" }],
  ["tiny", "master weights that nothing is said of", { form: "master", unsaid: true }],
  ["gqa", "packed", {}],
  ["llama-q8", "floats, a head of its own", {}],
  [
    "llama-ropefreqs",
    "the RoPE of Llama 3.1",
    {
      config: {
        rope_theta: undefined,
        rope_parameters: {
          rope_type: "llama3",
          rope_theta: 500_000,
          factor: 8,
          low_freq_factor: 1,
          high_freq_factor: 4,
          original_max_position_embeddings: 128,
        },
      },
    },
  ],
  ["qwen3-q2", "norms of heads, in two files", { shards: 2 }],
  ["qwen3-yarn", "YaRN", {}],
];

describe("logits of a directory", () => {
  for (const [name, what, options] of FORMS) {
    it(`${name}: ${what}`, async () => {
      const golden = await loadGolden(name);
      const path = await writeDirectory(golden.path, join(folder, `${name} ${what}`), options);
      const errors = rowErrors(await logitsOf(name, path, golden), golden.tensor("logits"), golden.tokens.length);
      const flipped = errors.findIndex((error) => error > UNFLIPPED);
      assert.ok(flipped === -1 || flipped >= 3, `row ${flipped}: ${errors[flipped]}`);
      for (const error of errors) assert.ok(error <= FLIPPED, `${error}`);
    });
  }
});
