/** Answers that run ahead on the backend are those that take each step by itself, and end as they do. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Guide } from "../../src/grammar/guide.js";
import { collect, type GenerateOptions, type Session, TernionError } from "../../src/index.js";
import { generate } from "../../src/run/generate.js";
import { GREEDY, idsOf, PROMPT, someIds } from "../engine/engines.js";
import { type Parts, type PartsOptions, withParts } from "./ahead.js";

const AHEAD = 4;
/** The logits of the random model lie far apart: top-p would leave one token. */
const SEEDED = { temperature: 14, topK: 40, topP: 1, minP: 0, seed: 7, ignoreEnd: true } satisfies GenerateOptions;

/** One answer, and what the session holds after it. */
async function outcome(session: Session, prompt: string | readonly number[], options: GenerateOptions) {
  const { text, ids, finish } = await collect(session.generate(prompt, options));
  const { reason, stop, usage, seed } = finish;
  return { text, ids, reason, stop, usage, seed, tokens: [...session.tokens] };
}

/** The same on a backend that runs ahead and on one that does not. */
async function sameAhead<T>(use: (parts: Parts) => Promise<T>, options: Omit<PartsOptions, "runsAhead"> = {}) {
  const want = await withParts({ ...options, runsAhead: 1 }, use);
  await withParts({ ...options, runsAhead: AHEAD }, async (parts) => {
    assert.deepEqual(await use(parts), want);
    assert.equal(parts.queue.mostUnderWay, AHEAD);
    assert.equal(parts.queue.underWay, 0);
  });
  return want;
}

describe("an answer that runs ahead is the same", () => {
  const answers: GenerateOptions[] = [
    { ...GREEDY, seed: 1, maxTokens: 30 },
    { ...SEEDED, maxTokens: 60 },
    { ...SEEDED, seed: 2 ** 40 + 3, topK: 256, maxTokens: 30 },
    { ...SEEDED, topK: 5, minP: 1e-9, maxTokens: 30 },
    ...[0, 1, 2, 3, 4, 5, 6].map((maxTokens) => ({ ...SEEDED, maxTokens })),
  ];

  test("for any settings, number of tokens and prompt, from the cache or not", async () => {
    const all = await sameAhead(async ({ session }) => {
      const [results, long] = [[], session()] as [Awaited<ReturnType<typeof outcome>>[], Session];
      for (const options of answers) results.push(await outcome(session(), PROMPT, options));
      for (const length of [50, 20, 49, 50]) results.push(await outcome(long, someIds(length), answers[1]));
      return results;
    });
    const varied = all[1].ids;
    assert.ok(new Set(varied).size > varied.length / 3, "an answer that repeats itself shows nothing");
    assert.deepEqual(
      all.slice(-4).map(({ usage }) => usage.cachedTokens),
      [0, 19, 48, 49],
    );
  });

  test("with a stop string and with an end token", async () => {
    const plain = await withParts({ runsAhead: 1 }, (p) => outcome(p.session(), PROMPT, { ...SEEDED, maxTokens: 40 }));
    const at = plain.ids.findIndex((id, i) => i > 9 && plain.ids.indexOf(id) === i);
    const stop = plain.text.slice(12, 15);
    const [byText, byId] = await sameAhead(
      async ({ session }) => [
        await outcome(session(), PROMPT, { ...SEEDED, stop }),
        await outcome(session(), PROMPT, { ...SEEDED, ignoreEnd: false }),
      ],
      { stopIds: [plain.ids[at]] },
    );
    assert.deepEqual([byText.reason, byText.stop], ["stop", stop]);
    assert.ok(byText.text.length <= 12 && byText.ids.length > 0);
    assert.deepEqual([byId.reason, byId.ids], ["stop", plain.ids.slice(0, at)]);
  });

  test("to the end of the context, and through shifts of it", async () => {
    const [full, exact, shifted] = await sameAhead(
      async ({ session }) => [
        await outcome(session(), someIds(20), SEEDED),
        await outcome(session(), someIds(40), SEEDED),
        await outcome(session(), someIds(30), { ...SEEDED, overflow: "shift", keepTokens: 5, maxTokens: 70 }),
      ],
      { contextLength: 40 },
    );
    assert.deepEqual([full.reason, full.ids.length, full.tokens.length], ["context", 21, 40]);
    assert.deepEqual([exact.reason, exact.ids.length], ["context", 1]);
    assert.deepEqual([shifted.reason, shifted.ids.length], ["length", 70]);
  });

  test("beside others, and beside those that take each step by itself", async () => {
    const many = [
      { ...SEEDED, maxTokens: 30 },
      { ...SEEDED, maxTokens: 25, logprobs: 0 },
      { ...GREEDY, seed: 1, maxTokens: 12 },
      { ...SEEDED, maxTokens: 10, presencePenalty: 3 },
    ];
    const prompts = [PROMPT, someIds(33), someIds(70), "b"];
    for (const maxRows of [16, 2]) {
      await sameAhead(({ session }) => Promise.all(many.map((options, i) => outcome(session(), prompts[i], options))), {
        maxRows,
      });
    }
  });
});

