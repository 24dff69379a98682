/** The table's kernels: rows of tokens, logits against float64, the best ids against a sort, and adapters that compute nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "webgpu";
import { computesNothing } from "../../../src/backend/gpu/device/adapter.js";
import { best, bestScratchBytes } from "../../../src/backend/gpu/kernels/best.js";
import { embed } from "../../../src/backend/gpu/kernels/embed.js";
import { logits } from "../../../src/backend/gpu/kernels/logits.js";
import { kernelTest } from "./harness.js";
import { generator } from "./random.js";

for (const [vocabulary, columns] of [
  [5, 64],
  [37, 132],
  [300, 2560],
] as const) {
  kernelTest(`a table of ${vocabulary} x ${columns} in two parts, and rows of logits`, async (h) => {
    const random = generator(vocabulary);
    const noise = (n: number) => Float32Array.from({ length: n }, () => (random() % 2001) / 1000 - 1);
    const values = noise(vocabulary * columns);
    const cut = Math.floor(vocabulary / 2);
    const parts = [
      { first: 0, count: cut, window: await h.from(values.subarray(0, cut * columns)) },
      { first: cut, count: vocabulary - cut, window: await h.from(values.subarray(cut * columns)) },
    ];
    const table = { type: "F32", rows: vocabulary, columns, parts } as const;

    // the last row's token is what was sampled for slot 1
    const tokens = Int32Array.of(0, cut, vocabulary - 1, cut - 1, -1);
    const rows = tokens.length;
    const out = await h.zeros(4 * rows * columns);
    const [slots, sampled] = [await h.from(Int32Array.of(0, 0, 0, 0, 1)), await h.from(Int32Array.of(0, 3))];
    await h.run(...embed({ table, tokens: await h.from(tokens), slots, sampled, out, rows }));
    const embedded = await h.floats(out);
    for (const [row, token] of [0, cut, vocabulary - 1, cut - 1, 3].entries()) {
      const want = values.subarray(token * columns, (token + 1) * columns);
      assert.deepEqual(embedded.subarray(row * columns, (row + 1) * columns), want, `row ${row}`);
    }

    const x = noise(11 * columns);
    const alone = new Map<number, Float32Array>();
    for (const count of [1, 2, 11]) {
      const scores = await h.zeros(4 * count * vocabulary);
      await h.run(...logits({ table, x: await h.from(x.subarray(0, count * columns)), count, out: scores }));
      const got = await h.floats(scores);
      for (let j = 0; j < count; j++) {
        const row = got.slice(j * vocabulary, (j + 1) * vocabulary);
        assert.deepEqual(row, alone.get(j) ?? row, `row ${j} of ${count}: the same bits in any company`);
        alone.set(j, row);
        row.forEach((value, i) => {
          let want = 0;
          for (let c = 0; c < columns; c++) want += values[i * columns + c] * x[j * columns + c];
          assert.ok(Math.abs(value - want) < 1e-6 * columns, `row ${j}, id ${i}: expected ${want}, got ${value}`);
        });
      }
    }
  });
}

kernelTest(
  "a table of every 16-bit float, infinities and NaN too",
  async (h) => {
    const columns = 128;
    const bits = Uint16Array.from({ length: 65_536 }, (_, i) => i);
    const rows = bits.length / columns;
    const window = await h.from(new Uint8Array(bits.buffer));
    const table = { type: "F16", rows, columns, parts: [{ first: 0, count: rows, window }] } as const;
    const out = await h.zeros(4 * bits.length);
    const [slots, sampled] = [await h.from(new Int32Array(rows)), await h.from(Int32Array.of(0))];
    const tokens = await h.from(Int32Array.from({ length: rows }, (_, i) => i));
    await h.run(...embed({ table, tokens, slots, sampled, out, rows }));
    const got = await h.floats(out);
    bits.forEach((half, i) => {
      const [fraction, exponent] = [half & 0x3ff, (half >> 10) & 31];
      if (exponent === 31) {
        const infinity = half < 0x8000 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
        const want = fraction === 0 ? infinity : Number.NaN;
        assert.ok(Object.is(got[i], want), `half ${half.toString(16)}: expected ${want}, got ${got[i]}`);
        return;
      }
      const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
      const want = half < 0x8000 ? size : -size;
      const flushed = exponent === 0 && got[i] === 0; // what WGSL allows with numbers below 2^-14
      assert.ok(got[i] === want || flushed, `half ${half.toString(16)}: expected ${want}, got ${got[i]}`);
    });
  },
  { forms: ["f16"] },
);

for (const vocabulary of [3, 255, 2048, 2049, 5000]) {
  for (const k of [1, 2, 40, 256]) {
    if (k > vocabulary) continue;
    kernelTest(
      `the best ${k} of ${vocabulary}, with ties, infinities and what is no number`,
      async (h) => {
        const random = generator(vocabulary + k);
        // few values, so that many are equal; some rows with one that is none
        const rows = Array.from({ length: 3 }, (_, row) =>
          Float32Array.from({ length: vocabulary }, (_, i) => {
            if (row === 1 && i % 7 === 2) return Number.NaN;
            if (row === 2 && i === vocabulary - 2) return Number.POSITIVE_INFINITY;
            return ((random() % 41) - 20) / (row + 1);
          }),
        );
        const all = new Float32Array(3 * vocabulary);
        rows.forEach((row, j) => {
          all.set(row, j * vocabulary);
        });
        const count = rows.length;
        const scratch = await h.zeros(bestScratchBytes({ vocabulary, count, k }));
        const out = await h.zeros(8 * k * count);
        await h.run(...best({ logits: await h.from(all), vocabulary, count, k, scratch, out }));
        const found = await h.ints(out);
        for (const [j, row] of rows.entries()) {
          const key = (id: number) => (Number.isNaN(row[id]) ? Number.POSITIVE_INFINITY : row[id]);
          const ranked = [...row.keys()].sort((a, b) => key(b) - key(a) || a - b);
          const ids = [...found.subarray(2 * k * j, 2 * k * j + k)];
          const want = ranked.slice(0, k).sort((a, b) => a - b);
          assert.deepEqual(ids, want, `row ${j}`);
          const scores = new Float32Array(found.buffer, 4 * (2 * k * j + k), k);
          ids.forEach((id, i) => {
            assert.ok(Object.is(scores[i], row[id]) || Number.isNaN(row[id]), `row ${j}, id ${id}`);
          });
        }
      },
      { forms: k === 1 ? ["subgroups"] : [] },
    );
  }
}

test("Dawn's null backend, which computes nothing, is not taken for a GPU", async () => {
  const gpu = create(["backend=null"]);
  const adapter = await gpu.requestAdapter();
  assert.ok(adapter !== null);
  assert.ok(computesNothing(adapter), "an adapter of the null backend must be refused");
});
