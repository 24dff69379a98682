/** Attention of many rows, together and alone, against a softmax in float64; each row's bits are those it has alone. */
import assert from "node:assert/strict";
import { type Attention, attend, CHUNK, partialBytes } from "../../../src/backend/gpu/kernels/attend.js";
import { type CacheData, type CacheShape, cacheAt, cacheData, cacheOf } from "./cache.js";
import { kernelTest } from "./harness.js";
import { generator } from "./random.js";

const SLOTS = 3;

for (const { heads, kvHeads, headDim } of [
  { heads: 4, kvHeads: 1, headDim: 64 },
  { heads: 6, kvHeads: 2, headDim: 32 },
  { heads: 2, kvHeads: 2, headDim: 24 },
  { heads: 5, kvHeads: 1, headDim: 128 },
]) {
  kernelTest(`attention of 23 rows: ${heads} heads, ${kvHeads} kv of ${headDim}`, async (h) => {
    const random = generator(heads * headDim);
    const noise = (n: number) => Float32Array.from({ length: n }, () => (random() % 2001) / 1000 - 1);
    // a prompt across a chunk's end, then rows of other slots between each other
    const prompt = Array.from({ length: 14 }, (_, i) => ({ slot: 1, position: CHUNK - 7 + i }));
    const others = [0, 300, 1, 127, 128, 255, 256, 5, 260].map((position, i) => ({ slot: i % SLOTS, position }));
    const rows = [...prompt, ...others];
    const shape = { slots: SLOTS, slotBlocks: 3, kvHeads, headDim };
    const past = cacheData(shape, noise);
    const cache = await cacheOf(h, shape, past);
    const queries = noise(rows.length * heads * headDim);
    const attended = async (some: readonly (typeof rows)[number][], first: number) => {
      const width = heads * headDim;
      const all: Attention = {
        heads,
        rows: some.length,
        q: await h.from(queries.subarray(first * width, (first + some.length) * width)),
        cache,
        slots: await h.from(Int32Array.from(some, ({ slot }) => slot)),
        positions: await h.from(Int32Array.from(some, ({ position }) => position)),
        partials: await h.zeros(partialBytes({ heads, cache, rows: some.length })),
        out: await h.zeros(4 * some.length * width),
        longest: Math.max(...some.map(({ position }) => position)),
      };
      await h.run(...attend(all));
      return h.floats(all.out);
    };
    const together = await attended(rows, 0);
    for (const [i, row] of rows.entries()) {
      const own = together.subarray(i * heads * headDim, (i + 1) * heads * headDim);
      assert.deepEqual(await attended([row], i), own.slice(), `row ${i} alone`);
      const want = softmaxMix(row, queries.subarray(i * heads * headDim), { heads, shape, past });
      own.forEach((value, j) => {
        assert.ok(Math.abs(value - want[j]) < 3e-6, `row ${i}, element ${j}: expected ${want[j]}, got ${value}`);
      });
    }
  });
}

function softmaxMix(
  { slot, position }: { slot: number; position: number },
  q: Float32Array,
  { heads, shape, past: { keys, values } }: { heads: number; shape: CacheShape; past: CacheData },
): Float64Array {
  const { kvHeads, headDim } = shape;
  const out = new Float64Array(heads * headDim);
  for (let h = 0; h < heads; h++) {
    const at = (p: number) => cacheAt(shape, slot, Math.floor(h / (heads / kvHeads)), p);
    const weights = Array.from({ length: position + 1 }, (_, p) => {
      let score = 0;
      for (let i = 0; i < headDim; i++) score += q[h * headDim + i] * keys[at(p) + i];
      return Math.exp(score / Math.sqrt(headDim));
    });
    const sum = weights.reduce((x, y) => x + y);
    weights.forEach((weight, p) => {
      for (let i = 0; i < headDim; i++) out[h * headDim + i] += (weight / sum) * values[at(p) + i];
    });
  }
  return out;
}
