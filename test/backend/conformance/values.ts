/** NaN and infinity: none becomes a finite number on its way to the logits, and no id is sampled from such logits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Draw, NO_DISTRIBUTION } from "../../../src/backend/backend.js";
import type { Variant } from "../../backends.js";
import { denseMatrix, floats, type Matrix, randomTernary } from "../files.js";
import { batchOf, MAX_ROWS, rowOf, runOps, uniform, withBackend } from "./common.js";

const GREEDY: Draw = { temperature: 0, topK: 1, topP: 1, minP: 0, random: 0 };
const POISONS = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

const isSound = (row: Float32Array) => row.every((value) => Number.isFinite(value));
const isLost = (row: Float32Array) => row.every((value) => !Number.isFinite(value));

export function values(variant: Variant): void {
  const width = 384;
  const [rows, sound] = [6, 0]; // row 0 has nothing wrong
  const wide = variant.name === "reference"; // float64
  const matrices = [
    floats("norm", [...uniform(width, 4, 3)]),
    floats("huge", new Array(width).fill(3e38)),
    randomTernary({ name: "square", rows: width, columns: width }),
  ];

  /** Rows of x; in row 1 + i one element, at different places, is not finite; the squares of the last overflow float32. */
  function poisoned(): { x: Float32Array; clean: Float32Array } {
    const clean = uniform(rows * width, 5);
    const x = clean.slice();
    POISONS.forEach((poison, i) => {
      x[(1 + i) * width + [0, 201, 383][i]] = poison;
    });
    x[4 * width + 17] = Number.NaN;
    x[4 * width + 18] = Number.POSITIVE_INFINITY;
    x.fill(1e25, 5 * width);
    return { x, clean };
  }

  test("a row with NaN or infinity has no finite scale and no finite product, and other rows have their bits", async () => {
    await withBackend(variant, matrices, async (b, [norm, , square]) => {
      const [x, out, last] = [b.tensor(MAX_ROWS, width), b.tensor(MAX_ROWS, width), b.tensor(MAX_ROWS, width)];
      const q = b.quantized(MAX_ROWS, width);
      const run = async (data: Float32Array) => {
        b.write(x, data);
        await runOps(b, batchOf(rows, { outputs: Int32Array.from({ length: rows }, (_, i) => i) }), () => {
          b.normQuantize(q, x, norm, 1e-5);
          b.ternary([{ weight: square, out }], q);
          b.normOutputs(last, x, norm, 1e-5);
        });
        const [normed, products, packed] = await Promise.all([q.normed, out, last].map((t) => b.read(t, 0, rows)));
        return { normed, products, packed, scales: (await b.readQuantized(q, 0, rows)).scales };
      };
      const { x: bad, clean } = poisoned();
      const [got, want] = [await run(bad), await run(clean)];
      for (const name of ["normed", "products", "packed"] as const) {
        assert.deepEqual(rowOf(got[name], sound, width), rowOf(want[name], sound, width), name);
      }
      assert.equal(got.scales[sound], want.scales[sound]);
      for (let row = 1; row < rows; row++) {
        if (wide && row === rows - 1) continue; // no overflow of squares there
        assert.ok(!Number.isFinite(got.scales[row]), `row ${row}: scale ${got.scales[row]}`);
        assert.ok(!isSound(rowOf(got.normed, row, width)), `row ${row}: normed`);
        assert.ok(!isSound(rowOf(got.packed, row, width)), `row ${row}: normOutputs`);
        assert.ok(isLost(rowOf(got.products, row, width)), `row ${row}: products`);
        b.write(x, rowOf(bad, row, width)); // alone: a GPU joins norm and projection then
        await runOps(b, batchOf(1), () => {
          b.normQuantize(q, x, norm, 1e-5);
          b.ternary([{ weight: square, out }], q);
        });
        assert.ok(isLost(await b.read(out, 0, 1)), `row ${row} alone`);
      }
    });
  });

  test("a norm that overflows has no finite scale", { skip: wide && "float64 bears it" }, async () => {
    await withBackend(variant, matrices, async (b, [, huge, square]) => {
      const [x, out, q] = [b.tensor(MAX_ROWS, width), b.tensor(MAX_ROWS, width), b.quantized(MAX_ROWS, width)];
      b.write(x, uniform(width, 5));
      await runOps(b, batchOf(1), () => {
        b.normQuantize(q, x, huge, 1e-5);
        b.ternary([{ weight: square, out }], q);
      });
      assert.ok(isLost(await b.read(out, 0, 1)));
    });
  });

  for (const activation of ["relu2", "silu"] as const) {
    test(`gate: NaN stays, ${activation}`, async () => {
      await withBackend(variant, [], async (b) => {
        const [gate, up, out] = [1, 2, 3].map(() => b.tensor(MAX_ROWS, 48));
        const x = uniform(48, 6);
        x[5] = Number.NaN;
        b.write(gate, x);
        b.write(up, new Float32Array(48).fill(2));
        await runOps(b, batchOf(1), () => b.gate(out, gate, up, activation));
        const got = await b.read(out, 0, 1);
        got.forEach((value, i) => {
          assert.equal(Number.isNaN(value), i === 5, `element ${i}`);
        });
      });
    });
  }

  for (const type of ["f32", "i16"] as const) {
    test(`attend: NaN of a query, a key or a value is not lost, ${type} cache`, async () => {
      await withBackend(variant, [], async (b) => {
        const shape = { layers: 1, slots: 1, positions: 256, kvHeads: 1, headDim: 16, ropeBase: 10_000, type };
        for (const poisoned of ["q", "k", "v"] as const) {
          const cache = b.cache(shape);
          const qkv = { q: b.tensor(MAX_ROWS, 16), k: b.tensor(MAX_ROWS, 16), v: b.tensor(MAX_ROWS, 16) };
          const out = b.tensor(MAX_ROWS, 16);
          for (const [i, name] of (["q", "k", "v"] as const).entries()) {
            const data = uniform(8 * 16, i + 1);
            if (name === poisoned) data[5 * 16 + 2] = Number.NaN;
            b.write(qkv[name], data);
          }
          await runOps(b, batchOf(8), () => {
            b.ropeStore(cache, 0, qkv);
            b.attend(out, qkv.q, cache, 0);
          });
          const got = await b.read(out, 0, 8);
          assert.ok(isSound(got.subarray(0, 5 * 16)), `${poisoned}: rows before`);
          for (let row = 5; row < (poisoned === "q" ? 6 : 8); row++) {
            assert.ok(!isSound(rowOf(got, row, 16)), `${poisoned}: row ${row}`);
          }
        }
      });
    });
  }

  test("an id is never sampled from logits with NaN or infinity, be it one of many", async () => {
    const [vocabulary, columns] = [45, 128];
    // row 9: products that overflow to both sides, NaN in float32; row 11: to one side
    const overflowing = (name: string, row: number, sign: (i: number) => number): Matrix => {
      const matrix = denseMatrix({ name, rows: vocabulary, columns }, "F32", 3);
      const view = new DataView(matrix.bytes.buffer);
      for (let i = 0; i < columns; i++) view.setFloat32(4 * (row * columns + i), 3e38 * sign(i), true);
      return matrix;
    };
    const tables = [
      denseMatrix({ name: "sound", rows: vocabulary, columns }, "F16", 5),
      overflowing("both", 9, (i) => (i % 2 === 0 ? 1 : -1)),
      overflowing("up", 11, () => 1),
    ];
    await withBackend(variant, tables, async (b, weights) => {
      const [x, logits] = [b.tensor(MAX_ROWS, columns), b.tensor(MAX_ROWS, vocabulary)];
      for (const [i, poison] of [...POISONS, 100].entries()) {
        for (const weight of weights) {
          const head = await b.head(weight, 1, 40);
          const input = uniform(columns, 7);
          input.fill(poison, i, poison === 100 ? columns : i + 1);
          b.write(x, input);
          const batch = batchOf(1, { outputs: Int32Array.of(0) });
          b.write(x, input.subarray(columns)); // output 0 is the poisoned one
          await runOps(b, batch, () => b.logits(logits, weight, x));
          const row = await b.read(logits, 0, 1);
          const bad = row.some((logit) => Number.isNaN(logit) || logit === Number.POSITIVE_INFINITY);
          for (const draw of [GREEDY, { ...GREEDY, temperature: 1, topK: 40 }]) {
            const sampled = runOps(b, { ...batch, draws: [draw] }, () => {
              b.best(head, x, draw.topK);
              b.sample(head);
            });
            const what = `${weight.name}, ${poison}, top-k ${draw.topK}`;
            if (bad) assert.deepEqual([...(await sampled)], [NO_DISTRIBUTION], what);
            else assert.ok((await sampled)[0] >= 0, what);
          }
          if (poison !== 100) assert.ok(bad, `${weight.name}, ${poison}: ${row}`);
        }
      }
    });
  });
}
