/**
 * What engines got wrong when they printed fluent garbage, done to the model in the box one thing at a time: perplexity on
 * held-out text must rise by the factor that each is known to cost, so that a check of perplexity would have caught it.
 */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Backend, Quantized, Weight, WeightSource } from "../../src/backend/backend.js";
import { CpuBackend } from "../../src/backend/cpu/cpu.js";
import { roundHalfEven } from "../../src/backend/formulas.js";
import { ReferenceBackend } from "../../src/backend/reference.js";
import { openGguf } from "../../src/engine/input.js";
import { createTokenizer } from "../../src/engine/text.js";
import { type ModelConfig, readConfig } from "../../src/model/config.js";
import { createActivations, forward } from "../../src/model/forward.js";
import { loadWeights, weightSources } from "../../src/model/weights.js";
import { openFile } from "../../src/platform/file-bytes.js";
import { repositoryFile } from "../golden.js";

const TOKENS = 128;

interface Breakage {
  /** changes the bytes of one of the file's tensors */
  readonly damage?: (bytes: Buffer, source: WeightSource, config: ModelConfig) => void;
  readonly config?: (config: ModelConfig) => ModelConfig;
  /** ops that do something else; `identity` is a norm weight that, with eps 1e12, gives a row of its width back */
  readonly ops?: (b: Backend, identity: (width: number) => Weight) => Partial<Backend>;
  /** the quantised rows of all norms share one scale, which only the reference backend lets a test do */
  readonly oneScale?: true;
}

/** `factor`: what perplexity must be multiplied by at least, about half of what was measured; 1: it hardly moves. */
const BREAKAGES: readonly { name: string; factor: number; breakage: Breakage }[] = [
  {
    name: "all scales left at 1",
    factor: 1.3,
    breakage: { damage: (bytes, { type }) => void (type === "I2_S" && bytes.writeFloatLE(1, bytes.byteLength - 32)) },
  },
  {
    name: "sub-norms skipped",
    factor: 25,
    breakage: {
      ops: (b, identity) => ({
        normQuantize: (out, x, weight, eps) => {
          if (weight.name.includes("sub_norm")) b.normQuantize(out, x, identity(x.width), 1e12);
          else b.normQuantize(out, x, weight, eps);
        },
      }),
    },
  },
  {
    name: "SiLU in place of relu2",
    factor: 1000,
    breakage: { config: (config) => ({ ...config, activation: "silu" }) },
  },
  { name: "RoPE of neighbouring pairs", factor: 9, breakage: { damage: neighbouringPairs } },
  {
    name: "codes one off",
    factor: 1000,
    breakage: { damage: (bytes, { type }) => void (type === "I2_S" && shiftCodes(bytes.subarray(0, -32))) },
  },
  { name: "one scale for the activations of all rows", factor: 1, breakage: { oneScale: true } },
];

describe("perplexity catches what printed garbage", () => {
  let directory: string;
  const sound = new Map<string, number>();
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "ternion-garbage-"));
    sound.set("cpu", await perplexity({}, directory));
    sound.set("reference", await perplexity({ oneScale: true }, directory, false));
  });
  after(() => rm(directory, { recursive: true }));

  test("the sound model is as good as it is known to be, on both backends", () => {
    const [cpu, reference] = [sound.get("cpu") ?? 0, sound.get("reference") ?? 0];
    assert.ok(cpu > 2 && cpu < 12, `${cpu}`);
    assert.ok(Math.abs(cpu / reference - 1) < 0.01, `${cpu} and ${reference}`);
  });
  for (const { name, factor, breakage } of BREAKAGES) {
    test(`${name}: ${factor === 1 ? "hardly a change" : `at least ${factor} times`}`, async (t) => {
      const base = sound.get(breakage.oneScale ? "reference" : "cpu") ?? Number.NaN;
      const broken = await perplexity(breakage, directory);
      t.diagnostic(`perplexity ${broken.toFixed(1)}, ${(broken / base).toFixed(3)} times`);
      if (factor === 1) assert.ok(Math.abs(broken / base - 1) < 0.05, `${broken}, sound ${base}`);
      else assert.ok(broken >= factor * base, `${broken}, sound ${base}`);
    });
  }
});

async function perplexity(breakage: Breakage, directory: string, broken = true): Promise<number> {
  const path = repositoryFile("models/ternion-tiny.gguf");
  const file = await openGguf(path);
  const config = readConfig(file);
  const sources = await damaged(weightSources(file, config), config, breakage, directory);
  const tokenizer = createTokenizer(file.metadata);
  const text = await readFile(repositoryFile("models/held-out.txt"), "utf8");
  const ids = tokenizer.encode(text.slice(0, 4000)).slice(0, TOKENS + 1);

  const backend = breakage.oneScale ? new ReferenceBackend() : await CpuBackend.create({ threads: 2, maxRows: TOKENS });
  try {
    const logits = await logitsOf(backend, { config, sources, ids, breakage: broken ? breakage : {} }, directory);
    const { vocabularySize } = config;
    let loss = 0;
    for (let i = 0; i < TOKENS; i++) {
      const row = logits.subarray(i * vocabularySize, (i + 1) * vocabularySize);
      const most = row.reduce((a, b) => Math.max(a, b));
      loss += Math.log(row.reduce((sum, value) => sum + Math.exp(value - most), 0)) + most - row[ids[i + 1]];
    }
    return Math.exp(loss / TOKENS);
  } finally {
    await backend.close();
  }
}