test("a guide that lets all ids come at first is asked step by step from the id on that ends it", async () => {
  const guide = (free: number, words: number): Guide => {
    const taken: number[] = [];
    return {
      get isFree() {
        return taken.length < free;
      },
      mask: () => (taken.length < free ? undefined : new Uint32Array(words).fill(1 << (taken.length % 3))),
      accept: (id) => taken.push(id),
      forced: () => new Uint8Array(),
      done: false,
    };
  };
  for (const free of [0, 1, 6, 99]) {
    const use = async ({ timeline, tokenizer, queue }: Parts) => {
      const prepare = async () => ({ prompt: someIds(16), keepTokens: 0 });
      const options = {
        ...SEEDED,
        maxTokens: 24,
        prepare,
        guide: async () => guide(free, Math.ceil(tokenizer.size / 32)),
      };
      const { ids } = await collect(generate(timeline(), tokenizer, options));
      return { ids, ahead: queue.mostUnderWay };
    };
    const want = await withParts({ runsAhead: 1 }, use);
    const { ids, ahead } = await withParts({ runsAhead: AHEAD }, use);
    assert.deepEqual(ids, want.ids);
    assert.equal(ahead > 1, free > 0);
    for (const [i, id] of ids.entries()) if (i >= free) assert.equal(id % 32, i % 3);
  }
});

test("two answers share their batches", async () => {
  await withParts({ runsAhead: AHEAD }, async ({ session, queue }) => {
    const answers = [session(), session()].map((each) => idsOf(each, "b", { ...SEEDED, maxTokens: 40 }));
    const [a, b] = await Promise.all(answers);
    assert.deepEqual(a, b);
    assert.ok(queue.runs < 60, `${queue.runs} runs for 80 tokens`);
  });
});

test("a step whose id is chosen here is waited for, and alone has the backend to itself", async () => {
  for (const options of [{ logprobs: 1 }, { topK: 0 }, { repetitionPenalty: 1.2 }, { logitBias: { 3: 1 } }]) {
    await withParts({ runsAhead: AHEAD }, async ({ session, queue }) => {
      await idsOf(session(), someIds(16), { ...SEEDED, ...options, maxTokens: 6 });
      assert.equal(queue.mostUnderWay, 1, JSON.stringify(options));
    });
  }
  await withParts({ runsAhead: AHEAD }, async ({ session, scheduler, queue }) => {
    const answer = idsOf(session(), PROMPT, { ...SEEDED, maxTokens: 30 });
    const seen: number[] = [];
    for (let i = 0; i < 5; i++) {
      await scheduler.alone(async () => {
        seen.push(queue.underWay);
        await new Promise((resolve) => setImmediate(resolve));
        seen.push(queue.underWay);
      });
    }
    await answer;
    assert.deepEqual(seen, new Array(10).fill(0));
    assert.equal(queue.mostUnderWay, AHEAD);
  });
});

test("a consumer that pauses is waited for", async () => {
  await withParts({ runsAhead: AHEAD }, async ({ session, queue }) => {
    const prompt = someIds(10);
    const answer = session().generate(prompt, { ...SEEDED, maxTokens: 40 });
    for (let taken = 1; taken <= 10; taken++) {
      await answer.next();
      await queue.quiet();
      assert.equal(queue.rows - (prompt.length - 1), taken + AHEAD - 1);
    }
    await answer.return();
  });
});

