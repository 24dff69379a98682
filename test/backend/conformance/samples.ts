/** Sampling and what it feeds: draws, sampled ids as tokens, runs called ahead. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Backend,
  type Batch,
  type Draw,
  type Head,
  NO_DISTRIBUTION,
  SAMPLED,
  type Weight,
} from "../../../src/backend/backend.js";
import type { Variant } from "../../backends.js";
import { denseMatrix, floats } from "../files.js";
import { batchOf, MAX_ROWS, runOps, uniform, withBackend } from "./common.js";

const GREEDY: Draw = { temperature: 0, topK: 1, topP: 1, minP: 0, random: 0 };
const FREE: Draw = { temperature: 1, topK: 40, topP: 1, minP: 0, random: 0 };

const DRAWS: Readonly<Record<string, Partial<Draw>>> = {
  "top-k": { topK: 5 },
  temperature: { temperature: 1.7 },
  "low temperature": { temperature: 0.4 },
  "top-p": { topP: 0.8 },
  "min-p": { minP: 0.1 },
  "all of them": { temperature: 1.3, topK: 9, topP: 0.95, minP: 0.02 },
  "top-p that leaves one": { topP: 0 },
  "min-p that leaves one": { minP: 1 },
};

/** Ids with their part of the distribution, in the order of the draw, as its definition reads. */
function distribution(logits: Float32Array, { temperature, topK, topP, minP }: Draw): { id: number; part: number }[] {
  const softmax = (row: readonly { logit: number }[], t: number) => {
    const weights = row.map(({ logit }) => Math.exp(logit / t));
    const sum = weights.reduce((a, b) => a + b, 0);
    return weights.map((weight) => weight / sum);
  };
  const all = Array.from(logits, (logit, id) => ({ id, logit }));
  const best = all.sort((a, b) => b.logit - a.logit || a.id - b.id).slice(0, topK);
  const parts = softmax(best, 1);
  const before = parts.map((_, i) => parts.slice(0, i).reduce((a, b) => a + b, 0));
  const nucleus = best.filter((_, i) => topP === 1 || i === 0 || before[i] < topP);
  const kept = nucleus.filter((_, i) => i === 0 || parts[i] >= minP * parts[0]);
  for (const sum of before.slice(1))
    assert.ok(topP === 1 || Math.abs(sum - topP) > 1e-4, "the test's own row is at an edge");
  return softmax(kept, temperature).map((part, i) => ({ id: kept[i].id, part }));
}