async function logitsOf(
  backend: Backend,
  parts: { config: ModelConfig; sources: WeightSource[]; ids: readonly number[]; breakage: Breakage },
  directory: string,
): Promise<Float32Array> {
  const { sources, ids, breakage } = parts;
  const config = breakage.config?.(parts.config) ?? parts.config;
  const constants: Weight[] = [];
  const load = async (all: readonly WeightSource[]) => {
    const identities = await identityNorms([config.width, config.ffnWidth], directory);
    const loaded = await backend.load([...all, ...identities]);
    constants.push(...loaded.slice(all.length));
    return loaded.slice(0, all.length);
  };
  const weights = await loadWeights(
    sources,
    config,
    { kind: backend.kind, takes: backend.takes, features: backend.features, load },
    {},
  );
  const identity = (width: number) => constants.find(({ columns }) => columns === width) as Weight;
  const overrides = breakage.ops?.(backend, identity) ?? {};
  const b = new Proxy(backend, {
    get(target, key) {
      const method = Reflect.get(overrides, key) ?? Reflect.get(target, key, target);
      return typeof method === "function" ? method.bind(target) : method;
    },
  });
  const { layers, kvHeads, headDim, ropeBase } = config;
  const cache = b.cache({ layers, slots: 1, positions: TOKENS, kvHeads, headDim, ropeBase, type: "f32" });
  const activations = createActivations(b, config, TOKENS, TOKENS);
  const head = await b.head(weights.head, TOKENS, 1);
  if (breakage.oneScale) {
    // a mark is met between the rounding of a row and the matrices that take it
    b.setTracer((name) => {
      if (name.endsWith("_norm")) shareScale(name.endsWith("ffn_sub_norm") ? activations.g : activations.h);
    });
  }
  const rows = Int32Array.from({ length: TOKENS }, (_, i) => i);
  const batch = { tokens: rows.map((i) => ids[i]), slots: new Int32Array(TOKENS), positions: rows, outputs: rows };
  forward(b, { config, weights, cache, head, activations }, batch);
  await b.run();
  return b.read(activations.logits, 0, TOKENS);
}

/** Rounds all rows of the reference backend's quantised input by the largest value of them all. */
function shareScale(quantized: Quantized): void {
  const { normed, values, scales, width } = quantized as unknown as {
    normed: { row(i: number): Float64Array };
    values: Int8Array;
    scales: Float64Array;
    width: number;
  };
  const all = Array.from({ length: TOKENS }, (_, row) => normed.row(row));
  const absmax = all.reduce((most, row) => row.reduce((max, y) => Math.max(max, Math.abs(y)), most), 1e-5);
  all.forEach((row, i) => {
    scales[i] = absmax / 127;
    row.forEach((y, column) => {
      values[i * width + column] = Math.max(-128, Math.min(127, roundHalfEven((y * 127) / absmax)));
    });
  });
}

/** The sources, with their bytes in a changed copy of the file where the breakage damages any. */
async function damaged(
  sources: WeightSource[],
  config: ModelConfig,
  { damage }: Breakage,
  directory: string,
): Promise<WeightSource[]> {
  if (damage === undefined) return sources;
  const bytes = await readFile(sources[0].bytes.name);
  for (const source of sources)
    damage(bytes.subarray(source.offset, source.offset + source.byteLength), source, config);
  const path = join(directory, "damaged.gguf");
  await writeFile(path, bytes);
  const changed = await openFile(path);
  return sources.map((source) => ({ ...source, bytes: changed }));
}

/** Norm weights of 1e6: with eps 1e12 they take a norm away. */
async function identityNorms(widths: readonly number[], directory: string): Promise<WeightSource[]> {
  return Promise.all(
    widths.map(async (width) => {
      const path = join(directory, `identity-${width}`);
      await writeFile(path, new Uint8Array(new Float32Array(width).fill(1e6).buffer));
      return {
        name: `identity ${width}`,
        type: "F32",
        rows: 1,
        columns: width,
        bytes: await openFile(path),
        offset: 0,
        byteLength: 4 * width,
      };
    }),
  );
}

/** Rows of queries and keys in the order in which halves that are rotated stand for neighbouring pairs. */
function neighbouringPairs(bytes: Buffer, { name, rows, columns }: WeightSource, { headDim }: ModelConfig): void {
  if (!/attn_[qk]\.weight$/.test(name)) return;
  const rowBytes = columns / 4;
  const before = Buffer.from(bytes);
  for (let row = 0; row < rows; row++) {
    const [head, i] = [Math.floor(row / headDim), row % headDim];
    const from = head * headDim + (i < headDim / 2 ? 2 * i : 2 * (i - headDim / 2) + 1);
    before.copy(bytes, row * rowBytes, from * rowBytes, (from + 1) * rowBytes);
  }
}

/** Each code's next: -1 becomes 0, 0 becomes 1, 1 becomes -1. */
function shiftCodes(codes: Buffer): void {
  for (let i = 0; i < codes.length; i++) {
    let byte = 0;
    for (let shift = 0; shift < 8; shift += 2) byte |= ((((codes[i] >> shift) & 3) + 1) % 3) << shift;
    codes[i] = byte;
  }
}
