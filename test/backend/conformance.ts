/**
 * What src/backend/backend.ts promises, sentence by sentence, as tests over any backend. The oracles are loops over
 * float64 that share no code with a backend.
 */
import assert from "node:assert/strict";
import { truncate } from "node:fs/promises";
import { describe, test } from "node:test";
import type { Backend, Batch, Cache, CacheShape, Tensor, Weight, WeightSource } from "../../src/backend/backend.js";
import type { Variant } from "../backends.js";
import { denseMatrix, floats, type Matrix, randomOf, randomTernary, ternaryMatrix, withFile } from "./files.js";

/** Norm of a row's difference over norm of the row. */
const TOLERANCE = 2e-6;
const MAX_ROWS = 16;
const DENSE_TYPES = ["F32", "F16", "BF16", "Q8_0", "Q6_K"] as const;

/** A backend with `matrices` loaded; the weights come in their order. */
async function withBackend(
  variant: Variant,
  matrices: readonly Matrix[],
  use: (b: Backend, weights: Weight[]) => Promise<void>,
): Promise<void> {
  const backend = await variant.create(MAX_ROWS);
  try {
    const loaded = matrices.length === 0 ? [] : await withFile(matrices, (sources) => backend.load(sources));
    await use(backend, loaded);
  } finally {
    await backend.close();
  }
}

function batchOf(count: number, parts: Partial<Batch> = {}): Batch {
  return {
    tokens: new Int32Array(count),
    slots: new Int32Array(count),
    positions: Int32Array.from({ length: count }, (_, i) => i),
    outputs: new Int32Array(),
    ...parts,
  };
}

async function runOps(b: Backend, batch: Batch, ops: () => void): Promise<void> {
  b.begin(batch);
  ops();
  await b.run();
}