export function samples(variant: Variant): void {
  const [vocabulary, width] = [45, 128];
  const matrices = [
    denseMatrix({ name: "table", rows: vocabulary, columns: width }, "F16", 5),
    floats("norm", [...uniform(width, 6, 2)]),
  ];

  test("sample draws by temperature, top-k, top-p and min-p: each id in its own part of 0 to 1", async () => {
    await withBackend(variant, matrices, async (b, [table]) => {
      const [x, logits] = [b.tensor(MAX_ROWS, width), b.tensor(MAX_ROWS, vocabulary)];
      const head = await b.head(table, MAX_ROWS, 40);
      b.write(x, uniform(width, 31, 4 / Math.sqrt(width)));
      const batch = batchOf(1, { outputs: Int32Array.of(0) });
      await runOps(b, batch, () => b.logits(logits, table, x));
      const row = await b.read(logits, 0, 1);
      for (const [name, settings] of Object.entries(DRAWS)) {
        let sum = 0;
        for (const { id, part } of distribution(row, { ...FREE, ...settings })) {
          const edges = part > 1e-3 ? [sum + 1e-4, sum + part / 2, sum + part - 1e-4] : [];
          sum += part;
          for (const random of edges) {
            const draw = { ...FREE, ...settings, random };
            const got = await runOps(b, { ...batch, draws: [draw] }, () => {
              b.best(head, x, 40);
              b.sample(head);
            });
            assert.deepEqual([...got], [id], `${name}, random ${random}`);
          }
        }
      }
    });
  });

  test("sample goes by the row: each has its own draw, and greedy takes the lower of equal ids", async () => {
    const twice = denseMatrix({ name: "twice", rows: vocabulary, columns: width }, "F16", 7);
    const rowBytes = twice.bytes.length / vocabulary;
    twice.bytes.copyWithin(30 * rowBytes, 8 * rowBytes, 9 * rowBytes);
    twice.values.copyWithin(30 * width, 8 * width, 9 * width);
    await withBackend(variant, [twice], async (b, [table]) => {
      const [x, logits] = [b.tensor(MAX_ROWS, width), b.tensor(MAX_ROWS, vocabulary)];
      const head = await b.head(table, 4, 40);
      const input = uniform(4 * width, 41, 3 / Math.sqrt(width));
      input.set(Float32Array.from(twice.values.subarray(8 * width, 9 * width)), width); // likes 8 and 30 best
      b.write(x, input);
      const batch = batchOf(6, { outputs: Int32Array.of(0, 2, 3, 5) });
      await runOps(b, batch, () => b.logits(logits, table, x));
      const rows = await Promise.all([0, 1, 2, 3].map((j) => b.read(logits, j, 1)));
      const settings = [{ ...FREE, topK: 7 }, GREEDY, { ...FREE, temperature: 3 }, { ...FREE, topK: 1 }];
      const last = settings.map((draw, j) => distribution(rows[j], { ...draw, temperature: draw.temperature || 1 }));
      const draws = settings.map((draw, j) => {
        return { ...draw, random: 1 - (last[j].at(-1)?.part ?? 0) / 2 };
      });
      const got = await runOps(b, { ...batch, draws }, () => {
        b.best(head, x, 40);
        b.sample(head);
      });
      assert.deepEqual([...got], [last[0].at(-1)?.id, 8, last[2].at(-1)?.id, last[3][0].id]);
    });
  });

  test("a row that is no distribution gives no id, and the others theirs; its slot's next run is an ordinary one", async () => {
    await withBackend(variant, matrices, async (b, [table]) => {
      const [x, y] = [b.tensor(MAX_ROWS, width), b.tensor(MAX_ROWS, width)];
      const head = await b.head(table, MAX_ROWS, 40);
      const input = uniform(3 * width, 31, 4 / Math.sqrt(width));
      const slots = Int32Array.of(4, 2, 3);
      const batch = batchOf(3, { slots, outputs: Int32Array.of(0, 1, 2), draws: [FREE, GREEDY, FREE] });
      const sampled = (rows: Float32Array) => {
        b.write(x, rows);
        return runOps(b, batch, () => {
          b.best(head, x, 40);
          b.sample(head);
        });
      };
      const sound = await sampled(input);
      for (const poison of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const poisoned = input.slice().fill(poison, width, 2 * width);
        assert.deepEqual([...(await sampled(poisoned))], [sound[0], NO_DISTRIBUTION, sound[2]]);
        await runOps(b, { ...batch, tokens: new Int32Array(3).fill(SAMPLED), draws: undefined }, () =>
          b.embed(y, table),
        );
        assert.deepEqual([...(await sampled(input))], [...sound]);
      }
    });
  });

  test("of several rows of one slot the id of the last one with a draw stays", async () => {
    await withBackend(variant, matrices, async (b, [table]) => {
      const [x, y] = [b.tensor(MAX_ROWS, width), b.tensor(MAX_ROWS, width)];
      const head = await b.head(table, MAX_ROWS, 40);
      b.write(x, uniform(MAX_ROWS * width, 33, 4 / Math.sqrt(width)));
      const rows = Int32Array.from({ length: 12 }, (_, i) => i);
      const batch = batchOf(12, { slots: rows.map((i) => i % 2), outputs: rows });
      const draws = Array.from(rows, (i) => (i === 11 ? undefined : GREEDY));
      const ids = await runOps(b, { ...batch, draws }, () => {
        b.best(head, x, 1);
        b.sample(head);
      });
      assert.ok(new Set(ids).size > 6, "other rows have other ids");
      const tokens = new Int32Array(2).fill(SAMPLED);
      await runOps(b, batchOf(2, { tokens, slots: Int32Array.of(0, 1) }), () => b.embed(y, table));
      const got = await b.read(y, 0, 2);
      await runOps(b, batchOf(2, { tokens: Int32Array.of(ids[10], ids[9]) }), () => b.embed(y, table));
      assert.deepEqual(got, await b.read(y, 0, 2));
    });
  });

  test("run gives no ids where nothing was sampled; wrong draws are refused", async () => {
    await withBackend(variant, matrices, async (b, [table]) => {
      const x = b.tensor(MAX_ROWS, width);
      const head = await b.head(table, 4, 8);
      const batch = batchOf(2, { outputs: Int32Array.of(0, 1) });
      const got = await runOps(b, { ...batch, draws: [GREEDY, GREEDY] }, () => b.best(head, x, 1));
      assert.equal(got.length, 0);
      for (const draws of [undefined, [GREEDY], [GREEDY, { ...FREE, topK: 0 }], [GREEDY, { ...FREE, topK: 9 }]]) {
        b.begin({ ...batch, draws });
        b.best(head, x, 8);
        assert.throws(() => b.sample(head), RangeError);
        await b.run();
      }
    });
  });

  test("a sampled id is the token of its slot in later runs, as many of them called ahead as may be", async () => {
    await withBackend(variant, matrices, async (b, weights) => {
      const steps = await chain(b, weights);
      const start = { tokens: Int32Array.of(3, 9, 20), slots: Int32Array.of(0, 1, 2) };
      const ids: number[][] = [[...start.tokens]];
      for (let step = 0; step < 12; step++) ids.push([...(await steps(ids[step], start.slots, step))]);
      assert.ok(new Set(ids.flat()).size > 6, "the chain says nothing if it repeats itself");

      const results: Promise<Int32Array>[] = [];
      for (let step = 0; step < 12; step++) {
        if (step >= b.runsAhead) await results[step - b.runsAhead];
        // rows change places: ids go by slot
        const slots = start.slots.map((_, i) => (i + step) % 3);
        const tokens = step === 0 ? start.tokens : slots.map(() => SAMPLED);
        results.push(steps([...tokens], slots, step));
      }
      for (const [step, result] of results.entries()) {
        const want = [0, 1, 2].map((i) => ids[step + 1][(i + step) % 3]);
        assert.deepEqual([...(await result)], want, `step ${step}`);
      }
    });
  });

  test("a slot keeps its sampled id while others run, and ids of the caller's stand beside sampled ones", async () => {
    await withBackend(variant, matrices, async (b, weights) => {
      const steps = await chain(b, weights);
      const [kept] = await steps([7], Int32Array.of(1), 0);
      await steps([8], Int32Array.of(0), 0);
      await steps([SAMPLED], Int32Array.of(0), 1);
      const want = await steps([kept, 30], Int32Array.of(1, 2), 2);
      assert.deepEqual(
        await steps([SAMPLED, 30], Int32Array.of(2, 1), 2),
        await steps([want[1], 30], Int32Array.of(2, 1), 2),
      );
      await steps([7], Int32Array.of(1), 0);
      assert.deepEqual(await steps([SAMPLED, 30], Int32Array.of(1, 2), 2), want);
    });
  });
}

/** A step from tokens to sampled ids, one row a slot; the random number goes by slot and step. */
async function chain(b: Backend, [table, norm]: readonly Weight[]) {
  const [x, last] = [b.tensor(MAX_ROWS, table.columns), b.tensor(MAX_ROWS, table.columns)];
  const head: Head = await b.head(table, MAX_ROWS, 40);
  return (tokens: readonly number[], slots: Int32Array, step: number): Promise<Int32Array> => {
    const rows = tokens.map((_, row) => row);
    const random = uniform(3 * 100, 17);
    const batch: Batch = {
      tokens: Int32Array.from(tokens),
      slots,
      positions: slots.map(() => step),
      outputs: Int32Array.from(rows),
      draws: Array.from(slots, (slot) => ({ ...FREE, topK: 12, random: (random[3 * step + slot] + 1) / 2 })),
    };
    return runOps(b, batch, () => {
      b.embed(x, table);
      b.normOutputs(last, x, norm, 1e-5);
      b.best(head, last, 40);
      b.sample(head);
    });
  };
}
