/**
 * Answers over a shared cache are those that each gets alone, bit for bit, whatever is shared, copied, given up or taken
 * away in the middle: random companies of sessions, over caches so small that all of it happens.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type CacheUse, collect, type GenerateOptions, type Piece, type Session } from "../../src/index.js";
import { GREEDY, idsOf, PROMPT, someIds, VARIED, withEngine } from "../engine/engines.js";
import { Random } from "../random.js";
import { withParts } from "./ahead.js";

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** One answer of a session, and how its caller takes it. */
interface Turn {
  readonly prompt: readonly number[];
  readonly options: GenerateOptions;
  /** turns of the event loop between two pieces */
  readonly pause: number;
  /** pieces that are taken */
  readonly taken: number;
}

interface Company {
  readonly sessions: readonly (readonly Turn[])[];
  /** of each turn, what it gives alone */
  readonly alone: readonly (readonly Said[])[];
}

type Said = readonly Omit<Piece, "finish" | "prompt">[];

const HOT = { temperature: 14, topK: 40, topP: 1, minP: 0, ignoreEnd: true } as const;
const KINDS: readonly GenerateOptions[] = [
  GREEDY,
  HOT,
  { ...HOT, topK: 0 },
  { ...HOT, logprobs: 2 },
  { ...HOT, presencePenalty: 30, repetitionPenalty: 1.2 },
];

interface Sizes {
  readonly sessions: number;
  readonly contextLength: number;
  readonly block: number;
  /** most answers of one session, and most tokens of one */
  readonly turns: number;
  readonly tokens: number;
}

async function said(session: Session, { prompt, options, pause, taken }: Turn): Promise<Said> {
  const pieces: Said[number][] = [];
  for await (const { finish: _, prompt: _found, ...piece } of session.generate(prompt, options)) {
    pieces.push(piece);
    if (pieces.length === taken) break;
    for (let i = 0; i < pause; i++) await turn();
  }
  return pieces;
}

/** Sessions whose prompts begin alike, part anywhere in a block, and go on from their answers. */
async function companyOf(
  seed: number,
  { sessions, contextLength, block, turns, tokens }: Sizes,
  fresh: () => Session,
): Promise<Company> {
  const random = new Random(seed);
  const beginnings = [1, 2, 3].map((i) => someIds(random.integer(block / 4, 2 * block), 300, 1000 * i + seed));
  const company: Turn[][] = [];
  const alone: Said[][] = [];
  for (let s = 0; s < sessions; s++) {
    company.push([]);
    alone.push([]);
    let before: readonly number[] = beginnings[random.integer(0, 2)];
    for (let t = random.integer(1, turns); t > 0; t--) {
      const more = someIds(random.integer(0, block / 2), 300, random.integer(1, 4) * 777);
      const prompt = [...before.slice(0, random.integer(1, before.length)), ...more].slice(0, contextLength - 2);
      const maxTokens = random.integer(1, tokens);
      const shift = random.integer(0, 5) === 0 ? ({ overflow: "shift", keepTokens: 3 } as const) : {};
      const kind = KINDS[random.integer(0, KINDS.length - 1)];
      const options = { ...kind, seed: random.integer(1, 99), maxTokens, ...shift };
      const taken = random.integer(0, 4) === 0 ? random.integer(1, maxTokens) : maxTokens + 1;
      const next = { prompt, options, pause: Math.max(0, random.integer(-3, 6)), taken };
      const pieces = await said(fresh(), { ...next, pause: 0 });
      company[s].push(next);
      alone[s].push(pieces);
      before = [...prompt, ...pieces.flatMap(({ id }) => (id === undefined ? [] : [id]))];
    }
  }
  return { sessions: company, alone };
}

/** All at the same time. */
async function together({ sessions }: Company, session: () => Session): Promise<readonly (readonly Said[])[]> {
  const all = sessions.map(async (turns) => {
    const own = session();
    const answers: Said[] = [];
    for (const each of turns) answers.push(await said(own, each));
    await own.close();
    return answers;
  });
  return Promise.all(all);
}

const CASES = [
  { backend: "cpu", threads: 1, block: 128, sessions: 8, turns: 3, tokens: 100 },
  { backend: "cpu", threads: 3, block: 128, sessions: 8, turns: 3, tokens: 100 },
  { backend: "reference", threads: 1, block: 32, sessions: 6, turns: 2, tokens: 12 },
] as const;

