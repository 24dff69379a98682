/** What only the CPU backend has: threads that fail, are interrupted, park, and end; and addresses above 2 GiB. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CpuBackend } from "../../../src/backend/cpu/cpu.js";
import { TernionError } from "../../../src/errors.js";
import { settledThreads } from "../../engine/engines.js";
import { uniform } from "../conformance/common.js";
import { denseMatrix, floats, randomTernary, withFile } from "../files.js";

const batch = (count: number, token = 0) => ({
  tokens: new Int32Array(count).fill(token),
  slots: new Int32Array(count),
  positions: new Int32Array(count),
  outputs: new Int32Array(),
});

const code = (expected: string) => (error: unknown) => error instanceof TernionError && error.code === expected;

/** `use` of a backend with a table of 9 rows, and no thread more behind it than before. */
async function withTable(
  threads: number,
  use: (b: CpuBackend, table: Awaited<ReturnType<CpuBackend["load"]>>[0]) => Promise<void>,
) {
  const matrix = denseMatrix({ name: "table", rows: 9, columns: 128 }, "F32");
  await (await CpuBackend.create({ threads: 1, maxRows: 1 })).close(); // what starts with the first one stays
  const before = await settledThreads();
  const backend = await CpuBackend.create({ threads, maxRows: 8 });
  const [table] = await withFile([matrix], (sources) => backend.load(sources));
  await use(backend, table);
  await backend.close();
  assert.equal(await settledThreads(before), before, "threads stayed");
}

describe("threads of the CPU backend", () => {
  for (const threads of [1, 2, 3]) {
    test(`${threads}: one that traps ends the run and all later ones with BACKEND_FAILED, and frees the others`, async () => {
      await withTable(threads, async (b, table) => {
        const x = b.tensor(8, 128);
        const run = async (token: number) => {
          b.begin(batch(8, token));
          b.embed(x, table);
          await b.run();
        };
        await run(5);
        await assert.rejects(run(8_000_000), code("BACKEND_FAILED")); // far beyond the memory
        await assert.rejects(run(5), code("BACKEND_FAILED"));
      });
    });

    test(`${threads}: close interrupts a run within an op`, async () => {
      await withTable(threads, async (b) => {
        const x = b.tensor(8, 1 << 16);
        b.begin(batch(8));
        for (let i = 0; i < 5000; i++) b.gate(x, x, x, "silu"); // seconds
        const outcome = assert.rejects(b.run(), code("CLOSED"));
        await sleep(20);
        const start = performance.now();
        await b.close();
        await outcome;
        assert.ok(performance.now() - start < 1000, `${performance.now() - start} ms`);
        b.gate(x, x, x, "silu");
        await assert.rejects(b.run(), code("CLOSED"));
      });
    });
  }

  test("park when idle and wake again, at any moment around it", async () => {
    await withTable(3, async (b, table) => {
      const x = b.tensor(8, 128);
      for (const pause of [195, 199, 200, 201, 205, 230]) {
        b.begin(batch(8, pause % 9));
        b.embed(x, table);
        await b.run();
        await sleep(pause);
      }
    });
  });

  for (const threads of [3, 16]) {
    test(`${threads}: a run right after another finds the threads anywhere, and is right`, async () => {
      await withTable(threads, async (b, table) => {
        const x = b.tensor(8, 128);
        for (let i = 0; i < 1000; i++) {
          b.begin(batch(8, i % 9));
          b.embed(x, table);
          await b.run();
          if (i % 50 === 0) assert.deepEqual((await b.read(x, 7, 1))[0], (await b.read(x, 0, 1))[0]);
        }
      });
    });
  }

  test("ops of many shares, each computed once, by more threads than processors", async () => {
    await withTable(16, async (b) => {
      const width = 1 << 16;
      const [x, y] = [b.tensor(8, width), b.tensor(8, width)];
      const input = uniform(8 * width, 5);
      let want: Float32Array | undefined;
      for (let i = 0; i < 20; i++) {
        b.write(x, input);
        b.begin(batch(8));
        for (let j = 0; j < 3; j++) b.gate(j % 2 === 0 ? y : x, j % 2 === 0 ? x : y, x, "silu"); // in place: twice would show
        await b.run();
        const got = await b.read(y, 0, 8);
        want ??= got;
        assert.deepEqual(got, want);
      }
    });
  });
});

