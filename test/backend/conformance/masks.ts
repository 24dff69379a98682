/** Masks: the best of the allowed ids are those of whole logits with -Infinity for all others, and draws choose from them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Backend, Batch, Best, Draw, Head, HeadKind, Tensor, Weight } from "../../../src/backend/backend.js";
import type { Variant } from "../../backends.js";
import { denseMatrix, type Matrix, randomOf } from "../files.js";
import { batchOf, MAX_ROWS, runOps, uniform, withBackend } from "./common.js";

const GREEDY: Draw = { temperature: 0, topK: 1, topP: 1, minP: 0, random: 0 };
const FREE: Draw = { temperature: 1.5, topK: 40, topP: 1, minP: 0, random: 0 };
const WIDTH = 128;
const ROWS = 6;
const MOST = 40;

/** A mask of the ids for which `allows` holds. */
export function maskOf(vocabulary: number, allows: (id: number) => boolean): Uint32Array {
  const mask = new Uint32Array(Math.ceil(vocabulary / 32));
  for (let id = 0; id < vocabulary; id++) if (allows(id)) mask[id >> 5] |= 1 << (id & 31);
  return mask;
}
const has = (mask: Uint32Array | undefined, id: number) =>
  mask === undefined || ((mask[id >> 5] >> (id & 31)) & 1) === 1;

/** Equal rows all over the table, so that ties cross words of a mask and shares of the head. */
function tableWithTies(vocabulary: number): Matrix {
  const table = denseMatrix({ name: "table", rows: vocabulary, columns: WIDTH }, "F16", 23);
  const rowBytes = table.bytes.length / vocabulary;
  for (let id = 7; id < vocabulary; id += 7) {
    const from = id % 3;
    table.bytes.copyWithin(id * rowBytes, from * rowBytes, (from + 1) * rowBytes);
    table.values.copyWithin(id * WIDTH, from * WIDTH, (from + 1) * WIDTH);
  }
  return table;
}

/** What `best` has to find, from whole logits: masked, sorted, cut, and in the order of ids. */
function bestOf(logits: Float32Array, mask: Uint32Array | undefined, count: number): Best {
  const masked = logits.map((logit, id) => (has(mask, id) ? logit : -Infinity));
  const ids = Int32Array.from(masked.keys()).filter((id) => masked[id] > -Infinity);
  const best = ids
    .sort((a, b) => masked[b] - masked[a] || a - b)
    .slice(0, count)
    .sort();
  return { ids: best, logits: Float32Array.from(best, (id) => masked[id]) };
}

interface Setup {
  readonly b: Backend;
  readonly table: Weight;
  readonly head: Head;
  readonly x: Tensor;
  readonly logits: Tensor;
  /** whole logits of each row */
  readonly rows: readonly Float32Array[];
}

async function withHead(
  variant: Variant,
  { vocabulary, kind }: { vocabulary: number; kind?: HeadKind },
  use: (setup: Setup) => Promise<void>,
): Promise<void> {
  await withBackend(variant, [tableWithTies(vocabulary)], async (b, [table]) => {
    const [x, logits] = [b.tensor(MAX_ROWS, WIDTH), b.tensor(MAX_ROWS, vocabulary)];
    const head = await b.head(table, ROWS, MOST, kind);
    b.write(x, uniform(ROWS * WIDTH, 61, 3 / Math.sqrt(WIDTH)));
    const rows = Array.from({ length: ROWS }, (_, i) => i);
    await runOps(b, batchOf(ROWS, { outputs: Int32Array.from(rows) }), () => b.logits(logits, table, x));
    await use({ b, table, head, x, logits, rows: await Promise.all(rows.map((row) => b.read(logits, row, 1))) });
  });
}

type Masks = readonly (Uint32Array | undefined)[];

function masked(draws: readonly Draw[], masks: Masks): Batch {
  const outputs = Int32Array.from(masks.keys());
  return batchOf(masks.length, { outputs, draws: draws.map((draw, row) => ({ ...draw, mask: masks[row] })) });
}

async function check({ b, head, x, rows }: Setup, masks: Masks, count: number, what: string): Promise<void> {
  const draw = { ...GREEDY, topK: count };
  const batch = masked(new Array(masks.length).fill(draw), masks);
  const ids = await runOps(b, batch, () => {
    b.best(head, x, count);
    b.sample(head);
  });
  for (const [row, mask] of masks.entries()) {
    const want = bestOf(rows[row], mask, count);
    assert.deepEqual(await b.readBest(head, row), want, `${what}, row ${row}, ${count} ids`);
    const [first] = want.ids.toSorted((i, j) => rows[row][j] - rows[row][i] || i - j);
    assert.equal(ids[row], first, `${what}, row ${row}, ${count} ids`);
  }
}

