/**
 * Attention over float32 and 16-bit caches against a float64 oracle, through the backend: contexts around the chunk of 128
 * positions, several head sizes, heads that share a key-value head in fours and alone.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Backend, CacheShape } from "../../../src/backend/backend.js";
import { CpuBackend } from "../../../src/backend/cpu/cpu.js";
import { rowErrors } from "../../golden.js";
import { Random } from "../../random.js";

const CASES = [
  { headDim: 64, heads: 2, kvHeads: 1 },
  { headDim: 128, heads: 8, kvHeads: 2 },
  { headDim: 128, heads: 5, kvHeads: 1 },
  { headDim: 24, heads: 3, kvHeads: 3 },
];
const CONTEXTS = [1, 2, 9, 127, 128, 129, 300];
/** of the norm of a head's result; 16 bits leave an error of about 2^-13 in keys and queries */
const TOLERANCE = { f32: 2e-6, i16: 1e-3 } as const;

type Rows = readonly Float32Array[];

/** Attention of the last of q's rows, head by head. */
function oracle(q: Float32Array, keys: Rows, values: Rows, { headDim, heads, kvHeads }: (typeof CASES)[number]) {
  const out = new Float32Array(heads * headDim);
  for (let h = 0; h < heads; h++) {
    const kv = Math.floor(h / (heads / kvHeads)) * headDim;
    const scores = keys.map((k) => {
      let sum = 0;
      for (let i = 0; i < headDim; i++) sum += q[h * headDim + i] * k[kv + i];
      return sum / Math.sqrt(headDim);
    });
    const max = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - max));
    const total = weights.reduce((a, b) => a + b);
    for (let i = 0; i < headDim; i++) {
      out[h * headDim + i] = weights.reduce((sum, w, p) => sum + w * values[p][kv + i], 0) / total;
    }
  }
  return out;
}

/** Feeds `context` positions one by one into slot 1 of layer 1; gives the last row's attention and what went in. */
async function run(b: Backend, shape: CacheShape, heads: number, context: number) {
  const random = new Random(context);
  const [qWidth, kvWidth] = [heads * shape.headDim, shape.kvHeads * shape.headDim];
  const row = (width: number) => Float32Array.from({ length: width }, () => random.gaussian());
  const [q, k, v, out] = [b.tensor(1, qWidth), b.tensor(1, kvWidth), b.tensor(1, kvWidth), b.tensor(1, qWidth)];
  const cache = b.cache(shape);
  const [keys, values]: [Float32Array[], Float32Array[]] = [[], []];
  for (let position = 0; position < context; position++) {
    b.write(q, row(qWidth));
    b.write(k, row(kvWidth));
    b.write(v, row(kvWidth));
    const zero = Int32Array.of(0);
    b.begin({ tokens: zero, slots: Int32Array.of(1), positions: Int32Array.of(position), outputs: zero });
    b.ropeStore(cache, 1, { q, k, v });
    if (position === context - 1) b.attend(out, q, cache, 1);
    await b.run();
    keys.push(await b.read(k, 0, 1)); // rotated
    values.push(await b.read(v, 0, 1));
  }
  return { got: await b.read(out, 0, 1), q: await b.read(q, 0, 1), keys, values };
}

for (const type of ["f32", "i16"] as const) {
  describe(`attention over a cache of ${type}`, () => {
    for (const shape of CASES) {
      test(`${shape.heads} heads of ${shape.headDim} over ${shape.kvHeads}`, async () => {
        for (const context of CONTEXTS) {
          const b = await CpuBackend.create({ threads: 2, maxRows: 1 });
          try {
            const { headDim, kvHeads, heads } = shape;
            const cache = { layers: 2, slots: 2, positions: 300, kvHeads, headDim, ropeBase: 10_000, type };
            const { got, q, keys, values } = await run(b, cache, heads, context);
            const errors = rowErrors(got, oracle(q, keys, values, shape), heads);
            for (const error of errors) assert.ok(error <= TOLERANCE[type], `context ${context}: ${error}`);
          } finally {
            await b.close();
          }
        }
      });
    }
  });
}
