/** Places in the cache: who waits, who gives its place up, and that an answer is the same however often it lost its place. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { collect, Engine, type GenerateOptions, perplexity, type Session, TernionError } from "../../src/index.js";
import type { Asker, Places } from "../../src/run/places.js";
import { freshIds, GREEDY, idsOf, PROMPT, someIds, TINY, VARIED, withEngine } from "../engine/engines.js";
import { withParts } from "./ahead.js";

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function cachedOf(session: Session, prompt: string | readonly number[], options: GenerateOptions) {
  return (await collect(session.generate(prompt, options))).finish.usage.cachedTokens;
}

/** Ids that share nothing for different seeds. */
const idsFrom = (seed: number, count = 5) => someIds(count, 300, 1000 * seed + 1);

function asker(places: Places, ids: readonly number[], more: Partial<Asker> = {}): Asker {
  return { ticket: places.ticket(), owner: {}, tokens: [], ids, isKnown: false, ...more };
}

/** What is known once those who can have a place have one. */
async function settled<T>(promise: Promise<T>): Promise<T | undefined> {
  const none = (async () => {
    for (let i = 0; i < 5; i++) await turn();
    return undefined;
  })();
  return Promise.race([promise, none]);
}

describe("places", () => {
  test("are given to those who wait in the order of their coming, and one who comes back is before later ones", async () => {
    await withParts({ runsAhead: 1, places: 1 }, async ({ places }) => {
      const held = await places.acquire(asker(places, idsFrom(0)));
      assert.deepEqual(places.activity, { running: 1, waiting: 0 });
      const order: string[] = [];
      const early = places.ticket();
      const wait = async (name: string, more: Partial<Asker> = {}) => {
        const place = await places.acquire(asker(places, idsFrom(1), more));
        order.push(name);
        place.release();
      };
      const waiting = [wait("b"), wait("c"), wait("d"), wait("early", { ticket: early, isKnown: true })];
      await settled(Promise.all(waiting));
      assert.deepEqual([order, places.activity.waiting], [[], 4]);
      held.release();
      held.release();
      await Promise.all(waiting);
      assert.deepEqual(order, ["early", "b", "c", "d"]);
      assert.deepEqual(places.activity, { running: 0, waiting: 0 });
    });
  });

  test("are waited for until there are blocks, for what others were let in for too", async () => {
    await withParts({ runsAhead: 1, places: 4, contextLength: 512, cachePositions: 512 }, async ({ places }) => {
      const half = await places.acquire(asker(places, idsFrom(0, 200))); // 2 of 4 blocks, none taken yet
      const large = places.acquire(asker(places, idsFrom(1, 300)));
      const small = places.acquire(asker(places, idsFrom(2, 5)));
      assert.equal(await settled(Promise.race([large, small])), undefined, "the small one does not pass the large one");
      half.release();
      (await large).release();
      (await small).release();
      const whole = await places.acquire(asker(places, idsFrom(0, 512)));
      assert.equal(await settled(places.acquire(asker(places, idsFrom(2, 5)))), undefined);
      whole.release();
    });
  });

  test("are waited for by so many, with a signal, and until the end", async () => {
    await withParts({ runsAhead: 1, places: 1, maxWaiting: 2 }, async ({ places }) => {
      const held = await places.acquire(asker(places, idsFrom(0)));
      const abort = new AbortController();
      const first = places.acquire(asker(places, idsFrom(1)), abort.signal);
      const second = places.acquire(asker(places, idsFrom(1)));
      await assert.rejects(places.acquire(asker(places, idsFrom(1))), code("BUSY"));
      const back = places.acquire(asker(places, idsFrom(1), { isKnown: true }));
      const reason = new Error("enough");
      abort.abort(reason);
      await assert.rejects(first, (error) => error === reason);
      held.release();
      assert.ok((await second).isOpen);
      const closed = new TernionError("CLOSED", "over");
      places.close(closed);
      await assert.rejects(back, closed);
      await assert.rejects(places.acquire(asker(places, idsFrom(1))), closed);
    });
  });
});