/** Sets of ids by name; the lowest are those of the row's least logits. */
function setsOf(vocabulary: number, row: Float32Array): Record<string, Uint32Array> {
  const lowest = new Set(
    Int32Array.from(row.keys())
      .sort((a, b) => row[a] - row[b])
      .subarray(0, Math.min(50, vocabulary >> 2)),
  );
  const random = randomOf(97);
  const part = (share: number) => maskOf(vocabulary, (id) => random() < share || id === 20);
  return {
    all: maskOf(vocabulary, () => true),
    "the last id": maskOf(vocabulary, (id) => id === vocabulary - 1),
    "the first id": maskOf(vocabulary, (id) => id === 0),
    "the lowest": maskOf(vocabulary, (id) => lowest.has(id)),
    "all but the lowest": maskOf(vocabulary, (id) => !lowest.has(id)),
    "equal rows": maskOf(vocabulary, (id) => id % 7 === 0 && id > 40),
    "bits beyond the vocabulary": maskOf(vocabulary, (id) => id % 5 === 0).map((word, i, { length }) => {
      return i === length - 1 && vocabulary % 32 !== 0 ? word | (-1 << (vocabulary % 32)) : word;
    }),
    half: part(0.5),
    "one in a hundred": part(0.01),
    "one word": maskOf(vocabulary, (id) => id >> 5 === vocabulary >> 6),
  };
}

export function masks(variant: Variant): void {
  // 1,100: several shares on the CPU; 5,003: several segments on the GPU; no multiple of a word or a group
  for (const vocabulary of [45, 1100, 5003]) {
    test(`best of the allowed ids is exact, vocabulary ${vocabulary}`, async () => {
      await withHead(variant, { vocabulary }, async (setup) => {
        const sets = Object.entries(setsOf(vocabulary, setup.rows[0]));
        for (const [i, [name, mask]] of sets.entries()) {
          for (const count of [1, 2, MOST]) {
            await check(setup, [mask], count, name);
            const other = sets[(i + 3) % sets.length][1];
            await check(setup, [undefined, mask, mask, undefined, other], count, `${name} in a batch`);
          }
        }
        await check(setup, [undefined, undefined], MOST, "no mask after masks");
      });
    });
  }

  test("an int8 head finds allowed ids only, and as many as there are", async () => {
    await withHead(variant, { vocabulary: 1100, kind: "int8" }, async ({ b, head, x, rows }) => {
      const free = await bests(b, head, x, [undefined]);
      for (const [name, mask] of Object.entries(setsOf(1100, rows[0]))) {
        const [{ ids }] = await bests(b, head, x, [mask]);
        assert.ok(
          ids.every((id) => has(mask, id)),
          name,
        );
        const allowed = rows[0].filter((_, id) => has(mask, id)).length;
        assert.equal(ids.length, Math.min(MOST, allowed), name);
        if (name === "all") assert.deepEqual(ids, free[0].ids);
      }
    });
  });

  test("draws never choose a masked id, greedy ones either, and choose each allowed one", async () => {
    await withHead(variant, { vocabulary: 1100 }, async ({ b, head, x }) => {
      const random = randomOf(5);
      const few = [3, 64, 700, 1099];
      const masks = [maskOf(1100, (id) => few.includes(id)), undefined, maskOf(1100, (id) => id % 11 === 4), undefined];
      const chosen = masks.map(() => new Set<number>());
      for (let i = 0; i < 200; i++) {
        const draws = masks.map((_, row) => (i % 10 === row ? GREEDY : { ...FREE, temperature: 30, random: random() }));
        const ids = await runOps(b, masked(draws, masks), () => {
          b.best(head, x, MOST);
          b.sample(head);
        });
        for (const [row, id] of ids.entries()) {
          assert.ok(has(masks[row], id), `row ${row}: ${id}`);
          chosen[row].add(id);
        }
      }
      assert.deepEqual(
        [...chosen[0]].sort((p, q) => p - q),
        few,
      );
      for (const ids of chosen.slice(1)) assert.ok(ids.size > 20, `${ids.size}`);
    });
  });

  test("`begin` copies masks", async () => {
    await withHead(variant, { vocabulary: 1100 }, async ({ b, head, x }) => {
      const mask = maskOf(1100, (id) => id === 9);
      b.begin(masked([GREEDY], [mask]));
      mask.fill(0);
      b.best(head, x, 1);
      b.sample(head);
      assert.deepEqual([...(await b.run())], [9]);
    });
  });

  test("a mask that allows no id, or of another length, is a RangeError", async () => {
    await withHead(variant, { vocabulary: 1100 }, async ({ b, head, x }) => {
      assert.throws(() => b.begin(masked([GREEDY], [new Uint32Array(35)])), RangeError);
      const beyond = new Uint32Array(35);
      beyond[34] = -1 << (1100 % 32);
      for (const mask of [beyond, new Uint32Array(34).fill(1), new Uint32Array(36).fill(1)]) {
        b.begin(masked([GREEDY, GREEDY], [undefined, mask]));
        assert.throws(() => b.best(head, x, 1), RangeError);
        await b.run();
      }
    });
  });
}

async function bests(b: Backend, head: Head, x: Tensor, masks: Masks): Promise<Best[]> {
  await runOps(b, masked(new Array(masks.length).fill(GREEDY), masks), () => b.best(head, x, MOST));
  return Promise.all(masks.map((_, row) => b.readBest(head, row)));
}
