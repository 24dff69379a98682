/** Ranked rows and rows of whole logits in one run. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Backend, type Draw, SAMPLED, type Weight } from "../../../src/backend/backend.js";
import type { Variant } from "../../backends.js";
import { denseMatrix, floats } from "../files.js";
import { batchOf, MAX_ROWS, runOps, uniform, withBackend } from "./common.js";

const GREEDY: Draw = { temperature: 0, topK: 1, topP: 1, minP: 0, random: 0 };
const FREE: Draw = { temperature: 1.2, topK: 12, topP: 0.9, minP: 0.01, random: 0.7 };

const [VOCABULARY, WIDTH, COUNT] = [1100, 128, 12];
const MATRICES = [
  denseMatrix({ name: "table", rows: VOCABULARY, columns: WIDTH }, "F16", 8),
  floats("norm", [...uniform(WIDTH, 9, 2)]),
];
const TOKENS = Int32Array.of(3, 900, 41, 17, 500);

/** A step of five rows in five slots, of which `outputs` reach the head. */
async function stepOf(b: Backend, [table, norm]: readonly Weight[]) {
  const [x, last] = [b.tensor(MAX_ROWS, WIDTH), b.tensor(MAX_ROWS, WIDTH)];
  const logits = b.tensor(MAX_ROWS, VOCABULARY);
  const head = await b.head(table, MAX_ROWS, 40);
  return async (outputs: readonly number[], ranked: number, draws: readonly (Draw | undefined)[], tokens = TOKENS) => {
    const slots = Int32Array.of(0, 1, 2, 3, 4);
    const batch = batchOf(5, { tokens, slots, outputs: Int32Array.from(outputs), ranked, draws });
    const ids = await runOps(b, batch, () => {
      b.embed(x, table);
      b.normOutputs(last, x, norm, 1e-5);
      if (ranked > 0) {
        b.best(head, last, COUNT);
        b.sample(head);
      }
      if (ranked < outputs.length) b.logits(logits, table, last);
      b.mark("logits", logits, "whole");
    });
    const rows = Array.from({ length: outputs.length - ranked }, (_, j) => b.read(logits, j, 1));
    const best = Array.from({ length: ranked }, (_, j) => b.readBest(head, j));
    return { ids: [...ids], rows: await Promise.all(rows), best: await Promise.all(best) };
  };
}

export function ranked(variant: Variant): void {
  test("ranked rows and whole rows of one run are those of runs of their own, bit for bit", async () => {
    await withBackend(variant, MATRICES, async (b, weights) => {
      const step = await stepOf(b, weights);
      for (const [first, second] of [
        [
          [0, 3],
          [1, 2, 4],
        ],
        [[4], [0]],
        [[1, 2, 4], [3]],
        [[0, 1, 2, 3, 4], []],
        [[], [0, 2]],
      ]) {
        const draws = first.map((_, i) => (i % 2 === 0 ? FREE : GREEDY));
        const alone = await step(first, first.length, draws);
        const whole = await step(second, 0, []);
        const both = await step([...first, ...second], first.length, draws);
        assert.deepEqual(both, { ids: alone.ids, best: alone.best, rows: whole.rows }, `${first} and ${second}`);
      }
    });
  });

  test("a mark of whole rows has the rows that are not ranked", async () => {
    await withBackend(variant, MATRICES, async (b, weights) => {
      const step = await stepOf(b, weights);
      const seen: { name: string; data: Float32Array; rows: number }[] = [];
      b.setTracer((name, data, rows) => seen.push({ name, data, rows }));
      const { rows } = await step([3, 0, 4], 1, [FREE]);
      assert.deepEqual(seen, [{ name: "logits", rows: 2, data: Float32Array.from(rows.flatMap((row) => [...row])) }]);
    });
  });

  test("a ranked row without a draw gives -1 and its best ids, and its slot keeps the id that it had", async () => {
    await withBackend(variant, MATRICES, async (b, weights) => {
      const step = await stepOf(b, weights);
      const reversed = TOKENS.slice().reverse();
      const before = await step([0, 1, 2], 3, [GREEDY, FREE, GREEDY]);
      const some = await step([0, 1, 2], 3, [GREEDY, undefined, undefined], reversed);
      assert.deepEqual((await step([0, 1], 2, [undefined, undefined])).ids, [-1, -1]);
      const fed = (token: number) => step([1], 0, [], TOKENS.with(1, token));
      assert.deepEqual(await fed(SAMPLED), await fed(before.ids[1]));
      const all = await step([0, 1, 2], 3, [GREEDY, FREE, GREEDY], reversed);
      assert.notDeepEqual(all.ids, before.ids, "the test says nothing otherwise");
      assert.deepEqual(some, { ...all, ids: [all.ids[0], -1, -1] });
    });
  });

  test("hidden rows are normalised with the others, and the logits of these are those of a run without them", async () => {
    await withBackend(variant, MATRICES, async (b, [table, norm]) => {
      const [x, last] = [b.tensor(MAX_ROWS, WIDTH), b.tensor(MAX_ROWS, WIDTH)];
      const logits = b.tensor(MAX_ROWS, VOCABULARY);
      const head = await b.head(table, MAX_ROWS, 40);
      const step = async (outputs: readonly number[], ranked: number, hidden: number) => {
        const slots = Int32Array.of(0, 1, 2, 3, 4);
        await runOps(
          b,
          batchOf(5, { tokens: TOKENS, slots, outputs: Int32Array.from(outputs), ranked, hidden }),
          () => {
            b.embed(x, table);
            b.normOutputs(last, x, norm, 1e-5);
            if (ranked > 0) b.best(head, last, COUNT);
            b.logits(logits, table, last);
          },
        );
        const states = await b.read(last, outputs.length - hidden, hidden);
        return { states, whole: await b.read(logits, 0, outputs.length - ranked - hidden) };
      };
      const all = await step([0, 1, 2, 3, 4], 0, 5);
      const state = (row: number) => [...all.states.subarray(row * WIDTH, (row + 1) * WIDTH)];
      const mixed = await step([1, 3, 0, 2, 4], 1, 3);
      assert.deepEqual([...mixed.states], [0, 2, 4].flatMap(state));
      assert.deepEqual(mixed.whole, (await step([1, 3], 1, 0)).whole);
      assert.deepEqual(mixed, await step([1, 3, 0, 2, 4], 1, 3), "as a shape that is known");
      for (const hidden of [-1, 5, 0.5]) {
        const outputs = Int32Array.of(0, 1, 2, 3, 4);
        assert.throws(() => b.begin(batchOf(5, { outputs, ranked: 1, hidden })), RangeError, `${hidden}`);
      }
    });
  });

  test("a number of ranked rows that there are not is refused, and so are draws of another number", async () => {
    await withBackend(variant, MATRICES, async (b, [table]) => {
      const outputs = Int32Array.of(0, 1);
      for (const wrong of [-1, 3, 0.5, Number.NaN]) {
        assert.throws(() => b.begin(batchOf(2, { outputs, ranked: wrong })), RangeError, `${wrong}`);
      }
      const [head, x] = [await b.head(table, 2, 8), b.tensor(MAX_ROWS, WIDTH)];
      for (const draws of [[], [GREEDY, GREEDY], undefined]) {
        b.begin(batchOf(2, { outputs, ranked: 1, draws }));
        b.best(head, x, 1);
        assert.throws(() => b.sample(head), RangeError);
        await b.run();
      }
    });
  });
}
