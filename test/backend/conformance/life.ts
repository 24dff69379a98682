/** Order, reading and writing, independence of rows, tracing, loading and ending. */
import assert from "node:assert/strict";
import { truncate } from "node:fs/promises";
import { test } from "node:test";
import type { Batch, WeightSource } from "../../../src/backend/backend.js";
import type { Variant } from "../../backends.js";
import { denseMatrix, floats, type Matrix, randomTernary, ternaryMatrix, withFile } from "../files.js";
import { assertNear, batchOf, MAX_ROWS, rmsNorm, rowOf, runOps, uniform, withBackend } from "./common.js";

export function order(variant: Variant): void {
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

export function data(variant: Variant): void {
  test("int8 rows have a multiple of 16 values", async () => {
    await withBackend(variant, [], async (b) => {
      assert.equal(b.quantized(2, 48).width, 48);
      for (const width of [8, 15, 40]) assert.throws(() => b.quantized(2, width), /RangeError.*multiple of 16/);
    });
  });

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

/** Every op in a row, from tokens to logits. */
export function independence(variant: Variant): void {
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

export function marks(variant: Variant): void {
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

export function loading(variant: Variant): void {
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

  for (const type of ["f32", "i16"] as const) {
    test(`a position of a cache of ${type} takes the bytes that it is said to take`, async () => {
      await withBackend(variant, matrices, async (b) => {
        const shape = { layers: 2, kvHeads: 2, headDim: 64, type };
        const values = 2 * shape.layers * shape.kvHeads * shape.headDim;
        const said = b.positionBytes(shape);
        // its caches grow as they are filled, and are not counted
        if (b.kind === "reference") return assert.equal(said, 8 * values);
        const added: number[] = [];
        for (const slots of [1, 9]) {
          await b.run();
          const before = b.memoryBytes;
          b.cache({ ...shape, slots, positions: 512, ropeBase: 10_000 });
          await b.run();
          added.push(b.memoryBytes - before);
        }
        const found = (added[1] - added[0]) / (8 * 512);
        assert.ok(Math.abs(found - said) <= 0.02 * said, `${found} bytes, not ${said}`);
        assert.ok(said >= (type === "f32" ? 4 : 2) * values);
      });
    });
  }

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
      const error = await failure(order, (sources) => truncate(sources[0].bytes.name, sources[3].offset + 100));
      assert.equal(error.code, "GGUF_TRUNCATED", error.message);
    }
  });
}

export function ending(variant: Variant): void {
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