function uniform(count: number, seed: number, scale = 1): Float32Array {
  const random = randomOf(seed);
  return Float32Array.from({ length: count }, () => (2 * random() - 1) * scale);
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

const rowOf = <T extends Float32Array | Float64Array | Int8Array>(data: T, row: number, width: number) =>
  data.subarray(row * width, (row + 1) * width) as T;

function assertNear(got: ArrayLike<number>, want: ArrayLike<number>, what: string, tolerance = TOLERANCE): void {
  assert.equal(got.length, want.length, what);
  const difference = Float64Array.from({ length: want.length }, (_, i) => got[i] - want[i]);
  const error = Math.sqrt(dot(difference, difference) / Math.max(dot(want, want), 1e-60));
  assert.ok(error <= tolerance, `${what}: relative error ${error}`);
}

export function conformance(variant: Variant): void {
  describe(`backend contract: ${variant.name}`, () => {
    order(variant);
    data(variant);
    tables(variant);
    norms(variant);
    projections(variant);
    attention(variant);
    gates(variant);
    independence(variant);
    marks(variant);
    loading(variant);
    ending(variant);
  });
}

function order(variant: Variant): void {
  const width = 128;
  const matrices = [
    denseMatrix({ name: "table", rows: 30, columns: width }, "F16"),
    floats("norm", new Array(width).fill(1.5)),
    randomTernary({ name: "square", rows: width, columns: width }),
  ];

  test("ops act in recording order, as if one ended before the next began", async () => {
    await withBackend(variant, matrices, async (b, [table, norm, square]) => {
      const [x, y] = [b.tensor(MAX_ROWS, width), b.tensor(MAX_ROWS, width)];
      const q = b.quantized(MAX_ROWS, width);
      const batch = batchOf(5, { tokens: Int32Array.of(3, 29, 0, 7, 7), outputs: Int32Array.of(0, 1, 2, 3, 4) });
      const ops = [
        () => b.embed(x, table),
        ...Array.from({ length: 20 }, () => [
          () => b.normQuantize(q, x, norm, 1e-5),
          () => b.ternary([{ weight: square, out: y, addTo: x }], q),
          () => b.gate(y, y, x, "silu"),
          () => b.normOutputs(x, y, norm, 1e-5),
        ]).flat(),
      ];
      for (const op of ops) await runOps(b, batch, op);
      const want = await b.read(x, 0, 5);
      for (let round = 0; round < 20; round++) {
        await runOps(b, batch, () => {
          for (const op of ops) op();
        });
        assert.deepEqual(await b.read(x, 0, 5), want, `round ${round}`);
      }
    });
  });

  test("op calls only record, and `run` empties the record", async () => {
    await withBackend(variant, matrices, async (b, [table, norm, square]) => {
      const [x, y] = [b.tensor(MAX_ROWS, width), b.tensor(MAX_ROWS, width)];
      const q = b.quantized(MAX_ROWS, width);
      b.begin(batchOf(2));
      b.embed(x, table);
      b.normQuantize(q, x, norm, 1e-5);
      b.ternary([{ weight: square, out: y, addTo: x }], q);
      assert.deepEqual(await b.read(x, 0, 2), new Float32Array(2 * width), "nothing happens before run");
      await b.run();
      const once = await b.read(x, 0, 2);
      await b.run();
      assert.deepEqual(await b.read(x, 0, 2), once, "the residual was added to once");
    });
  });

  test("`begin` copies the batch", async () => {
    await withBackend(variant, matrices, async (b, [table]) => {
      const x = b.tensor(MAX_ROWS, width);
      const batch = batchOf(2, { tokens: Int32Array.of(4, 5) });
      b.begin(batch);
      batch.tokens.fill(9);
      b.embed(x, table);
      await b.run();
      assert.deepEqual(await b.read(x, 0, 1), Float32Array.from(rowOf(matrices[0].values, 4, width)));
    });
  });
}

function data(variant: Variant): void {
  test("`write` fills the first rows; `read` copies any rows", async () => {
    await withBackend(variant, [], async (b) => {
      const [x, other] = [b.tensor(MAX_ROWS, 48), b.tensor(MAX_ROWS, 48)];
      const all = uniform(MAX_ROWS * 48, 1);
      b.write(x, all);
      b.write(other, uniform(MAX_ROWS * 48, 2));
      const mine = uniform(2 * 48, 3);
      b.write(x, mine);
      const kept = mine.slice();
      mine.fill(0);
      assert.deepEqual(await b.read(x, 0, 2), kept);
      assert.deepEqual(await b.read(x, 2, MAX_ROWS - 2), all.subarray(2 * 48).slice());
      (await b.read(x, 0, 2)).fill(7);
      assert.deepEqual(await b.read(x, 1, 1), kept.slice(48));
      assert.equal((await b.read(x, 0, 0)).length, 0);
    });
  });
}

/** A table as embedding and as head, in each dense type, and of both kinds at once. */
function tables(variant: Variant): void {
  const [rows, width] = [37, 512];
  const matrices = [
    ...DENSE_TYPES.map((type, i) => denseMatrix({ name: type, rows, columns: width }, type, i + 1)),
    floats("norm", uniform(width, 9).map(Math.fround) as unknown as Float64Array),
  ];

  test("embed gives the rows of the tokens, in every dense type, exactly", async () => {
    await withBackend(variant, matrices, async (b, weights) => {
      const x = b.tensor(MAX_ROWS, width);
      const tokens = Int32Array.of(36, 0, 17, 17, 1, 35, 2);
      for (const [i, { type, values }] of matrices.slice(0, 5).entries()) {
        await runOps(b, batchOf(tokens.length, { tokens }), () => b.embed(x, weights[i]));
        for (const [row, token] of tokens.entries()) {
          const want = Float32Array.from(rowOf(values, token, width));
          assert.deepEqual(await b.read(x, row, 1), want, `${type}, token ${token}`);
        }
      }
    });
  });

  test("F16 is decoded exactly from subnormal to largest", async () => {
    const bits = Uint16Array.from(
      { length: 256 },
      (_, i) => ((i & 128) << 8) | [0, 1, 0x3ff, 0x400, 0x3c00, 0x7bff][i % 6],
    );
    const magnitudes = [0, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, 1, 65504];
    const values = Float64Array.from(bits, (word, i) => (word & 0x8000 ? -1 : 1) * magnitudes[i % 6]);
    const bytes = new Uint8Array(bits.buffer);
    const half: Matrix = { name: "half", type: "F16", rows: 2, columns: 128, bytes, values, scale: 0 };
    await withBackend(variant, [half], async (b, [table]) => {
      const x = b.tensor(MAX_ROWS, 128);
      await runOps(b, batchOf(2, { tokens: Int32Array.of(0, 1) }), () => b.embed(x, table));
      const got = await b.read(x, 0, 2);
      values.forEach((value, i) => {
        assert.equal(got[i] + 0, value + 0, `bits ${bits[i].toString(16)}`);
      });
    });
  });

  test("normOutputs packs the wanted rows, and logits are their dots with every row of the head", async () => {
    await withBackend(variant, matrices, async (b, weights) => {
      const [x, last] = [b.tensor(MAX_ROWS, width), b.tensor(MAX_ROWS, width)];
      const logits = b.tensor(MAX_ROWS, rows);
      const input = uniform(5 * width, 3, 4);
      b.write(x, input);
      for (const outputs of [[4], [0, 3], [0, 1, 2, 3, 4]]) {
        for (const [i, { type, values }] of matrices.slice(0, 5).entries()) {
          await runOps(b, batchOf(5, { outputs: Int32Array.from(outputs) }), () => {
            b.normOutputs(last, x, weights[5], 1e-5);
            b.logits(logits, weights[i], last);
          });
          for (const [j, row] of outputs.entries()) {
            const normed = rmsNorm(rowOf(input, row, width), matrices[5].values, 1e-5);
            assertNear(await b.read(last, j, 1), normed, `norm of row ${row}`);
            const want = Array.from({ length: rows }, (_, r) => dot(rowOf(values, r, width), normed));
            assertNear(await b.read(logits, j, 1), want, `${type}, outputs ${outputs}, row ${row}`);
          }
        }
      }
      assert.deepEqual(await b.read(x, 0, 5), input, "the input is not touched");
    });
  });

  test("best finds the ids with the highest logits, with their bits, by id; of equal ones the lower", async () => {
    // three rows twice, and more ids asked for than there are
    const twice = (name: string, type: "F16" | "Q8_0") => {
      const matrix = denseMatrix({ name, rows, columns: width }, type, 11);
      const rowBytes = matrix.bytes.length / rows;
      for (const row of [0, 5, 20]) matrix.bytes.copyWithin((row + 7) * rowBytes, row * rowBytes, (row + 1) * rowBytes);
      return matrix;
    };
    await withBackend(variant, [twice("a", "F16"), twice("b", "Q8_0")], async (b, weights) => {
      const [x, logits] = [b.tensor(MAX_ROWS, width), b.tensor(MAX_ROWS, rows)];
      for (const weight of weights) {
        const head = await b.head(weight, 4, 50);
        b.write(x, uniform(4 * width, 21, 3));
        const batch = batchOf(6, { outputs: Int32Array.of(0, 2, 3, 5) });
        await runOps(b, batch, () => b.logits(logits, weight, x));
        for (const count of [1, 2, 5, 36, 37, 50]) {
          await runOps(b, batch, () => b.best(head, x, count));
          for (let j = 0; j < 4; j++) {
            const row = await b.read(logits, j, 1);
            const ranked = [...row.keys()].sort((p, q) => row[q] - row[p] || p - q);
            const want = ranked.slice(0, count).sort((p, q) => p - q);
            const best = await b.readBest(head, j);
            assert.deepEqual([...best.ids], want, `${count} of row ${j}`);
            assert.deepEqual(
              [...best.logits],
              want.map((id) => row[id]),
            );
          }
        }
      }
    });
  });
}

function rmsNorm(x: ArrayLike<number>, weight: ArrayLike<number>, eps: number): Float64Array {
  const inverse = 1 / Math.sqrt(dot(x, x) / x.length + eps);
  return Float64Array.from({ length: x.length }, (_, i) => x[i] * inverse * weight[i]);
}

function norms(variant: Variant): void {
  const width = 384;
  const ties = Array.from({ length: width }, (_, i) => (i === 5 ? 127 : (i % 60) - 30 + 0.5));
  const matrices = [floats("norm", [...uniform(width, 4)]), floats("ties", ties)];

  test("normQuantize: RMSNorm, then absmax int8", async () => {
    await withBackend(variant, matrices, async (b, [norm]) => {
      const x = b.tensor(MAX_ROWS, width);
      const q = b.quantized(MAX_ROWS, width);
      const scales = [1, 1e-6, 1e6, 0, 30];
      const input = Float32Array.from(scales.flatMap((scale, row) => [...uniform(width, row + 1, scale)]));
      b.write(x, input);
      await runOps(b, batchOf(5), () => b.normQuantize(q, x, norm, 1e-5));
      const [normed, quantised] = [await b.read(q.normed, 0, 5), await b.readQuantized(q, 0, 5)];
      for (const row of scales.keys()) {
        const want = rmsNorm(rowOf(input, row, width), matrices[0].values, 1e-5);
        assertNear(rowOf(normed, row, width), want, `row ${row}`);
        const absmax = want.reduce((max, y) => Math.max(max, Math.abs(y)), 1e-5);
        assert.ok(Math.abs(quantised.scales[row] / (absmax / 127) - 1) < TOLERANCE, `scale of row ${row}`);
        rowOf(quantised.values, row, width).forEach((value, i) => {
          assert.ok(Math.abs(value - (want[i] * 127) / absmax) < 0.5001, `row ${row}, ${i}: ${value}`);
        });
      }
      const some = await b.readQuantized(q, 2, 2);
      assert.deepEqual(some.values, quantised.values.slice(2 * width, 4 * width));
      assert.deepEqual(some.scales, quantised.scales.slice(2, 4));
    });
  });

  test("the int8 rounding takes ties to the even neighbour", async () => {
    await withBackend(variant, matrices, async (b, [, weight]) => {
      const x = b.tensor(MAX_ROWS, width);
      const q = b.quantized(MAX_ROWS, width);
      // mean square 1 and eps 0: y is the weight itself, whose largest is 127, so that nothing is scaled
      b.write(x, new Float32Array(width).fill(1));
      await runOps(b, batchOf(1), () => b.normQuantize(q, x, weight, 0));
      const even = (y: number) => (Number.isInteger(y) ? y : 2 * Math.round(y / 2));
      assert.deepEqual(
        [...(await b.readQuantized(q, 0, 1)).values],
        ties.map(even).map((y) => y + 0),
      );
    });
  });
}

function projections(variant: Variant): void {
  test("ternary sums are exact, whatever the rows of a matrix: one to many projections of one input", async () => {
    for (const columns of [128, 384, 1024]) {
      const shapes = [1, 5, 8, 13, 64].map((rows) => ({ name: `m${rows}`, rows, columns }));
      const matrices = [
        ...shapes.slice(1).map((shape) => randomTernary(shape, 0.0213 * shape.rows, shape.rows)),
        ternaryMatrix({ name: "extremes", rows: 11, columns }, 1.5, (row) => (row % 3) - 1),
        floats("norm", new Array(columns).fill(1)),
      ];
      await withBackend(variant, matrices, async (b, weights) => {
        const norm = weights[weights.length - 1];
        const [x, q] = [b.tensor(MAX_ROWS, columns), b.quantized(MAX_ROWS, columns)];
        const outs = weights.slice(0, -1).map(({ rows }) => b.tensor(MAX_ROWS, rows));
        // all +127, all -127, random: the largest sums that there are
        const input = new Float32Array(MAX_ROWS * columns).fill(2, 0, columns).fill(-3, columns, 2 * columns);
        input.set(uniform((MAX_ROWS - 2) * columns, columns), 2 * columns);
        b.write(x, input);
        for (const rows of [1, 2, 3, MAX_ROWS]) {
          await runOps(b, batchOf(rows), () => {
            b.normQuantize(q, x, norm, 1e-5);
            b.ternary(
              outs.map((out, i) => ({ weight: weights[i], out })),
              q,
            );
          });
          const { values, scales } = await b.readQuantized(q, 0, rows);
          for (const [i, out] of outs.entries()) {
            const got = await b.read(out, 0, rows);
            assertProjection({ got, matrix: matrices[i], values, scales });
          }
        }
      });
    }
  });

  test("ternary adds to the residual what it puts out", async () => {
    const matrices = [randomTernary({ name: "m", rows: 103, columns: 128 }), floats("norm", new Array(128).fill(1))];
    await withBackend(variant, matrices, async (b, [weight, norm]) => {
      const [x, q] = [b.tensor(MAX_ROWS, 128), b.quantized(MAX_ROWS, 128)];
      const [out, residual] = [b.tensor(MAX_ROWS, 103), b.tensor(MAX_ROWS, 103)];
      const before = uniform(MAX_ROWS * 103, 8);
      b.write(x, uniform(MAX_ROWS * 128, 7));
      b.write(residual, before);
      for (let times = 1; times <= 2; times++) {
        await runOps(b, batchOf(6), () => {
          b.normQuantize(q, x, norm, 1e-5);
          b.ternary([{ weight, out, addTo: residual }], q);
        });
        const [added, after] = [await b.read(out, 0, 6), await b.read(residual, 0, MAX_ROWS)];
        const want = before.map((value, i) => value + times * (added[i] ?? 0));
        assertNear(after.subarray(0, 618), want.subarray(0, 618), "residual", 1e-6);
        assert.deepEqual(after.slice(618), before.slice(618), "rows beyond the batch are left alone");
      }
    });
  });
}

function assertProjection(parts: { got: Float32Array; matrix: Matrix; values: Int8Array; scales: Float32Array }): void {
  const { got, matrix, values, scales } = parts;
  const { rows, columns, name } = matrix;
  for (let row = 0; row < scales.length; row++) {
    for (let r = 0; r < rows; r++) {
      const sum = dot(rowOf(matrix.values, r, columns), rowOf(values, row, columns));
      const unit = matrix.scale * scales[row];
      const y = got[row * rows + r];
      assert.ok(
        Math.abs(y - sum * unit) <= 4e-7 * Math.abs(sum * unit),
        `${name}, row ${row}, output ${r}: ${y / unit}, not ${sum}`,
      );
    }
  }
}

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

function attention(variant: Variant): void {
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

function gates(variant: Variant): void {
  const activations = {
    relu2: (x: number) => Math.max(x, 0) ** 2,
    silu: (x: number) => x / (1 + Math.exp(-x)),
  };
  for (const name of ["relu2", "silu"] as const) {
    test(`gate: ${name}, in place and not, small and huge`, async () => {
      await withBackend(variant, [], async (b) => {
        const [gate, up, out] = [b.tensor(MAX_ROWS, 48), b.tensor(MAX_ROWS, 48), b.tensor(MAX_ROWS, 48)];
        const x = Float32Array.from({ length: 7 * 48 }, (_, i) => ((i % 48) - 24) * 10 ** (Math.floor(i / 48) - 1));
        const y = uniform(7 * 48, 2, 1e6);
        const want = Float64Array.from(x, (value, i) => activations[name](value) * y[i]);
        for (const target of [out, gate]) {
          b.write(gate, x);
          b.write(up, y);
          await runOps(b, batchOf(7), () => b.gate(target, gate, up, name));
          const got = await b.read(target, 0, 7);
          got.forEach((value, i) => {
            // silu far below zero is some 1e-38 of its factors, or nothing
            const bound = 2e-6 * Math.abs(want[i]) + 1e-24;
            assert.ok(Math.abs(value - want[i]) <= bound, `${x[i]}: ${value}, not ${want[i]}`);
          });
          assert.deepEqual(await b.read(up, 0, 7), y);
        }
      });
    });
  }
}

/** Every op in a row, from tokens to logits. */
function independence(variant: Variant): void {
  const [width, heads, headDim, vocabulary] = [256, 4, 64, 45];
  const matrices = [
    denseMatrix({ name: "table", rows: vocabulary, columns: width }, "F16"),
    floats("norm", [...uniform(width, 1)]),
    randomTernary({ name: "q", rows: width, columns: width }, 0.1, 2),
    randomTernary({ name: "k", rows: 128, columns: width }, 0.1, 3),
    randomTernary({ name: "v", rows: 128, columns: width }, 0.1, 4),
    randomTernary({ name: "o", rows: width, columns: width }, 0.1, 5),
  ];

  test("a row's bits depend on its own inputs only: not on its batch", async () => {
    await withBackend(variant, matrices, async (b, [table, norm, wq, wk, wv, wo]) => {
      const cache = b.cache({ layers: 1, slots: 3, positions: 200, kvHeads: 2, headDim, ropeBase: 10_000 });
      const [x, q, context, delta, last] = [1, 2, 3, 4, 5].map(() => b.tensor(MAX_ROWS, heads * headDim));
      const [k, v, logits] = [b.tensor(MAX_ROWS, 128), b.tensor(MAX_ROWS, 128), b.tensor(MAX_ROWS, vocabulary)];
      const h = b.quantized(MAX_ROWS, width);
      const forward = async (batch: Batch) => {
        await runOps(b, batch, () => {
          b.embed(x, table);
          b.normQuantize(h, x, norm, 1e-5);
          const matrices = [wq, wk, wv].map((weight, i) => ({ weight, out: [q, k, v][i] }));
          b.ternary(matrices, h);
          b.ropeStore(cache, 0, { q, k, v });
          b.attend(context, q, cache, 0);
          b.normQuantize(h, context, norm, 1e-5);
          b.ternary([{ weight: wo, out: delta, addTo: x }], h);
          b.gate(x, x, delta, "silu");
          b.normOutputs(last, x, norm, 1e-5);
          b.logits(logits, table, last);
        });
        return b.read(logits, 0, batch.outputs.length);
      };
      const tokens = Int32Array.from({ length: 150 }, (_, i) => (i * 7) % vocabulary);
      const all = new Float32Array(150 * vocabulary);
      for (let i = 0; i < 150; i++) {
        const one = { positions: Int32Array.of(i), tokens: tokens.slice(i, i + 1), outputs: Int32Array.of(0) };
        all.set(await forward(batchOf(1, one)), i * vocabulary);
      }
      for (let first = 0; first < 150; first += 7) {
        // another timeline in every second row of the batch
        const rows = Array.from({ length: Math.min(7, 150 - first) }, (_, i) => first + i).flatMap((at) => [
          { slot: 1, at, token: tokens[at] },
          { slot: 2, at, token: (at * 3) % vocabulary },
        ]);
        const logits = await forward({
          tokens: Int32Array.from(rows, ({ token }) => token),
          slots: Int32Array.from(rows, ({ slot }) => slot),
          positions: Int32Array.from(rows, ({ at }) => at),
          outputs: Int32Array.from(rows.flatMap(({ slot }, i) => (slot === 1 ? [i] : []))),
        });
        assert.deepEqual(
          logits,
          all.slice(first * vocabulary, (first + rows.length / 2) * vocabulary),
          `from ${first}`,
        );
      }
    });
  });
}

function marks(variant: Variant): void {
  const matrices = [
    denseMatrix({ name: "table", rows: 9, columns: 128 }, "F32"),
    floats("norm", new Array(128).fill(2)),
  ];

  test("a tracer gets the values of the marks at their points of the record, in order", async () => {
    await withBackend(variant, matrices, async (b, [table, norm]) => {
      const [x, last] = [b.tensor(MAX_ROWS, 128), b.tensor(MAX_ROWS, 128)];
      const seen: { name: string; data: Float32Array; rows: number; width: number }[] = [];
      const record = () =>
        runOps(b, batchOf(3, { tokens: Int32Array.of(1, 2, 3), outputs: Int32Array.of(2) }), () => {
          b.embed(x, table);
          b.mark("embd", x);
          b.gate(x, x, x, "relu2");
          b.mark("gated", x, "all");
          b.mark("again", x);
          b.normOutputs(last, x, norm, 1e-5);
          b.mark("last", last, "outputs");
          b.gate(x, x, x, "silu");
        });
      await record();
      b.setTracer((name, data, rows, width) => seen.push({ name, data, rows, width }));
      await record();
      const end = await b.read(x, 0, 3);
      b.setTracer(undefined);
      await record();
      assert.deepEqual(await b.read(x, 0, 3), end, "a tracer changes nothing");
      const shapes = seen.map(({ name, rows, width, data }) => [name, rows, width, data.length]);
      assert.deepEqual(shapes, [
        ["embd", 3, 128, 384],
        ["gated", 3, 128, 384],
        ["again", 3, 128, 384],
        ["last", 1, 128, 128],
      ]);
      const embedded = Float32Array.from(matrices[0].values.subarray(128, 512));
      assert.deepEqual(seen[0].data, embedded);
      assertNear(
        seen[1].data,
        embedded.map((value) => Math.max(value, 0) ** 2 * value),
        "gated",
      );
      assert.deepEqual(seen[2].data, seen[1].data);
      assert.notEqual(seen[2].data.buffer, seen[1].data.buffer);
      assertNear(seen[3].data, rmsNorm(seen[1].data.subarray(256), matrices[1].values, 1e-5), "last");
    });
  });
}

function loading(variant: Variant): void {
  const wide = { rows: 24, columns: 256 };
  const matrices = [
    randomTernary({ name: "a", ...wide }),
    denseMatrix({ name: "b", ...wide }, "Q6_K"),
    floats("c", [1, 2, 3, 4]),
    denseMatrix({ name: "d", ...wide }, "F16"),
  ];

  /** `load` of a file that `spoil` may have changed, which must fail. */
  async function failure(matrices: readonly Matrix[], spoil = async (_sources: readonly WeightSource[]) => {}) {
    const backend = await variant.create(MAX_ROWS);
    try {
      return await withFile(matrices, async (sources) => {
        await spoil(sources);
        return await backend.load(sources).then(
          () => assert.fail("loaded"),
          (error: unknown) => error as { code?: string; message: string },
        );
      });
    } finally {
      await backend.close();
    }
  }

  test("handles come in the order of the sources, and progress grows up to all bytes", async () => {
    const backend = await variant.create(MAX_ROWS);
    await withFile(matrices, async (sources) => {
      const seen: number[] = [];
      const total = sources.reduce((sum, { byteLength }) => sum + byteLength, 0);
      const reversed = [...sources].reverse();
      const weights = await backend.load(reversed, {
        onProgress: (loaded, all) => {
          assert.equal(all, total);
          seen.push(loaded);
        },
      });
      assert.deepEqual(
        weights.map(({ name }) => name),
        ["d", "c", "b", "a"],
      );
      assert.deepEqual(
        weights.map(({ rows, columns }) => [rows, columns]),
        [
          [24, 256],
          [1, 4],
          [24, 256],
          [24, 256],
        ],
      );
      assert.deepEqual(
        seen,
        seen.toSorted((a, b) => a - b),
      );
      assert.equal(seen.at(-1), total);
      assert.ok(backend.memoryBytes >= 0.9 * (total - 32));
    });
    await backend.close();
  });

  test("an aborted load rejects with the reason", async () => {
    const backend = await variant.create(MAX_ROWS);
    const reason = new Error("enough");
    await withFile(matrices, async (sources) => {
      const signal = AbortSignal.abort(reason);
      await assert.rejects(backend.load(sources, { signal }), (error) => error === reason);
    });
    await backend.close();
  });

  test("code 3 is refused wherever it stands", async () => {
    for (const [row, column] of [
      [0, 0],
      [23, 255],
      [9, 33],
      [16, 70],
      [5, 127],
    ]) {
      const bad = ternaryMatrix({ name: "blk.0.bad", ...wide }, 1, (r, c) => (r === row && c === column ? 2 : 0));
      const error = await failure([matrices[0], bad, matrices[1]]);
      assert.equal(error.code, "MODEL_CODES", `row ${row}, column ${column}: ${error.message}`);
      assert.match(error.message, /^blk\.0\.bad: expected ternary codes 0, 1 and 2, got 3/);
    }
  });

  test("a scale that is none is refused", async () => {
    for (const scale of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      const error = await failure([matrices[0], randomTernary({ name: "blk.1.bad", ...wide }, scale)]);
      assert.equal(error.code, "MODEL_CODES");
      assert.match(error.message, /^blk\.1\.bad: expected a positive I2_S scale/);
    }
  });

  test("a file that became shorter is an error", async () => {
    for (const order of [matrices, [...matrices].reverse()]) {
      const error = await failure(order, (sources) => truncate(sources[0].path, sources[3].offset + 100));
      assert.equal(error.code, "GGUF_TRUNCATED", error.message);
    }
  });
}

function ending(variant: Variant): void {
  test("close works at once, twice, and in the middle of a run, which then rejects", async () => {
    const unused = await variant.create(MAX_ROWS);
    await unused.close();

    const backend = await variant.create(MAX_ROWS);
    const x = backend.tensor(MAX_ROWS, 4096);
    backend.begin(batchOf(MAX_ROWS));
    for (let i = 0; i < 100; i++) backend.gate(x, x, x, "silu");
    const running = backend.run().then(
      () => "ended",
      (error: { code?: string }) => error.code,
    );
    await Promise.all([backend.close(), backend.close()]);
    // what runs within the call itself cannot be interrupted
    assert.equal(await running, backend.kind === "reference" ? "ended" : "CLOSED");
    await backend.close();
  });
}