describe("in company over a cache of one context and a block", () => {
  for (const { backend, threads, ...sizes } of CASES) {
    test(`${backend}, ${threads} threads: each gets the answers that it gets alone`, async () => {
      const contextLength = 3 * sizes.block - 5;
      const limits = { backend, threads, contextLength, batchSize: 24 };
      let salt = 0;
      const company = await withEngine(limits, (engine) =>
        companyOf(1, { ...sizes, contextLength }, () => engine.session({ cacheSalt: `${salt++}` })),
      );
      await withEngine({ ...limits, cachePositions: 4 * sizes.block, maxSessions: 5 }, async (engine) => {
        assert.deepEqual(await together(company, () => engine.session()), company.alone);
        const { blocks, used, cached, shared, ...counts } = engine.cacheUse;
        assert.deepEqual([blocks, used, shared, engine.activity], [4, 0, 0, { running: 0, waiting: 0 }]);
        assert.ok(cached > 0);
        const { cachedTokens, evicted, copied, preempted } = counts;
        assert.ok(cachedTokens > 0 && evicted > 0 && copied > 0 && preempted > 0, JSON.stringify(counts));
      });
    });
  }

  for (const runsAhead of [1, 4]) {
    test(`${runsAhead} runs ahead: each gets the answers that it gets alone`, async () => {
      const contextLength = 3 * 128 - 5;
      const company = await withParts({ runsAhead: 1, contextLength, maxRows: 24 }, ({ session }) =>
        companyOf(3, { sessions: 6, contextLength, block: 128, turns: 2, tokens: 100 }, session),
      );
      const tight = { runsAhead, contextLength, maxRows: 24, places: 5, cachePositions: 512 };
      await withParts(tight, async ({ session, places, queue }) => {
        assert.deepEqual(await together(company, session), company.alone);
        const { used, shared, evicted, copied, preempted } = places.use;
        assert.deepEqual([used, shared], [0, 0]);
        assert.ok(evicted > 0 && copied > 0 && preempted > 0, JSON.stringify({ evicted, copied, preempted }));
        assert.equal(queue.mostUnderWay, runsAhead);
      });
    });
  }
});

describe("a caller that asks for nothing", () => {
  test("gives its place up: an answer awaited within the loop of another, with one place", async () => {
    await withEngine({ maxSessions: 1 }, async (engine) => {
      const answer = { ...VARIED, maxTokens: 12 };
      const want = await idsOf(engine.session({ cacheSalt: "a" }), PROMPT, answer);
      const ids: number[] = [];
      const inner: number[][] = [];
      for await (const { id } of engine.session().generate(PROMPT, answer)) {
        if (id !== undefined) ids.push(id);
        if (ids.length % 5 === 0) inner.push(await idsOf(engine.session(), PROMPT, answer));
      }
      assert.deepEqual(ids, want);
      assert.deepEqual(inner, [want, want]);
      assert.equal(engine.cacheUse.preempted, 2);
    });
  });

  test("keeps its place while nobody waits", async () => {
    await withEngine({ maxSessions: 1 }, async (engine) => {
      const answer = engine.session().generate(PROMPT, { ...VARIED, maxTokens: 12 });
      await answer.next();
      for (let i = 0; i < 20; i++) await turn();
      assert.deepEqual(engine.activity, { running: 1, waiting: 0 });
      await collect(answer);
      assert.equal(engine.cacheUse.preempted, 0);
    });
  });

  test("has no place any more once the last piece is out, and an aborted one gives it up as well", async () => {
    await withEngine({ maxSessions: 1 }, async (engine) => {
      const done = engine.session().generate(PROMPT, { ...VARIED, maxTokens: 1 });
      await done.next();
      assert.ok((await done.next()).value?.finish);
      assert.deepEqual(engine.activity, { running: 0, waiting: 0 });
      const abort = new AbortController();
      const aborted = engine.session().generate(PROMPT, { ...VARIED, signal: abort.signal });
      await aborted.next();
      abort.abort();
      assert.equal((await idsOf(engine.session(), PROMPT, { ...VARIED, maxTokens: 3 })).length, 3);
      await assert.rejects(aborted.next(), { name: "AbortError" });
    });
  });

  test("is interrupted before those that came later, where blocks run out", async () => {
    const limits = { contextLength: 256, cachePositions: 256, maxSessions: 4 };
    await withEngine(limits, async (engine) => {
      const [early, late] = [someIds(100), someIds(100, 300, 500)];
      const answer = { ...VARIED, maxTokens: 60 };
      const want = await Promise.all(
        [early, late].map((ids) => idsOf(engine.session({ cacheSalt: `${ids[0]}` }), ids, answer)),
      );
      const slow = engine.session().generate(early, answer);
      const first = await slow.next();
      const before = engine.cacheUse.preempted;
      assert.deepEqual(await idsOf(engine.session(), late, answer), want[1], "it needs the other's block");
      assert.equal(engine.cacheUse.preempted, before + 1);
      const rest = await collect(slow);
      assert.deepEqual([first.value?.id, ...rest.ids], want[0]);
    });
  });
});

