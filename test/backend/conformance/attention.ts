/** Rotary embedding, the key-value cache and attention, against a cache of float64 rows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Backend, Cache, CacheShape, Tensor } from "../../../src/backend/backend.js";
import type { Variant } from "../../backends.js";
import { assertNear, batchOf, dot, MAX_ROWS, rowOf, runOps, uniform, withBackend } from "./common.js";

/** Keys and values as the backend should hold them: rotated, by layer, slot and position. */
class OracleCache {
  readonly keys = new Map<string, Float64Array>();
  readonly values = new Map<string, Float64Array>();
  constructor(readonly shape: CacheShape) {}

  store(at: string, position: number, k: ArrayLike<number>, v: ArrayLike<number>): void {
    this.keys.set(`${at}/${position}`, rotated(k, this.shape, position));
    this.values.set(`${at}/${position}`, Float64Array.from(v));
  }

  attend(at: string, position: number, q: ArrayLike<number>): Float64Array {
    const { headDim, kvHeads } = this.shape;
    const heads = q.length / headDim;
    const out = new Float64Array(q.length);
    for (let h = 0; h < heads; h++) {
      const from = Math.floor(h / (heads / kvHeads)) * headDim;
      const query = Float64Array.from({ length: headDim }, (_, i) => q[h * headDim + i]);
      const past = Array.from({ length: position + 1 }, (_, p) => `${at}/${p}`);
      const head = (row: Float64Array | undefined) => row?.subarray(from, from + headDim) ?? assert.fail("not stored");
      const weights = past.map((p) => Math.exp(dot(query, head(this.keys.get(p))) / Math.sqrt(headDim)));
      const sum = weights.reduce((a, b) => a + b);
      past.forEach((p, j) => {
        head(this.values.get(p)).forEach((v, i) => {
          out[h * headDim + i] += (weights[j] / sum) * v;
        });
      });
    }
    return out;
  }
}

function rotated(x: ArrayLike<number>, { headDim, ropeBase }: CacheShape, position: number): Float64Array {
  const out = Float64Array.from(x);
  for (let start = 0; start < x.length; start += headDim) {
    for (let i = 0; i < headDim / 2; i++) {
      const angle = position * ropeBase ** ((-2 * i) / headDim);
      const [a, b] = [start + i, start + i + headDim / 2];
      out[a] = x[a] * Math.cos(angle) - x[b] * Math.sin(angle);
      out[b] = x[b] * Math.cos(angle) + x[a] * Math.sin(angle);
    }
  }
  return out;
}

/** Puts random keys and values for `count` positions into one layer and slot of both caches. */
async function fill(
  b: Backend,
  where: { cache: Cache; layer: number; slot: number; qkv: { q: Tensor; k: Tensor; v: Tensor } },
  oracle: OracleCache,
  count: number,
): Promise<void> {
  const { cache, layer, slot, qkv } = where;
  const { width } = qkv.k;
  for (let first = 0; first < count; first += MAX_ROWS) {
    const rows = Math.min(MAX_ROWS, count - first);
    const seed = 1000 * (10 * layer + slot) + first;
    const [k, v] = [uniform(rows * width, seed, 2), uniform(rows * width, seed + 1)];
    b.write(qkv.k, k);
    b.write(qkv.v, v);
    const positions = Int32Array.from({ length: rows }, (_, i) => first + i);
    const batch = batchOf(rows, { positions, slots: new Int32Array(rows).fill(slot) });
    await runOps(b, batch, () => b.ropeStore(cache, layer, qkv));
    for (let row = 0; row < rows; row++) {
      oracle.store(`${layer}/${slot}`, first + row, rowOf(k, row, width), rowOf(v, row, width));
    }
  }
}

