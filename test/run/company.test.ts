/** One kind of request: whatever its options, it shares batches with all others, and its answer is the one it gets alone. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { collect, type GenerateOptions, type Piece } from "../../src/index.js";
import { someIds } from "../engine/engines.js";
import { type Parts, type PartsOptions, withParts } from "./ahead.js";

const TOKENS = 12;
/** The logits of the random model lie far apart: top-p would leave one token. */
const HOT = { temperature: 14, topK: 40, topP: 1, minP: 0, ignoreEnd: true, maxTokens: TOKENS } as const;

const KINDS: Readonly<Record<string, GenerateOptions>> = {
  greedy: { ...HOT, temperature: 0 },
  sampled: { ...HOT },
  "with log probabilities": { ...HOT, logprobs: 2 },
  "with penalties": { ...HOT, presencePenalty: 30, repetitionPenalty: 1.2 },
  "with penalties over long windows": { ...HOT, frequencyPenalty: 9, repetitionWindow: 1000 },
  "with a bias": { ...HOT, logitBias: { 3: 20, 7: Number.NEGATIVE_INFINITY } },
  "without top-k": { ...HOT, topK: 0 },
};
const MIX = Object.values(KINDS);

const BACKENDS: readonly PartsOptions[] = [
  { backend: "reference", runsAhead: 1, maxRows: 64 },
  { backend: "cpu", runsAhead: 1, maxRows: 64 },
  { backend: "cpu", runsAhead: 2, maxRows: 64 },
  { backend: "cpu", runsAhead: 4, maxRows: 64 },
  { backend: "cpu", runsAhead: 4, maxRows: 64, head: "full" },
];

const promptOf = (i: number) => someIds(5, 300, i + 1);

async function pieces(answer: AsyncIterable<Piece>) {
  const all: Omit<Piece, "finish">[] = [];
  for await (const { finish, ...piece } of answer) all.push(piece);
  return all;
}

/** Answers at the same time, and the runs that they took. */
async function together({ session, queue }: Parts, company: readonly GenerateOptions[]) {
  const before = queue.runs;
  const answers = company.map((options, i) => pieces(session().generate(promptOf(i), { ...options, seed: i })));
  return { answers: await Promise.all(answers), runs: queue.runs - before };
}

describe("a mixed company takes as many runs as a like one", () => {
  for (const options of BACKENDS) {
    const { backend, runsAhead, head = "exact" } = options;
    test(`${backend}, ${runsAhead} runs ahead, ${head} head`, async () => {
      const runs = await withParts({ ...options, places: 64 }, async (parts) => {
        const counts: Record<string, number> = {};
        const count = Math.min(MIX.length, backend === "reference" ? 3 : MIX.length);
        for (const [name, kind] of Object.entries(KINDS)) {
          counts[name] = (await together(parts, Array(count).fill(kind))).runs;
        }
        counts.mixed = (await together(parts, MIX)).runs;
        return counts;
      });
      for (const [name, count] of Object.entries(runs)) assert.equal(count, TOKENS, name);
    });
  }
});

test("in company each gets the answer that it gets alone, scores included", async () => {
  const alone = await withParts({ runsAhead: 1 }, async ({ session }) => {
    const all: Awaited<ReturnType<typeof pieces>>[] = [];
    for (const [i, options] of MIX.entries()) {
      all.push(await pieces(session().generate(promptOf(i), { ...options, seed: i })));
    }
    return all;
  });
  for (const answer of alone) assert.equal(answer.length, TOKENS + 1);
  for (const options of BACKENDS.slice(1)) {
    for (const maxRows of [64, 3]) {
      const { answers } = await withParts({ ...options, maxRows }, (parts) => together(parts, MIX));
      assert.deepEqual(answers, alone, JSON.stringify({ ...options, maxRows }));
    }
  }
});

test("when the model moves to another backend all go on, and those that wait for a place too", async () => {
  const alone = await withParts({ runsAhead: 1 }, (parts) => together(parts, MIX));
  for (const failAt of [1, 2, 5, 11, 20]) {
    await withParts({ runsAhead: 4, recovers: true, places: 5 }, async (parts) => {
      parts.queue.failAt = failAt;
      const score = parts.session().score(someIds(40));
      const { answers } = await together(parts, MIX);
      assert.deepEqual(answers, alone.answers, `run ${failAt}`);
      assert.deepEqual(await score, await parts.session().score(someIds(40)));
      assert.ok(parts.queue.runs >= failAt);
      assert.equal(parts.queue.underWay, 0);
      assert.equal(parts.scheduler.backend.runsAhead, 1);
    });
  }
});

test("logits that are no distribution end the answer that they were for, and no other", async () => {
  const like = [HOT, HOT, HOT];
  const alone = await withParts({ runsAhead: 1 }, (parts) => together(parts, like));
  await withParts({ runsAhead: 4 }, async (parts) => {
    parts.queue.poisonAt = 5;
    const answers = like.map((options, i) => pieces(parts.session().generate(promptOf(i), { ...options, seed: i })));
    const ended = await Promise.allSettled(answers);
    const failed = ended.flatMap((end) => (end.status === "rejected" ? [String(end.reason)] : []));
    assert.equal(failed.length, 1);
    assert.match(failed[0], /expected finite numbers, got NaN/);
    for (const [i, end] of ended.entries()) {
      if (end.status === "fulfilled") assert.deepEqual(end.value, alone.answers[i]);
    }
  });
});

test("those that can run ahead do so again once the other has ended", async () => {
  await withParts({ runsAhead: 4 }, async ({ session, queue }) => {
    const other = session().generate(promptOf(0), { ...HOT, seed: 1, maxTokens: 5, logprobs: 1 });
    const answer = session().generate(promptOf(1), { ...HOT, seed: 1, maxTokens: 60 });
    await Promise.all([other.next(), answer.next()]);
    const longest: number[] = [];
    for (let left = 5; left > 0; left--) {
      queue.mostUnderWay = 0;
      await Promise.all([other.next(), answer.next()]);
      longest.push(queue.mostUnderWay);
    }
    assert.deepEqual(longest.slice(1, 4), [1, 1, 1], "the next run serves both");
    queue.mostUnderWay = 0;
    await collect(answer);
    assert.equal(queue.mostUnderWay, 4);
  });
});

test("one that is slow to ask for more holds nobody up", async () => {
  await withParts({ runsAhead: 4 }, async ({ session, queue }) => {
    const slow = session().generate(promptOf(0), { ...HOT, seed: 1, logprobs: 1 });
    await slow.next();
    const { ids } = await collect(session().generate(promptOf(1), { ...HOT, seed: 1, maxTokens: 40 }));
    assert.equal(ids.length, 40);
    assert.equal(queue.mostUnderWay, 4);
    await slow.return();
  });
});

test("an answer that fails here ends alone", async () => {
  for (const runsAhead of [1, 4]) {
    await withParts({ runsAhead }, async ({ session }) => {
      const beyond = session().generate(promptOf(0), { ...HOT, seed: 1, logitBias: { 5000: 1 } });
      const beside = session().generate(promptOf(1), { ...HOT, seed: 1 });
      const [failed, whole] = await Promise.allSettled([collect(beyond), collect(beside)]);
      assert.match(String(failed.status === "rejected" && failed.reason), /^RangeError: logitBias: /);
      assert.equal(whole.status === "fulfilled" && whole.value.ids.length, TOKENS);
    });
  }
});