describe("who finds what", () => {
  const cachedOf = async (session: Session, prompt: readonly number[]) => {
    const { finish } = await collect(session.generate(prompt, { ...GREEDY, maxTokens: 1 }));
    return finish.usage.cachedTokens;
  };
  const prompt = someIds(200);

  test("any session, of what any other has computed, also when that is closed", async () => {
    await withEngine({}, async (engine) => {
      const one = engine.session();
      assert.equal(await cachedOf(one, prompt), 0);
      assert.equal(await cachedOf(engine.session(), prompt), 199);
      await one.close();
      assert.equal(await cachedOf(engine.session(), [...prompt.slice(0, 150), 1, 2]), 150);
      assert.deepEqual([engine.cacheUse.promptTokens, engine.cacheUse.cachedTokens], [552, 349]);
    });
  });

  test("sessions of another salt find nothing, and offer nothing", async () => {
    await withEngine({}, async (engine) => {
      const [a, b] = ["a", "b"].map((cacheSalt) => engine.session({ cacheSalt }));
      for (const session of [a, b, engine.session()]) assert.equal(await cachedOf(session, prompt), 0);
      for (const cacheSalt of ["a", "b"]) assert.equal(await cachedOf(engine.session({ cacheSalt }), prompt), 199);
      assert.throws(() => engine.session({ cacheSalt: "" }), /cacheSalt/);
    });
  });

  test("after a reset nobody finds what only that session computed", async () => {
    await withEngine({}, async (engine) => {
      const [one, other] = [engine.session(), engine.session()];
      await cachedOf(one, prompt);
      one.reset();
      assert.equal(engine.cacheUse.cached, 0);
      assert.equal(await cachedOf(one, prompt), 0);
      assert.equal(await cachedOf(other, [...prompt, 1]), 200);
      one.reset();
      assert.equal(await cachedOf(one, prompt), 199, "the other has it as well");
    });
  });

  test("score and trace compute anew, and leave what they computed where a session has it", async () => {
    await withEngine({}, async (engine) => {
      const want = await engine.session({ cacheSalt: "a" }).score(prompt);
      const logits = (await engine.trace(prompt)).get("logits");
      const session = engine.session();
      assert.equal(await cachedOf(session, prompt), 0, "a trace leaves nothing");
      assert.deepEqual(await engine.session().score(prompt), want);
      assert.deepEqual((await engine.trace(prompt)).get("logits"), logits);
      const { blocks, used, cached } = engine.cacheUse;
      assert.ok(used === 0 && cached < blocks);
    });
  });

  test("those that come at the same time with the same beginning compute it once, and others do not wait for it", async () => {
    await withParts({ runsAhead: 1, contextLength: 512, maxRows: 16 }, async ({ session, queue }) => {
      const answer = { ...VARIED, maxTokens: 3 };
      const prompts = [1, 2, 3, 4].map((i) => [...someIds(300), i, i]);
      const alone: number[][] = [];
      for (const each of prompts) {
        const own = session();
        alone.push(await idsOf(own, each, answer));
        own.reset();
      }
      const [rows, order] = [queue.rows, [] as string[]];
      const all = prompts.map(async (each) => {
        const ids = await idsOf(session(), each, answer);
        order.push("long");
        return ids;
      });
      const beside = idsOf(session(), someIds(5, 300, 999), answer).then(() => order.push("short"));
      assert.deepEqual(await Promise.all(all), alone);
      await beside;
      assert.equal(order[0], "short");
      const others = queue.rows - rows - (302 + 5 + 5 * 2);
      assert.ok(others < 3 * (302 - 256), `two blocks once, and what the first has when they begin: ${others}`);
      assert.ok(others >= 3 * 2);
    });
  });

  test("two that compute the same at the same time have it once afterwards", async () => {
    await withEngine({}, async (engine) => {
      const answer = { ...VARIED, maxTokens: 100 };
      const [a, b] = await Promise.all([1, 2].map(() => idsOf(engine.session(), prompt, answer)));
      assert.deepEqual(a, b);
      const { cached, blockPositions } = engine.cacheUse;
      assert.equal(cached, Math.ceil((200 + 99) / blockPositions));
    });
  });
});

test("the numbers of the cache are right while answers compute", async () => {
  await withEngine({ contextLength: 512, cachePositions: 1024, maxSessions: 3 }, async (engine) => {
    const begin = someIds(300);
    await idsOf(engine.session(), begin, { ...GREEDY, maxTokens: 1 });
    const [a, b] = [engine.session(), engine.session()].map((session) => session.generate(begin, VARIED));
    await Promise.all([a.next(), b.next()]);
    const use: CacheUse = engine.cacheUse;
    assert.deepEqual([use.blockPositions, use.blocks, use.used, use.cached, use.shared], [128, 8, 4, 1, 2]);
    assert.deepEqual(engine.activity, { running: 2, waiting: 0 });
    await Promise.all([a.return(), b.return()]);
    assert.equal(engine.cacheUse.used, 0);
  });
});