export function attention(variant: Variant): void {
  const shapes = [
    { heads: 4, kvHeads: 2, headDim: 64 },
    { heads: 5, kvHeads: 1, headDim: 128 },
    { heads: 3, kvHeads: 3, headDim: 16 },
    { heads: 12, kvHeads: 2, headDim: 8 },
  ];

  /** Caches of 320 positions, two layers and two slots, of which (1, 0) and (1, 1) are full. */
  async function withCaches(
    { heads, kvHeads, headDim }: (typeof shapes)[number],
    use: (parts: {
      b: Backend;
      cache: Cache;
      oracle: OracleCache;
      qkv: { q: Tensor; k: Tensor; v: Tensor };
    }) => Promise<void>,
  ): Promise<void> {
    await withBackend(variant, [], async (b) => {
      const shape = { layers: 2, slots: 2, positions: 320, kvHeads, headDim, ropeBase: 10_000 };
      const [cache, oracle] = [b.cache(shape), new OracleCache(shape)];
      const [q, k, v] = [heads, kvHeads, kvHeads].map((n) => b.tensor(MAX_ROWS, n * headDim));
      for (const slot of [0, 1]) await fill(b, { cache, layer: 1, slot, qkv: { q, k, v } }, oracle, 300);
      await use({ b, cache, oracle, qkv: { q, k, v } });
    });
  }

  for (const shape of shapes) {
    const { heads, kvHeads, headDim } = shape;
    test(`attend over contexts across chunks, slots apart: ${heads} heads, ${kvHeads} kv, ${headDim} wide`, async () => {
      await withCaches(shape, async ({ b, cache, oracle, qkv: { q } }) => {
        const [width, out] = [q.width, b.tensor(MAX_ROWS, q.width)];
        const contexts = [1, 2, 127, 128, 129, 255, 256, 257, 300];
        const input = uniform(MAX_ROWS * width, 5, 2);
        b.write(q, input);
        const check = async (rows: { position: number; slot: number }[]) => {
          const positions = Int32Array.from(rows, ({ position }) => position);
          const slots = Int32Array.from(rows, ({ slot }) => slot);
          await runOps(b, batchOf(rows.length, { positions, slots }), () => b.attend(out, q, cache, 1));
          const got = await b.read(out, 0, rows.length);
          for (const [row, { position, slot }] of rows.entries()) {
            const want = oracle.attend(`1/${slot}`, position, rowOf(input, row, width));
            assertNear(
              rowOf(got, row, width),
              want,
              `${position + 1} positions of slot ${slot}, ${rows.length} rows`,
              3e-6,
            );
          }
        };
        for (const context of contexts) await check([{ position: context - 1, slot: context % 2 }]);
        await check(contexts.map((context, i) => ({ position: context - 1, slot: i % 2 })));
        assert.deepEqual(await b.read(q, 0, MAX_ROWS), input, "the query is not touched");
      });
    });
  }

  test("ropeStore rotates q and k in place, and what the batch stored is seen, row by row", async () => {
    await withCaches(shapes[0], async ({ b, cache, oracle, qkv }) => {
      const out = b.tensor(MAX_ROWS, qkv.q.width);
      // two timelines of layer 0 side by side, and layer 1 of the same slots stays as it is
      const rows = Array.from({ length: 12 }, (_, i) => ({ slot: i % 2, position: Math.floor(i / 2) }));
      const input = { q: uniform(12 * 256, 1), k: uniform(12 * 128, 2), v: uniform(12 * 128, 3) };
      for (const name of ["q", "k", "v"] as const) b.write(qkv[name], input[name]);
      const positions = Int32Array.from(rows, ({ position }) => position);
      const slots = Int32Array.from(rows, ({ slot }) => slot);
      await runOps(b, batchOf(12, { positions, slots }), () => {
        b.ropeStore(cache, 0, qkv);
        b.attend(out, qkv.q, cache, 0);
      });
      for (const [row, { slot, position }] of rows.entries()) {
        const [k, v] = [rowOf(input.k, row, 128), rowOf(input.v, row, 128)];
        oracle.store(`0/${slot}`, position, k, v);
        const q = rotated(rowOf(input.q, row, 256), oracle.shape, position);
        assertNear(await b.read(qkv.q, row, 1), q, `q, row ${row}`);
        assertNear(await b.read(qkv.k, row, 1), rotated(k, oracle.shape, position), `k, row ${row}`);
        assert.deepEqual(await b.read(qkv.v, row, 1), v.slice());
        assertNear(await b.read(out, row, 1), oracle.attend(`0/${slot}`, position, q), `row ${row}`);
      }
      await runOps(b, batchOf(1, { positions: Int32Array.of(200) }), () => b.attend(out, qkv.q, cache, 1));
      const q = await b.read(qkv.q, 0, 1);
      assertNear(await b.read(out, 0, 1), oracle.attend("1/0", 200, q), "another layer", 3e-6);
    });
  });

  test("the angles are right at far positions", async () => {
    await withBackend(variant, [], async (b) => {
      const shape = { layers: 1, slots: 1, positions: 4096, kvHeads: 1, headDim: 128, ropeBase: 500_000 };
      const cache = b.cache(shape);
      const [q, k, v] = [1, 2, 3].map(() => b.tensor(MAX_ROWS, 128));
      const input = uniform(128, 1);
      for (const position of [1, 1000, 4095]) {
        b.write(q, input);
        await runOps(b, batchOf(1, { positions: Int32Array.of(position) }), () => b.ropeStore(cache, 0, { q, k, v }));
        assertNear(await b.read(q, 0, 1), rotated(input, shape, position), `position ${position}`);
      }
    });
  });

  test("softmax bears scores far apart", async () => {
    await withBackend(variant, [], async (b) => {
      const shape = { layers: 1, slots: 1, positions: 256, kvHeads: 1, headDim: 8, ropeBase: 10_000 };
      const [cache, oracle] = [b.cache(shape), new OracleCache(shape)];
      const [q, k, v, out] = [1, 2, 3, 4].map(() => b.tensor(MAX_ROWS, 8));
      await fill(b, { cache, layer: 0, slot: 0, qkv: { q, k, v } }, oracle, 200);
      // scores from about -600 to 600: naive exponentials would overflow float32
      const query = uniform(8, 6, 300);
      b.write(q, query);
      await runOps(b, batchOf(1, { positions: Int32Array.of(199) }), () => b.attend(out, q, cache, 0));
      assertNear(await b.read(out, 0, 1), oracle.attend("0/0", 199, query), "out", 1e-4);
    });
  });
}
