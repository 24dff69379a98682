/** What an answer's options do: its end, its text, its probabilities, and what happens when the context is full. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { collect, Engine, type GenerateOptions, type Piece } from "../../src/index.js";
import { freshIds, GREEDY, idsOf, PROMPT, someIds, TINY, VARIED } from "./engines.js";

let engine: Engine;
before(async () => {
  engine = await Engine.load(TINY, { backend: "cpu", threads: 2, contextLength: 64, maxSessions: 2 });
});
after(() => engine.close());

async function answer(prompt: string | readonly number[], options: GenerateOptions) {
  const session = engine.session();
  try {
    return await collect(session.generate(prompt, options));
  } finally {
    await session.close();
  }
}

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;

describe("the end of an answer", () => {
  test("maxTokens 0, 1 and more", async () => {
    for (const maxTokens of [0, 1, 5]) {
      const { ids, finish } = await answer(PROMPT, { ...GREEDY, maxTokens });
      assert.equal(ids.length, maxTokens);
      assert.equal(finish.reason, "length");
      assert.equal(finish.usage.completionTokens, maxTokens);
    }
  });

  test("a stop string is left out, and what follows it too", async () => {
    const { text } = await answer(PROMPT, { ...VARIED, maxTokens: 30 });
    for (const stop of [text.slice(4, 6), text.slice(5, 9), text.slice(0, 1)]) {
      const stopped = await answer(PROMPT, { ...VARIED, maxTokens: 30, stop: ["not there", stop] });
      assert.equal(stopped.text, text.slice(0, text.indexOf(stop)));
      assert.equal(stopped.finish.reason, "stop");
      assert.equal(stopped.finish.stop, stop);
    }
  });

  test("an end token ends the answer, and ignoreEnd goes past it", async () => {
    const end = [...engine.tokenizer.stopIds][0];
    const logitBias = { [end]: 1000 };
    const { ids, text, finish } = await answer(PROMPT, { temperature: 0, maxTokens: 5, logitBias });
    assert.deepEqual([ids, text, finish.reason, finish.stop], [[], "", "stop", undefined]);
    const past = await answer(PROMPT, { ...GREEDY, maxTokens: 5, logitBias });
    assert.deepEqual([past.ids, past.text], [[end, end, end, end, end], ""]);
  });

  test("pieces: one a token, then one with the finish; their text is that of the ids", async () => {
    const pieces: Piece[] = [];
    const session = engine.session();
    for await (const piece of session.generate(PROMPT, { ...VARIED, maxTokens: 20 })) pieces.push(piece);
    await session.close();
    assert.equal(pieces.length, 21);
    assert.ok(pieces.slice(0, -1).every(({ id, finish }) => id !== undefined && finish === undefined));
    const last = pieces[20];
    assert.equal(last.id, undefined);
    const ids = pieces.flatMap(({ id }) => id ?? []);
    const text = pieces.map((piece) => piece.text).join("");
    assert.equal(text, engine.tokenizer.decode(ids, { skipSpecial: true }));
    const { timings } = last.finish ?? assert.fail("no finish");
    for (const value of Object.values(timings)) assert.ok(Number.isFinite(value) && value >= 0);
  });
});

describe("sampling", () => {
  test("a seed repeats, a finish tells it, and no seed is another each time", async () => {
    const free = { ...VARIED, seed: undefined, maxTokens: 12 };
    const [a, b] = [await answer(PROMPT, free), await answer(PROMPT, free)];
    assert.notEqual(a.finish.seed, b.finish.seed);
    assert.notDeepEqual(a.ids, b.ids);
    assert.deepEqual((await answer(PROMPT, { ...free, seed: a.finish.seed })).ids, a.ids);
  });

  test("logprobs are those of score, and the best of them is the greedy token", async () => {
    const session = engine.session();
    const prompt = someIds(10);
    const steps: Piece[] = [];
    for await (const piece of session.generate(prompt, { ...GREEDY, maxTokens: 8, logprobs: 3 })) steps.push(piece);
    const tokens = steps.filter(({ id }) => id !== undefined);
    for (const { id, logprob, top = [] } of tokens) {
      assert.equal(top.length, 3);
      assert.deepEqual(top[0], { id, logprob });
    }
    const scores = await session.score([...prompt, ...tokens.map(({ id }) => id as number)]);
    tokens.forEach(({ logprob = 0 }, i) => {
      assert.ok(Math.abs(logprob - scores[9 + i]) < 1e-9);
    });
    await session.close();
  });

  test("bad options are the caller's mistakes, reported before anything runs", async () => {
    for (const options of [
      { maxTokens: -1 },
      { maxTokens: 1.5 },
      { maxTokens: Number.NaN },
      { keepTokens: 63 },
      { temperature: -1 },
      { topP: 2 },
      { stop: "" },
      { stop: ["a", ""] },
    ]) {
      await assert.rejects(answer(PROMPT, options), RangeError, JSON.stringify(options));
    }
    await assert.rejects(answer([], GREEDY), RangeError);
    for (const id of [-1, 320, 1.5, Number.NaN]) await assert.rejects(answer([1, id], GREEDY), /prompt\[1\]: expected/);
    assert.equal((await answer(PROMPT, { ...GREEDY, maxTokens: 2 })).ids.length, 2, "nothing stayed busy");
  });
});

describe("a full context of 64", () => {
  test("a prompt that does not fit is an error that says what to do", async () => {
    const error = { code: "CONTEXT_OVERFLOW", message: /expected at most 64 tokens, got 65\. Shorten it/ };
    await assert.rejects(answer(someIds(65), GREEDY), error);
    assert.equal((await answer(someIds(64), { ...GREEDY, maxTokens: 1 })).ids.length, 1);
  });

  test("an answer stops there", async () => {
    const { ids, finish } = await answer(someIds(60), GREEDY);
    assert.equal(finish.reason, "context");
    // the token after the last position needs no place of its own
    assert.equal(ids.length, 5);
  });

  test("a shift keeps the first tokens and the younger half of the rest, and goes on", async () => {
    const prompt = someIds(60);
    const session = engine.session();
    const { ids, finish } = await collect(
      session.generate(prompt, { ...VARIED, maxTokens: 80, overflow: "shift", keepTokens: 4 }),
    );
    assert.equal(ids.length, 80);
    assert.equal(finish.reason, "length");
    assert.ok(session.tokens.length <= 64);
    assert.deepEqual(session.tokens.slice(0, 4), prompt.slice(0, 4));
    const tail = ids.slice(-10, -1);
    assert.deepEqual(session.tokens.slice(-9), tail);
    await session.close();
  });

  test("after a shift the answer is that of the shifted tokens from scratch", async () => {
    const prompt = someIds(64);
    const [first, ...more] = await freshIds(engine, prompt, {
      ...GREEDY,
      maxTokens: 6,
      overflow: "shift",
      keepTokens: 2,
    });
    const kept = [...prompt, first];
    kept.splice(2, 65 - 2 - 31);
    assert.deepEqual(more, await freshIds(engine, kept, { ...GREEDY, maxTokens: 5 }));
  });

  test("a prompt that does not fit is cut the same way", async () => {
    const prompt = someIds(100);
    const { ids, finish } = await answer(prompt, { ...GREEDY, maxTokens: 3, overflow: "shift", keepTokens: 2 });
    assert.equal(finish.usage.promptTokens, 33);
    assert.deepEqual(
      ids,
      await freshIds(engine, [...prompt.slice(0, 2), ...prompt.slice(-31)], { ...GREEDY, maxTokens: 3 }),
    );
  });

  test("a shift keeps the token that begins the text, unless asked otherwise", async () => {
    const bos = engine.tokenizer.bos as number;
    const first = async (prompt: string | readonly number[], options: GenerateOptions = {}) => {
      const session = engine.session();
      await collect(session.generate(prompt, { ...VARIED, maxTokens: 80, overflow: "shift", ...options }));
      await session.close();
      return session.tokens[0];
    };
    assert.equal(await first(PROMPT), bos);
    assert.equal(await first(PROMPT.repeat(3)), bos, "the prompt itself is cut");
    assert.equal(await first([bos, ...someIds(70)]), bos);
    assert.notEqual(await first(PROMPT, { keepTokens: 0 }), bos);
    assert.notEqual(await first([5, ...someIds(70)]), 5, "no token that begins a text");
  });

  test("a shift in a chat keeps the beginning, and the opening of the answer", async () => {
    const session = engine.session();
    const content = "word ".repeat(40);
    await collect(session.chat([{ role: "user", content }], { ...GREEDY, maxTokens: 1, overflow: "shift" }));
    assert.equal(session.tokens[0], engine.tokenizer.bos);
    assert.match(engine.tokenizer.decode(session.tokens), /word.*Assistant: $/s);
    await collect(session.chat([{ role: "user", content: "Hi" }], { ...VARIED, maxTokens: 120, overflow: "shift" }));
    assert.equal(session.tokens[0], engine.tokenizer.bos);
    await session.close();
  });

  test("contexts of one and two tokens shift too", async () => {
    for (const contextLength of [1, 2, 3]) {
      await using small = await Engine.load(TINY, { backend: "cpu", threads: 1, contextLength });
      const options = { ...GREEDY, maxTokens: 5, overflow: "shift" } as const;
      assert.equal((await collect(small.session().generate(PROMPT, options))).ids.length, 5);
    }
  });

  test("score refuses more than fits", async () => {
    const session = engine.session();
    await assert.rejects(session.score(someIds(65)), code("CONTEXT_OVERFLOW"));
    assert.equal((await session.score(someIds(64))).length, 63);
    await session.close();
  });
});

describe("chat", () => {
  const messages = [{ role: "user", content: "Hello" }];

  test("answers by the template of the file", async () => {
    const session = engine.session();
    const { finish } = await collect(session.chat(messages, { ...GREEDY, maxTokens: 3 }));
    assert.equal(finish.usage.completionTokens, 3);
    assert.equal(engine.tokenizer.bos, session.tokens[0]);
    assert.match(engine.tokenizer.decode(session.tokens), /Hello/);
    await session.close();
  });

  test("special tokens in a user's words stay words", async () => {
    const session = engine.session();
    await collect(session.chat([{ role: "user", content: "<|eot_id|>" }], { ...GREEDY, maxTokens: 1 }));
    const spoken = session.tokens.filter((id) => engine.tokenizer.isSpecial(id)).length;
    await collect(session.chat([{ role: "user", content: "hi" }], { ...GREEDY, maxTokens: 1 }));
    assert.equal(session.tokens.filter((id) => engine.tokenizer.isSpecial(id)).length, spoken);
    assert.deepEqual((await idsOf(session, "<|eot_id|>", { ...GREEDY, maxTokens: 1, parseSpecial: true })).length, 1);
    assert.equal(session.tokens.length, 2, "BOS and one special token");
    await session.close();
  });
});
