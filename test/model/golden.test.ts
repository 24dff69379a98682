/**
 * The forward pass against the goldens. Op by op, each op is fed with the golden input of that op, because one int8
 * activation on a rounding boundary moves everything after it by a per cent. End to end, rows agree up to the first such
 * step and stay near after it.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Backend, Batch, CacheType, Projection, Quantized, Tensor, Weight } from "../../src/backend/backend.js";
import { rotaryFrequencies, rotaryPair, roundHalfEven } from "../../src/backend/formulas.js";
import type { ModelConfig } from "../../src/model/config.js";
import { createActivations, forward, type Model } from "../../src/model/forward.js";
import { loadWeights } from "../../src/model/weights.js";
import { CPU_VARIANTS, VARIANTS, type Variant } from "../backends.js";
import { argmax, GOLDEN_FAMILIES, GOLDEN_MODELS, type Golden, loadGolden, rowErrors } from "../golden.js";

const OP_TOLERANCE = 2e-6;
const UNFLIPPED_TOLERANCE = 1e-5;
const FLIPPED_TOLERANCE = 5e-2;

/** Each model on each backend that has what it needs. */
const CASES = [...GOLDEN_MODELS, ...GOLDEN_FAMILIES].flatMap((name) => VARIANTS.map((variant) => ({ name, variant })));

async function withModel(
  variant: Variant,
  golden: Golden,
  use: (b: Backend, model: Model) => Promise<void>,
  type: CacheType = "f32",
) {
  const rows = golden.tokens.length;
  const backend = await variant.create(rows);
  try {
    const { config } = golden;
    const weights = await loadWeights(golden.sources, config, backend, {});
    const cache = backend.cache({ ...config, slots: 2, positions: 64, type });
    const activations = createActivations(backend, config, rows, rows);
    const head = await backend.head(weights.head, rows, 8);
    await use(backend, { config, weights, cache, head, activations });
  } finally {
    await backend.close();
  }
}

/** Rows `first`.. of the golden prompt in `slot`, all of them outputs. */
function batchOf(golden: Golden, first = 0, count = golden.tokens.length, slot = 0): Batch {
  const range = Int32Array.from({ length: count }, (_, i) => first + i);
  return {
    tokens: range.map((i) => golden.tokens[i]),
    slots: new Int32Array(count).fill(slot),
    positions: range,
    outputs: range.map((i) => i - first),
  };
}

/** Takes the rotary embedding off again, in float64. */
function unrotate(x: Float32Array, config: ModelConfig, rows: number): Float32Array {
  const { headDim, ropePairs, ropeMagnitude = 1 } = config;
  const out = x.slice();
  const width = x.length / rows;
  const frequencies = rotaryFrequencies(config, headDim);
  for (let start = 0; start < x.length; start += headDim) {
    const position = Math.floor(start / width);
    for (const [i, frequency] of frequencies.entries()) {
      const angle = -position * frequency;
      const [first, second] = rotaryPair(ropePairs, headDim, i).map((element) => start + element);
      const [a, b] = [x[first] / ropeMagnitude, x[second] / ropeMagnitude];
      out[first] = a * Math.cos(angle) - b * Math.sin(angle);
      out[second] = b * Math.cos(angle) + a * Math.sin(angle);
    }
  }
  return out;
}

/** Rows in which the backend rounded every activation as the golden float64 values round. */
async function unflippedRows(b: Backend, q: Quantized, normed: Float32Array, rows: number): Promise<boolean[]> {
  const { values } = await b.readQuantized(q, 0, rows);
  return Array.from({ length: rows }, (_, row) => {
    const want = normed.subarray(row * q.width, (row + 1) * q.width);
    const absmax = want.reduce((max, y) => Math.max(max, Math.abs(y)), 1e-5);
    let same = true;
    want.forEach((y, i) => {
      const exact = (y * 127) / absmax;
      const got = values[row * q.width + i];
      if (got === roundHalfEven(exact)) return;
      same = false;
      // only a value on a rounding boundary may differ, and by one step
      assert.ok(Math.abs(Math.abs(exact - Math.floor(exact)) - 0.5) < 1e-3, `row ${row}: ${exact} became ${got}`);
      assert.ok(Math.abs(got - exact) < 0.501);
    });
    return same;
  });
}

describe("op by op, each fed with its golden input", () => {
  for (const { name, variant } of CASES) {
    test(`${name} on ${variant.name}`, { skip: variant.skip }, async () => {
      const golden = await loadGolden(name);
      await withModel(variant, golden, (b, model) => checkOps(b, model, golden));
    });
  }
});