test("a batch of any size, by tiles or row by row, has the bits of its rows alone", async () => {
  const [rows, columns, most] = [203, 384, 150];
  const matrices = [randomTernary({ name: "m", rows, columns }), floats("norm", new Array(columns).fill(1))];
  const b = await CpuBackend.create({ threads: 2, maxRows: most });
  try {
    const [weight, norm] = await withFile(matrices, (sources) => b.load(sources));
    const [x, q, out, sum] = [
      b.tensor(most, columns),
      b.quantized(most, columns),
      b.tensor(most, rows),
      b.tensor(most, rows),
    ];
    const input = uniform(most * columns, 3);
    const zero = new Float32Array(most * rows);
    const project = async (first: number, count: number) => {
      b.write(x, input.subarray(first * columns, (first + count) * columns));
      b.write(sum, zero);
      b.begin(batch(count));
      b.normQuantize(q, x, norm, 1e-5);
      b.ternary([{ weight, out, addTo: sum }], q);
      await b.run();
      assert.deepEqual(await b.read(sum, 0, count), await b.read(out, 0, count));
      return b.read(out, 0, count);
    };
    const alone = new Float32Array(most * rows);
    for (let row = 0; row < most; row++) alone.set(await project(row, 1), row * rows);
    for (const count of [19, 20, 31, 32, 45, 46, 63, 64, 65, 84, 109, 110, 128, 150]) {
      assert.deepEqual(await project(0, count), alone.slice(0, count * rows), `${count} rows`);
    }
  } finally {
    await b.close();
  }
});

describe("memory of the CPU backend", () => {
  test("works above 2 GiB, where addresses are negative", async () => {
    const [rows, width] = [21, 256];
    const matrices = [
      denseMatrix({ name: "table", rows, columns: width }, "Q8_0"),
      floats("norm", new Array(width).fill(1)),
      randomTernary({ name: "matrix", rows: width, columns: width }),
      randomTernary({ name: "narrow", rows: 128, columns: width }),
    ];
    const logitsOf = async (skipped: number) => {
      const b = await CpuBackend.create({ threads: 2, maxRows: 8 });
      try {
        // never touched, so it takes no memory of the machine
        if (skipped > 0) b.tensor(1, skipped / 4);
        const [table, norm, matrix, narrow] = await withFile(matrices, (sources) => b.load(sources));
        const cache = b.cache({ layers: 1, slots: 1, positions: 256, kvHeads: 2, headDim: 64, ropeBase: 10_000 });
        const [x, q, mixed, last] = [1, 2, 3, 4].map(() => b.tensor(8, width));
        const [k, v, logits] = [b.tensor(8, 128), b.tensor(8, 128), b.tensor(8, rows)];
        const h = b.quantized(8, width);
        const all = Int32Array.from({ length: 8 }, (_, i) => i);
        b.begin({ tokens: all, slots: new Int32Array(8), positions: all, outputs: all });
        b.embed(x, table);
        b.normQuantize(h, x, norm, 1e-5);
        const projections = [
          { weight: matrix, out: q },
          { weight: narrow, out: k },
          { weight: narrow, out: v },
        ];
        b.ternary(projections, h);
        b.ropeStore(cache, 0, { q, k, v });
        b.attend(mixed, q, cache, 0);
        b.normQuantize(h, mixed, norm, 1e-5);
        b.ternary([{ weight: matrix, out: q, addTo: x }], h);
        b.gate(x, x, q, "silu");
        b.normOutputs(last, x, norm, 1e-5);
        b.logits(logits, table, last);
        await b.run();
        return await b.read(logits, 0, 8);
      } finally {
        await b.close();
      }
    };
    const want = await logitsOf(0);
    assert.ok(want.every(Number.isFinite));
    for (const gib of [2, 2.25, 3.5]) assert.deepEqual(await logitsOf(gib * 2 ** 30), want, `${gib} GiB`);
  });

  test("says what did not fit, and what to do", async () => {
    const b = await CpuBackend.create({ threads: 1, maxRows: 8 });
    const shape = { layers: 30, slots: 8, positions: 32_768, kvHeads: 5, headDim: 128, ropeBase: 10_000 };
    assert.throws(() => b.cache(shape), {
      code: "OUT_OF_MEMORY",
      message: /^key-value cache of 262144 positions: needs 19200 MiB beside \d+ MiB in use, of 4096 MiB/,
    });
    await b.close();
  });

  test("options are checked", async () => {
    for (const threads of [0, -1, 1.5, 257, Number.NaN]) {
      await assert.rejects(CpuBackend.create({ threads, maxRows: 1 }), /^RangeError: threads: expected an integer/);
    }
  });
});
