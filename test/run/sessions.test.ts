/** The life of sessions and engines: aborts, early ends, places, closing in the middle of work, score and trace. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { collect, Engine, type EngineOptions } from "../../src/index.js";
import { logSoftmaxAt } from "../../src/sampling/logprobs.js";
import { freshIds, GREEDY, idsOf, PROMPT, someIds, TINY, VARIED, withEngine } from "../engine/engines.js";
import { GOLDEN_MODELS, loadGolden, rowErrors } from "../golden.js";

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const BACKENDS: EngineOptions[] = [{ backend: "cpu" }, { backend: "reference" }];

describe("abort", () => {
  test("before the start: nothing is computed, the reason comes back", async () => {
    await withEngine({}, async (engine) => {
      const session = engine.session();
      const reason = new Error("not today");
      const signal = AbortSignal.abort(reason);
      await assert.rejects(idsOf(session, PROMPT, { ...GREEDY, signal }), (error) => error === reason);
      await assert.rejects(session.score([1, 2], { signal }), (error) => error === reason);
      assert.deepEqual(session.tokens, []);
      assert.equal((await idsOf(session, PROMPT, { ...GREEDY, maxTokens: 2 })).length, 2);
      await assert.rejects(Engine.load(TINY, { signal }), (error) => error === reason);
    });
  });

  test("in a long prompt: within a chunk, and the session goes on right from what it computed", async () => {
    await withEngine({ batchSize: 8, contextLength: 2048 }, async (engine) => {
      const prompt = someIds(2000);
      const session = engine.session();
      const abort = new AbortController();
      const answer = idsOf(session, prompt, { ...VARIED, maxTokens: 5, signal: abort.signal });
      const outcome = answer.then(
        () => assert.fail("not aborted"),
        (error) => error,
      );
      while (session.tokens.length < 40) await sleep(1);
      const start = performance.now();
      abort.abort();
      assert.equal((await outcome).name, "AbortError");
      const waited = performance.now() - start;
      assert.ok(waited < 250, `${waited} ms`); // a chunk takes 2 to 5 ms here; the rest is room for a busy machine
      const done = session.tokens.length;
      assert.ok(done >= 40 && done < 1000 && done % 8 === 0, `${done} computed`);
      assert.deepEqual(session.tokens, prompt.slice(0, done));
      const next = prompt.slice(0, done + 10);
      const { ids, finish } = await collect(session.generate(next, { ...VARIED, maxTokens: 5 }));
      assert.equal(finish.usage.cachedTokens, done);
      assert.deepEqual(ids, await freshIds(engine, next, { ...VARIED, maxTokens: 5 }));
    });
  });

  test("in the middle of an answer: no piece follows, and the next call is right", async () => {
    await withEngine({}, async (engine) => {
      const want = await freshIds(engine, PROMPT, { ...VARIED, maxTokens: 20 });
      const session = engine.session();
      const abort = new AbortController();
      const ids: number[] = [];
      await assert.rejects(
        async () => {
          for await (const { id } of session.generate(PROMPT, { ...VARIED, signal: abort.signal })) {
            ids.push(id as number);
            if (ids.length === 7) abort.abort();
          }
        },
        { name: "AbortError" },
      );
      assert.deepEqual(ids, want.slice(0, 7));
      assert.deepEqual(await idsOf(session, PROMPT, { ...VARIED, maxTokens: 20 }), want);
    });
  });

  test("in the run that ends a prompt: no piece follows", async () => {
    await withEngine({}, async (engine) => {
      const abort = new AbortController();
      const answer = idsOf(engine.session(), someIds(60), { ...GREEDY, maxTokens: 1, signal: abort.signal });
      setImmediate(() => setImmediate(() => abort.abort())); // the run is under way by then
      await assert.rejects(answer, { name: "AbortError" });
    });
  });

  test("of one session leaves the others alone", async () => {
    await withEngine({}, async (engine) => {
      const want = await freshIds(engine, PROMPT, { ...VARIED, maxTokens: 20 });
      const abort = new AbortController();
      const aborted = idsOf(engine.session(), someIds(300), { ...VARIED, signal: abort.signal });
      const kept = idsOf(engine.session(), PROMPT, { ...VARIED, maxTokens: 20 });
      setTimeout(() => abort.abort(), 5);
      await assert.rejects(aborted, { name: "AbortError" });
      assert.deepEqual(await kept, want);
    });
  });
});

describe("a session", () => {
  test("answers one call at a time", async () => {
    await withEngine({}, async (engine) => {
      const session = engine.session();
      const answer = session.generate(PROMPT, { ...GREEDY, maxTokens: 5 });
      await answer.next();
      await assert.rejects(idsOf(session, "b", GREEDY), code("SESSION_BUSY"));
      await assert.rejects(session.score([1, 2]), code("SESSION_BUSY"));
      await assert.rejects(session.close(), code("SESSION_BUSY"));
      assert.throws(() => session.reset(), code("SESSION_BUSY"));
      assert.equal((await collect(answer)).ids.length, 4, "the answer under way is not harmed");
      await session.close();
    });
  });

  test("is free again when a caller leaves the loop early", async () => {
    await withEngine({}, async (engine) => {
      const want = await freshIds(engine, PROMPT, { ...VARIED, maxTokens: 5 });
      const session = engine.session();
      for await (const { id } of session.generate(PROMPT, VARIED)) if (id !== undefined) break;
      assert.deepEqual(await idsOf(session, PROMPT, { ...VARIED, maxTokens: 5 }), want);
      await session.generate(PROMPT, VARIED).return(); // never started
      await session.close();
    });
  });

  test("is over when it is closed, and a new one has a new timeline", async () => {
    await withEngine({ maxSessions: 2 }, async (engine) => {
      const [a, b] = [engine.session(), engine.session()];
      await idsOf(b, someIds(90), { ...GREEDY, maxTokens: 2 });
      await b.close();
      await b.close();
      await assert.rejects(idsOf(b, "x", GREEDY), code("CLOSED"));
      await assert.rejects(b.score([1, 2]), code("CLOSED"));
      const c = engine.session();
      assert.deepEqual(c.tokens, [], "a new timeline in the old place");
      assert.equal((await idsOf(a, "x", { ...GREEDY, maxTokens: 3 })).length, 3);
      await using d = c;
      assert.equal((await idsOf(d, "x", { ...GREEDY, maxTokens: 3 })).length, 3);
    });
  });
});

describe("closing the engine", () => {
  for (const options of BACKENDS) {
    test(`ends answers under way with CLOSED, on ${options.backend}`, async () => {
      const engine = await Engine.load(TINY, { threads: 2, contextLength: 512, ...options });
      const [fed, suspended] = [engine.session(), engine.session()];
      const paused = suspended.generate("x", GREEDY);
      await paused.next();
      const answer = assert.rejects(idsOf(fed, someIds(300), GREEDY), code("CLOSED"));
      await sleep(3);
      const [first, second] = [engine.close(), engine.close()];
      await Promise.all([first, second, answer]);
      await assert.rejects(collect(paused), code("CLOSED"));
      await assert.rejects(idsOf(fed, "x", GREEDY), code("CLOSED"));
      await assert.rejects(fed.score([1, 2]), code("CLOSED"));
      await assert.rejects(engine.trace([1]), code("CLOSED"));
      assert.throws(() => engine.session(), code("CLOSED"));
      await fed.close();
      await engine.close();
    });
  }

  test("works right after loading, in the middle of a trace, and by `await using`", async () => {
    const fresh = await Engine.load(TINY, { threads: 2 });
    await fresh.close();
    const tracing = await Engine.load(TINY, { threads: 2 });
    const trace = assert.rejects(tracing.trace(someIds(500)), code("CLOSED"));
    await sleep(2);
    await tracing.close();
    await trace;
    await using engine = await Engine.load(TINY, { threads: 2 });
    assert.match(engine.description, /^cpu: 2 threads/);
  });

  test("a pause parks the threads, and the next answer wakes them", async () => {
    await withEngine({}, async (engine) => {
      const want = await freshIds(engine, PROMPT, { ...VARIED, maxTokens: 5 });
      for (const pause of [190, 200, 210, 400]) {
        await sleep(pause); // about the 200 ms after which an idle pool is parked
        assert.deepEqual(await freshIds(engine, PROMPT, { ...VARIED, maxTokens: 5 }), want);
      }
    });
  });
});

describe("score and trace", () => {
  test("score is the log softmax of the traced logits, in chunks too", async () => {
    for (const batchSize of [64, 7]) {
      await withEngine({ batchSize }, async (engine) => {
        const ids = someIds(30);
        const { data, width, rows } = (await engine.trace(ids)).get("logits") ?? assert.fail("no logits");
        assert.deepEqual([rows, width], [30, engine.config.vocabularySize]);
        const session = engine.session();
        const want = ids.slice(1).map((id, i) => logSoftmaxAt(data.subarray(i * width, (i + 1) * width), id));
        assert.deepEqual([...(await session.score(ids))], want);
        assert.deepEqual([...(await session.score(ids))], want, "computed anew each time");
        assert.deepEqual([...session.tokens], ids);
      });
    }
  });

  test("score of nothing, of one id, and of ids that are none", async () => {
    await withEngine({}, async (engine) => {
      const session = engine.session();
      assert.equal((await session.score([])).length, 0);
      assert.equal((await session.score([5])).length, 0);
      await assert.rejects(session.score([5, 320]), /^RangeError: ids\[1\]: expected an id from 0 to 319, got 320$/);
      assert.equal((await idsOf(session, "x", { ...GREEDY, maxTokens: 1 })).length, 1);
    });
  });

  for (const options of BACKENDS) {
    test(`trace has the names and values of the goldens, on ${options.backend}`, async () => {
      for (const name of GOLDEN_MODELS) {
        const golden = await loadGolden(name);
        const traced = await withEngine({ ...options, batchSize: 7 }, (e) => e.trace(golden.tokens), golden.path);
        assert.deepEqual([...traced.keys()], golden.names);
        for (const [tensor, { data, rows, width }] of traced) {
          assert.equal(rows, golden.tokens.length);
          assert.equal(data.length, rows * width);
          for (const error of rowErrors(data, golden.tensor(tensor), rows))
            assert.ok(error < 0.1, `${tensor}: ${error}`);
        }
        assert.deepEqual(traced.get("embd")?.data, golden.tensor("embd"));
      }
    });
  }

  test("trace refuses what is no token of the model", async () => {
    await withEngine({ contextLength: 16 }, async (engine) => {
      for (const ids of [[], someIds(17), [1, 320], [-1], [0.5]]) await assert.rejects(engine.trace(ids), RangeError);
    });
  });

  test("trace beside answers changes neither", async () => {
    await withEngine({ batchSize: 8 }, async (engine) => {
      const want = await freshIds(engine, PROMPT, { ...VARIED, maxTokens: 30 });
      const logits = (await engine.trace(someIds(40))).get("logits");
      const answers = [1, 2].map(() => freshIds(engine, PROMPT, { ...VARIED, maxTokens: 30 }));
      await sleep(5);
      const traced = [await engine.trace(someIds(40)), await engine.trace(someIds(40))];
      for (const each of traced) assert.deepEqual(each.get("logits"), logits);
      for (const answer of answers) assert.deepEqual(await answer, want);
    });
  });

  test("takeProfile tells the time of each op since the last call", async () => {
    await withEngine({ profile: true }, async (engine) => {
      await freshIds(engine, PROMPT, { ...GREEDY, maxTokens: 3 });
      const profile = engine.takeProfile();
      const ternary = profile.find(({ op }) => op === "ternary") ?? assert.fail("no ternary");
      assert.equal(ternary.calls, 3 * 4 * engine.config.layers);
      for (const { op, ms } of profile) assert.ok(ms >= 0 && ms < 10_000, `${op}: ${ms} ms`);
      assert.deepEqual(engine.takeProfile(), []);
    });
  });
});