async function checkOps(b: Backend, { config, weights, cache, activations: a }: Model, golden: Golden): Promise<void> {
  const rows = golden.tokens.length;
  const batch = batchOf(golden);
  const g = (name: string) => golden.tensor(name);
  let compared = 0;

  const check = async (name: string, tensor: Tensor, only?: boolean[]) => {
    const got = await b.read(tensor, 0, rows);
    rowErrors(got, g(name), rows).forEach((error, row) => {
      if (only !== undefined && !only[row]) return;
      compared++;
      assert.ok(error <= OP_TOLERANCE, `${name}, row ${row}: ${error}`);
    });
  };
  const record = async (ops: () => void) => {
    b.begin(batch);
    ops();
    await b.run();
  };
  const normed = async (
    name: string,
    q: Quantized,
    x: { tensor: Tensor; data: Float32Array },
    norm: typeof weights.outputNorm,
  ) => {
    b.write(x.tensor, x.data);
    await record(() => b.normQuantize(q, x.tensor, norm, config.normEps));
    await check(name, q.normed);
    return unflippedRows(b, q, g(name), rows);
  };

  /** Rows times matrices of one kind; `rows` that round as in float64 where they are ternary. */
  const project = async (projections: readonly Projection[], rounded: Quantized, floats: Tensor, then = () => {}) => {
    const isTernary = weights.ternary.has(projections[0].weight);
    await record(() => {
      if (isTernary) b.ternary(projections, rounded);
      else b.linear(projections, floats);
      then();
    });
  };
  /** The input of attn_output and ffn_down, which some families normalise. */
  const subNormed = async (name: string, q: Quantized, x: { tensor: Tensor; data: Float32Array }, norm?: Weight) => {
    if (norm !== undefined) return normed(name, q, x, norm);
    b.write(x.tensor, x.data);
    await record(() => b.quantize(q, x.tensor));
    assert.deepEqual(await b.read(q.normed, 0, rows), x.data);
    return unflippedRows(b, q, x.data, rows);
  };
  const rowsOf = (weight: Weight, same: boolean[]) => (weights.ternary.has(weight) ? same : undefined);

  await record(() => b.embed(a.x, weights.embedding));
  assert.deepEqual(await b.read(a.x, 0, rows), g("embd"));
  let x = g("embd");
  for (const [i, layer] of weights.layers.entries()) {
    const at = (part: string) => `blk.${i}.${part}`;
    const { attnQNorm, attnKNorm } = layer;

    let same = rowsOf(layer.attnQ, await normed(at("attn_norm"), a.h, { tensor: a.x, data: x }, layer.attnNorm));
    const qkv = [layer.attnQ, layer.attnK, layer.attnV].map((weight, j) => ({ weight, out: [a.q, a.k, a.v][j] }));
    await project(qkv, a.h, a.h.normed, () => {
      if (attnQNorm) b.normHeads(a.q, attnQNorm, config.normEps);
      if (attnKNorm) b.normHeads(a.k, attnKNorm, config.normEps);
    });
    if (attnQNorm) {
      await check(at("q_norm"), a.q, same);
      await check(at("k_norm"), a.k, same);
    }
    await record(() => b.ropeStore(cache, i, { q: a.q, k: a.k, v: a.v }));
    await check(at("q_rope"), a.q, same);
    await check(at("k_rope"), a.k, same);
    await check(at("v"), a.v, same);

    b.write(a.q, unrotate(g(at("q_rope")), config, rows));
    b.write(a.k, unrotate(g(at("k_rope")), config, rows));
    b.write(a.v, g(at("v")));
    await record(() => {
      b.ropeStore(cache, i, { q: a.q, k: a.k, v: a.v });
      b.attend(a.context, a.q, cache, i);
    });
    await check(at("q_rope"), a.q);
    await check(at("attn_ctx"), a.context);

    const context = { tensor: a.context, data: g(at("attn_ctx")) };
    same = rowsOf(layer.attnOutput, await subNormed(at("attn_sub_norm"), a.mixed, context, layer.attnSubNorm));
    await project([{ weight: layer.attnOutput, out: a.delta }], a.mixed, a.mixed.normed);
    await check(at("attn_out"), a.delta, same);

    const attended = g(at("attn_out"));
    x = x.map((value, j) => value + attended[j]);
    same = rowsOf(layer.ffnGate, await normed(at("ffn_norm"), a.h, { tensor: a.x, data: x }, layer.ffnNorm));
    const both = [layer.ffnGate, layer.ffnUp].map((weight, j) => ({ weight, out: [a.gate, a.up][j] }));
    await project(both, a.h, a.h.normed, () => b.gate(a.gate, a.gate, a.up, config.activation));
    await check(at("ffn_act"), a.gate, same);

    const product = { tensor: a.gate, data: g(at("ffn_act")) };
    same = rowsOf(layer.ffnDown, await subNormed(at("ffn_sub_norm"), a.g, product, layer.ffnSubNorm));
    b.write(a.x, x);
    await project([{ weight: layer.ffnDown, out: a.delta, addTo: a.x }], a.g, a.g.normed);
    await check(at("ffn_down"), a.delta, same);
    await check(at("l_out"), a.x, same);
    x = g(at("l_out"));
  }
  b.write(a.x, x);
  await record(() => b.normOutputs(a.last, a.x, weights.outputNorm, config.normEps));
  await check("result_norm", a.last);
  b.write(a.last, g("result_norm"));
  await record(() => b.logits(a.logits, weights.head, a.last));
  await check("logits", a.logits);

  const possible = rows * golden.names.length;
  assert.ok(compared > 0.8 * possible, `too many rows were left out: ${compared} of ${possible} compared`);
}

