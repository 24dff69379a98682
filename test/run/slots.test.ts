/** Places in the cache: who waits, who goes, and that an answer is the same however often its session lost its place. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { collect, Engine, type GenerateOptions, perplexity, type Session, TernionError } from "../../src/index.js";
import { Slots } from "../../src/run/slots.js";
import { freshIds, GREEDY, idsOf, PROMPT, someIds, TINY, VARIED, withEngine } from "../engine/engines.js";

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function cachedOf(session: Session, prompt: string | readonly number[], options: GenerateOptions) {
  return (await collect(session.generate(prompt, options))).finish.usage.cachedTokens;
}

describe("places", () => {
  const [a, b, c, d] = [{ name: "a" }, { name: "b" }, { name: "c" }, { name: "d" }];

  test("are kept by those who compute nothing, until the one used longest ago has to go", async () => {
    const slots = new Slots(2);
    assert.deepEqual(await slots.acquire(a), { slot: 0, kept: false });
    assert.deepEqual(await slots.acquire(b), { slot: 1, kept: false });
    slots.release(a);
    slots.release(b);
    assert.deepEqual(await slots.acquire(a), { slot: 0, kept: true });
    slots.release(a);
    assert.deepEqual(await slots.acquire(c), { slot: 1, kept: false }, "b was used longest ago");
    slots.release(c);
    assert.deepEqual(await slots.acquire(b), { slot: 0, kept: false });
  });

  test("are given to those who wait in the order of their coming", async () => {
    const slots = new Slots(1);
    await slots.acquire(a);
    const order: string[] = [];
    const waiting = [b, c, d].map(async (holder) => {
      const place = await slots.acquire(holder);
      order.push(holder.name);
      slots.release(holder);
      return place;
    });
    await turn();
    assert.deepEqual(order, []);
    slots.release(a);
    assert.deepEqual(await Promise.all(waiting), Array(3).fill({ slot: 0, kept: false }));
    assert.deepEqual(order, ["b", "c", "d"]);
    assert.deepEqual(await slots.acquire(a), { slot: 0, kept: false }, "it went to others");
  });

  test("that nobody holds any more go first", async () => {
    const slots = new Slots(2);
    await slots.acquire(a);
    slots.release(a);
    await slots.acquire(b);
    slots.drop(b);
    slots.drop(b);
    assert.deepEqual(await slots.acquire(c), { slot: 1, kept: false });
    assert.deepEqual(await slots.acquire(a), { slot: 0, kept: true });
    const waiting = slots.acquire(d);
    slots.drop(c);
    assert.deepEqual(await waiting, { slot: 1, kept: false });
  });

  test("are waited for by so many, with a signal, and until the end", async () => {
    const slots = new Slots(1, 2);
    await slots.acquire(a);
    const abort = new AbortController();
    const first = slots.acquire(b, abort.signal);
    const second = slots.acquire(c);
    await assert.rejects(slots.acquire(d), code("BUSY"));
    const reason = new Error("enough");
    abort.abort(reason);
    await assert.rejects(first, (error) => error === reason);
    const third = slots.acquire(d);
    slots.release(a);
    assert.deepEqual(await second, { slot: 0, kept: false });
    const closed = new TernionError("CLOSED", "over");
    slots.close(closed);
    await assert.rejects(third, closed);
    await assert.rejects(slots.acquire(b), closed);
  });
});

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

  test("the one used longest ago goes, and its next answer is as if it had not", async () => {
    await withEngine({ maxSessions: 2 }, async (engine) => {
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
      const holding = engine.session().generate(PROMPT, VARIED);
      await holding.next();
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
      await holding.return();
      const outcomes = await all;
      assert.deepEqual(order, ["b", "d", "e"]);
      for (const i of [0, 2, 3]) assert.deepEqual(outcomes[i], { status: "fulfilled", value: want });
    });
  });

  test("one more than may wait is refused with BUSY, and may try again", async () => {
    await withEngine({ maxSessions: 1, maxWaiting: 1 }, async (engine) => {
      const holding = engine.session().generate(PROMPT, VARIED);
      await holding.next();
      const waiting = idsOf(engine.session(), PROMPT, { ...VARIED, maxTokens: 3 });
      for (let i = 0; i < 20; i++) await turn();
      const late = engine.session();
      const busy = { code: "BUSY", message: /maxSessions: 1\), and 1 calls wait .* maxWaiting\.$/ };
      await assert.rejects(idsOf(late, PROMPT, GREEDY), busy);
      await assert.rejects(late.score([1, 2, 3]), busy);
      await assert.rejects(engine.trace([1]), busy);
      await assert.rejects(engine.selfCheck(), busy);
      await holding.return();
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
      const holding = engine.session().generate(PROMPT, VARIED);
      await holding.next();
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
      await holding.return();
      assert.deepEqual((await Promise.all(waiting)).slice(0, 3), want);
    });
  });

  test("closing the engine ends those that wait, and closing a session gives its place on", async () => {
    const engine = await Engine.load(TINY, { backend: "cpu", threads: 1, contextLength: 64, maxSessions: 1 });
    const held = engine.session();
    await idsOf(held, "b", { ...GREEDY, maxTokens: 2 });
    await held.close();
    const holding = engine.session().generate("x", GREEDY);
    await holding.next();
    const session = engine.session();
    const waiting = [idsOf(session, "x", GREEDY), session.score([1, 2]), engine.trace([1])];
    const outcomes = Promise.allSettled(waiting);
    for (let i = 0; i < 20; i++) await turn();
    await assert.rejects(session.close(), code("SESSION_BUSY"));
    await engine.close();
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