describe("an end in the middle of an answer", () => {
  const whole = () => withParts({ runsAhead: 1 }, (p) => idsOf(p.session(), PROMPT, { ...SEEDED, maxTokens: 30 }));

  test("by abort: no piece follows, the cache holds true, nothing is under way", async () => {
    const want = await whole();
    await withParts({ runsAhead: AHEAD }, async ({ session, queue }) => {
      const [one, other] = [session(), session()];
      const beside = idsOf(other, PROMPT, { ...SEEDED, maxTokens: 30 });
      const abort = new AbortController();
      const ids: number[] = [];
      const aborted = async () => {
        for await (const { id } of one.generate(PROMPT, { ...SEEDED, signal: abort.signal })) {
          ids.push(id as number);
          if (ids.length === 7) abort.abort();
        }
      };
      await assert.rejects(aborted, { name: "AbortError" });
      assert.ok(
        queue.slots.every((slots) => !slots.includes(1)),
        "the other began first, in place 0",
      );
      assert.deepEqual(ids, want.slice(0, 7));
      const held = [...one.tokens];
      assert.deepEqual(held.slice(-5), want.slice(1, 6), "all but the last piece's");
      const next = await outcome(one, [...held, ...want.slice(6, 10)], { ...SEEDED, maxTokens: 20 });
      assert.ok(next.usage.cachedTokens >= held.length, "its own, and what the other has");
      assert.deepEqual(next.ids, want.slice(10));
      assert.deepEqual(await beside, want);
    });
  });

  test("by abort in a long prompt", async () => {
    await withParts({ runsAhead: AHEAD, maxRows: 4 }, async ({ session, queue }) => {
      const abort = new AbortController();
      const [one, prompt] = [session(), someIds(200)];
      const answer = assert.rejects(idsOf(one, prompt, { ...SEEDED, signal: abort.signal }), { name: "AbortError" });
      while (one.tokens.length < 20) await new Promise((resolve) => setImmediate(resolve));
      abort.abort();
      await answer;
      assert.equal(queue.underWay, 0);
      assert.equal(one.tokens.length, queue.rows);
      assert.ok(queue.rows < 100, `${queue.rows} rows`);
      assert.deepEqual(one.tokens, prompt.slice(0, queue.rows));
    });
  });

  test("by a consumer that leaves", async () => {
    const want = await whole();
    await withParts({ runsAhead: AHEAD }, async ({ session, queue }) => {
      const one = session();
      for (const count of [1, 5]) {
        let taken = 0;
        for await (const _ of one.generate(PROMPT, SEEDED)) if (++taken === count) break;
        assert.equal(queue.underWay, 0);
        const promptTokens = one.tokens.length - (count - 1);
        assert.deepEqual(one.tokens.slice(promptTokens), want.slice(0, count - 1));
      }
      assert.deepEqual(await idsOf(one, PROMPT, { ...SEEDED, maxTokens: 30 }), want);
    });
  });

  test("by the end of the engine", async () => {
    await withParts({ runsAhead: AHEAD }, async ({ session, scheduler, queue }) => {
      const reason = new TernionError("CLOSED", "over");
      const one = session();
      const answer = one.generate(PROMPT, SEEDED);
      await answer.next();
      const ended = assert.rejects(collect(answer), reason);
      await new Promise((resolve) => setImmediate(resolve));
      scheduler.stop(reason);
      await ended;
      assert.equal(queue.underWay, 0);
      await assert.rejects(idsOf(one, PROMPT, SEEDED), reason);
    });
  });

  test("by a run that fails: all answers end with its error, and all later ones", async () => {
    const failed = { code: "BACKEND_FAILED", message: "run 9 failed" };
    await withParts({ runsAhead: AHEAD }, async ({ session, queue }) => {
      queue.failAt = 9;
      const [a, b, c] = [session(), session(), session()];
      const paused = c.generate(PROMPT, SEEDED);
      await paused.next();
      await Promise.all([
        assert.rejects(idsOf(a, PROMPT, SEEDED), failed),
        assert.rejects(idsOf(b, PROMPT, { ...SEEDED, logprobs: 1 }), failed),
      ]);
      await assert.rejects(collect(paused), failed);
      assert.equal(queue.underWay, 0);
      await assert.rejects(idsOf(a, PROMPT, SEEDED), failed);
      await Promise.all([a, b, c].map((each) => each.close()));
    });
  });
});