describe("end to end", () => {
  for (const { name, variant } of CASES) {
    test(`${name} on ${variant.name}`, { skip: variant.skip }, async (t) => {
      const golden = await loadGolden(name);
      const rows = golden.tokens.length;
      const traced = new Map<string, Float32Array>();
      await withModel(variant, golden, async (b, model) => {
        b.setTracer((op, data) => traced.set(op, data));
        forward(b, model, batchOf(golden));
        await b.run();
      });
      // those of the heads' norms, two at once, stand in another order there
      const ours = [...traced.keys()].filter((op) => !/[qk]_norm$/.test(op));
      const theirs = golden.names.filter((op) => !/[qk]_norm$/.test(op));
      assert.deepEqual(ours, theirs, "names and order of the intermediates");
      assert.equal(traced.size, golden.names.length);
      const logits = traced.get("logits") ?? new Float32Array();
      const errors = rowErrors(logits, golden.tensor("logits"), rows);
      const flipped = errors.findIndex((error) => error > UNFLIPPED_TOLERANCE);
      t.diagnostic(`first flipped row: ${flipped === -1 ? "none" : flipped}`);
      for (const error of errors) assert.ok(error <= FLIPPED_TOLERANCE, `${error}`);
      if (variant.name === "reference") assert.equal(flipped, -1);
      else assert.ok(flipped === -1 || flipped >= 3, `row ${flipped} is too early to be a rounding step`);
      const { vocabularySize } = golden.config;
      const row = (data: Float32Array, i: number) => data.subarray(i * vocabularySize, (i + 1) * vocabularySize);
      const agree = errors.filter((_, i) => argmax(row(logits, i)) === argmax(row(golden.tensor("logits"), i)));
      assert.ok(agree.length >= 0.95 * rows, `top-1 equal on ${agree.length} of ${rows} rows`);
    });
  }
});

/** Logits of all rows, computed in chunks of `size` rows, in slot `slot`. */
async function chunkedLogits(b: Backend, model: Model, golden: Golden, size: number, slot: number) {
  const { vocabularySize } = golden.config;
  const all = new Float32Array(golden.tokens.length * vocabularySize);
  for (let first = 0; first < golden.tokens.length; first += size) {
    const count = Math.min(size, golden.tokens.length - first);
    forward(b, model, batchOf(golden, first, count, slot));
    await b.run();
    all.set(await b.read(model.activations.logits, 0, count), first * vocabularySize);
  }
  return all;
}

describe("logits are the same bits for any threads, chunks, slots and kernels", () => {
  for (const name of [...GOLDEN_MODELS, "llama-q8", "llama-tq2", "qwen3-q2"] as const) {
    for (const type of GOLDEN_MODELS.some((each) => each === name) ? (["f32", "i16"] as const) : (["i16"] as const)) {
      test(`${name} with a cache of ${type}`, async (t) => {
        const golden = await loadGolden(name);
        let first: Float32Array | undefined;
        for (const variant of CPU_VARIANTS) {
          const compare = async (b: Backend, model: Model) => {
            for (const size of [golden.tokens.length, 7, 1]) {
              const logits = await chunkedLogits(b, model, golden, size, size % 2);
              first ??= logits;
              assert.deepEqual(logits, first, `${variant.name}, chunks of ${size}`);
            }
          };
          await t.test(variant.name, { skip: variant.skip }, () => withModel(variant, golden, compare, type));
        }
        const errors = rowErrors(first ?? new Float32Array(), golden.tensor("logits"), golden.tokens.length);
        for (const error of errors) assert.ok(error <= FLIPPED_TOLERANCE, `${error}`);
      });
    }
  }
});