/** An answer that has a place, and whose caller goes on asking until it ends it. */
async function computing(engine: Engine) {
  const abort = new AbortController();
  const answer = engine.session().generate(PROMPT, { ...VARIED, overflow: "shift", signal: abort.signal });
  const ended = collect(answer).catch((error) => {
    if (error.name !== "AbortError") throw error;
  });
  ended.catch(() => {});
  while (engine.activity.running === 0) await turn();
  return {
    async end() {
      abort.abort();
      await ended;
    },
  };
}

describe("more sessions than places", () => {
  for (const options of [{ maxSessions: 1 }, { maxSessions: 3 }, { maxSessions: 3, batchSize: 2 }]) {
    test(`all answer as alone, in the order of their coming, ${JSON.stringify(options)}`, async () => {
      await withEngine(options, async (engine) => {
        const answer = { ...VARIED, maxTokens: 6 };
        const prompts = Array.from({ length: 9 }, (_, i) => someIds(4, 300, i + 1));
        const alone: number[][] = [];
        for (const prompt of prompts) alone.push(await freshIds(engine, prompt, answer));
        const order: number[] = [];
        const sessions = prompts.map(() => engine.session());
        for (let round = 0; round < 2; round++) {
          const answers = sessions.map(async (session, i) => {
            const ids = await idsOf(session, prompts[i], answer);
            order.push(i);
            return ids;
          });
          assert.deepEqual(await Promise.all(answers), alone);
        }
        if (options.batchSize === undefined) assert.deepEqual(order.slice(0, 9), [...prompts.keys()]);
      });
    });
  }

  test("what was used longest ago goes, and its next answer is as if it had not", async () => {
    await withEngine({ contextLength: 128, cachePositions: 256 }, async (engine) => {
      assert.equal(engine.cacheUse.blocks, 2);
      const answer = { ...VARIED, maxTokens: 8 };
      const whole = await freshIds(engine, PROMPT, { ...answer, maxTokens: 24 });
      const [a, b, c] = [engine.session(), engine.session(), engine.session()];
      const first = await idsOf(a, PROMPT, answer);
      await idsOf(b, someIds(20), answer);
      const went = [...a.tokens];
      await idsOf(c, someIds(30, 300, 2), answer);
      assert.deepEqual(a.tokens, went, "what it has computed is not forgotten");
      assert.equal(await cachedOf(b, someIds(20), answer), 19, "it was used after a");
      const beginning = [...engine.tokenizer.encode(PROMPT), ...first];
      const { ids, finish } = await collect(a.generate(beginning, answer));
      assert.equal(finish.usage.cachedTokens, 0);
      assert.deepEqual([...first, ...ids], whole.slice(0, 16));
      const next = await collect(a.generate([...beginning, ...ids], answer));
      assert.equal(next.finish.usage.cachedTokens, beginning.length + ids.length - 1);
      assert.deepEqual(next.ids, whole.slice(16));
      assert.equal(await cachedOf(c, someIds(30, 300, 2), answer), 0, "b was used after it");
    });
  });

  test("a session that waits may be aborted, and the queue goes on", async () => {
    await withEngine({ maxSessions: 1 }, async (engine) => {
      const want = await freshIds(engine, PROMPT, { ...VARIED, maxTokens: 5 });
      const holding = await computing(engine);
      const abort = new AbortController();
      const order: string[] = [];
      const waiting = ["b", "c", "d", "e"].map(async (name) => {
        const signal = name === "c" ? abort.signal : undefined;
        const ids = await idsOf(engine.session(), PROMPT, { ...VARIED, maxTokens: 5, signal });
        order.push(name);
        return ids;
      });
      const all = Promise.allSettled(waiting);
      for (let i = 0; i < 20; i++) await turn();
      assert.deepEqual(order, []);
      abort.abort();
      await assert.rejects(waiting[1], { name: "AbortError" });
      await holding.end();
      const outcomes = await all;
      assert.deepEqual(order, ["b", "d", "e"]);
      for (const i of [0, 2, 3]) assert.deepEqual(outcomes[i], { status: "fulfilled", value: want });
    });
  });

  test("one more than may wait is refused with BUSY, and may try again", async () => {
    await withEngine({ maxSessions: 1, maxWaiting: 1 }, async (engine) => {
      const holding = await computing(engine);
      const waiting = idsOf(engine.session(), PROMPT, { ...VARIED, maxTokens: 3 });
      for (let i = 0; i < 20; i++) await turn();
      const late = engine.session();
      const busy = { code: "BUSY", message: /maxSessions: 1\), and 1 calls wait .* maxWaiting\.$/ };
      await assert.rejects(idsOf(late, PROMPT, GREEDY), busy);
      await assert.rejects(late.score([1, 2, 3]), busy);
      await assert.rejects(engine.trace([1]), busy);
      await assert.rejects(engine.selfCheck(), busy);
      await holding.end();
      assert.equal((await waiting).length, 3);
      assert.deepEqual(await idsOf(late, PROMPT, { ...VARIED, maxTokens: 3 }), await waiting);
    });
  });

  test("trace, score, perplexity and the self-check wait as answers do", async () => {
    await withEngine({ maxSessions: 1 }, async (engine) => {
      const session = engine.session();
      const want = [
        await engine.trace([1, 2]),
        await session.score(someIds(20)),
        (await perplexity(engine, "a b")).loss,
      ];
      const holding = await computing(engine);
      let done = 0;
      const waiting = [
        engine.trace([1, 2]),
        session.score(someIds(20)),
        perplexity(engine, "a b").then(({ loss }) => loss),
        engine.selfCheck(),
      ].map(async (work) => {
        const result = await work;
        done++;
        return result;
      });
      for (let i = 0; i < 50; i++) await turn();
      assert.equal(done, 0);
      await holding.end();
      assert.deepEqual((await Promise.all(waiting)).slice(0, 3), want);
    });
  });

  test("closing the engine ends those that wait, and closing a session gives its place on", async () => {
    const engine = await Engine.load(TINY, { backend: "cpu", threads: 1, contextLength: 64, maxSessions: 1 });
    const held = engine.session();
    await idsOf(held, "b", { ...GREEDY, maxTokens: 2 });
    await held.close();
    const holding = await computing(engine);
    const session = engine.session();
    const waiting = [idsOf(session, "x", GREEDY), session.score([1, 2]), engine.trace([1])];
    const outcomes = Promise.allSettled(waiting);
    for (let i = 0; i < 20; i++) await turn();
    await assert.rejects(session.close(), code("SESSION_BUSY"));
    await engine.close();
    await assert.rejects(holding.end(), code("CLOSED"));
    const codes = (await outcomes).map((outcome) => outcome.status === "rejected" && outcome.reason.code);
    assert.deepEqual(codes, ["CLOSED", "SESSION_BUSY", "CLOSED"]);
    await session.close();
  });

  test("nobody starves beside sessions that ask again and again", async () => {
    await withEngine({ maxSessions: 2 }, async (engine) => {
      let over = false;
      const greedy = [1, 2, 3].map(async (i) => {
        const session = engine.session();
        let answers = 0;
        for (; !over; answers++) await idsOf(session, someIds(3, 300, i), { ...GREEDY, maxTokens: 4 });
        return answers;
      });
      for (let i = 0; i < 5; i++) await freshIds(engine, someIds(9, 300, 9), { ...GREEDY, maxTokens: 4 });
      over = true;
      for (const answers of await Promise.all(greedy)) assert.ok(answers > 2 && answers < 20, `${answers} answers`);
    });
  });
});
