/** The ops that work on rows: embedding and head, norms, projections, gate. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Variant } from "../../backends.js";
import { denseMatrix, floats, type Matrix, randomTernary, ternaryMatrix } from "../files.js";
import {
  assertNear,
  batchOf,
  DENSE_TYPES,
  dot,
  MAX_ROWS,
  rmsNorm,
  rowOf,
  runOps,
  TOLERANCE,
  uniform,
  withBackend,
} from "./common.js";

/** A table as embedding and as head, in each dense type, and of both kinds at once. */
export function tables(variant: Variant): void {
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

  test("normOutputs packs the outputs, and logits are their dots with every row of the head", async () => {
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

export function norms(variant: Variant): void {
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

export function projections(variant: Variant): void {
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

  test("linear: float products of every type, times the weight's factor, added to the residual; one row or many", async () => {
    const columns = 512;
    let types: readonly (typeof DENSE_TYPES)[number][] = [];
    await withBackend(variant, [], async ({ takes }) => {
      types = DENSE_TYPES.filter((type) => takes.matrix.includes(type));
    });
    if (types.length === 0) return; // no float matrices there
    const matrices = types.map((type, i) => denseMatrix({ name: type, rows: 29 + i, columns }, type, i + 1));
    await withBackend(variant, matrices, async (b, weights) => {
      const x = b.tensor(MAX_ROWS, columns);
      const input = uniform(MAX_ROWS * columns, 5);
      b.write(x, input);
      const projections = weights.map((weight) => ({
        weight,
        out: b.tensor(MAX_ROWS, weight.rows),
        addTo: b.tensor(MAX_ROWS, weight.rows),
      }));
      const all: Float32Array[] = [];
      for (const rows of [MAX_ROWS, 7, 1]) {
        for (const { addTo } of projections) b.write(addTo, new Float32Array(rows * addTo.width).fill(3));
        await runOps(b, batchOf(rows), () => b.linear(projections, x));
        for (const [i, { out, addTo }] of projections.entries()) {
          const got = await b.read(out, 0, rows);
          all[i] ??= got;
          assert.deepEqual(
            got,
            all[i].subarray(0, got.length),
            `${types[i]}: ${rows} rows have the bits of ${MAX_ROWS}`,
          );
          for (let row = 0; row < rows; row++) {
            const { values, rows: outputs } = matrices[i];
            const from = rowOf(input, row, columns);
            const want = Array.from({ length: outputs }, (_, r) => dot(rowOf(values, r, columns), from));
            assertNear(rowOf(got, row, outputs), want, `${types[i]}, row ${row} of ${rows}`);
          }
          assertNear(
            await b.read(addTo, 0, rows),
            got.map((value) => value + 3),
            `${types[i]}, residual`,
          );
        }
      }
    });
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

export function gates(variant: Variant): void {
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
