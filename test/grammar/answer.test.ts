/** Answers that keep to a grammar: however ids are chosen, in company, over moves and shifts, and how they end. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { regexExpression } from "../../src/grammar/regex.js";
import { collect, type GenerateOptions } from "../../src/index.js";
import { someIds } from "../engine/engines.js";
import { type Parts, type PartsOptions, withParts } from "../run/ahead.js";
import { accepts, automatonOf, begins } from "./texts.js";

/** an end token that the model likes at times */
const END = 319;
const WAYS: readonly PartsOptions[] = [{ runsAhead: 1 }, { runsAhead: 4 }, { runsAhead: 4, head: "full" }].map(
  (each) => ({ ...each, stopIds: [END] }) as PartsOptions,
);
const REFERENCE: PartsOptions = { runsAhead: 1, backend: "reference", stopIds: [END] };
const HOT = { temperature: 14, topK: 40, topP: 1, minP: 0, seed: 3, maxTokens: 120 } as const;
const PROMPT = someIds(6);

const REGEX = 'the answer is "[a-z ]{3,30}", and (yes|no|maybe) is (true|false)\\.';
const expected = automatonOf(regexExpression(REGEX, "regex"));

async function answer(parts: Parts, options: GenerateOptions) {
  const session = parts.session();
  try {
    return await collect(session.generate(PROMPT, options));
  } finally {
    await session.close();
  }
}

describe("whatever chooses the ids, they are those of the grammar", () => {
  const choices: GenerateOptions[] = [
    {},
    { temperature: 0 },
    { topK: 0 },
    { logprobs: 2 },
    { presencePenalty: 20, repetitionPenalty: 1.5 },
    { logitBias: { [END]: 100, 5: -100 } },
    { topK: 1 },
  ];
  for (const choice of choices) {
    test(JSON.stringify(choice), async () => {
      const texts = new Set<string>();
      for (const way of choice.topK === 1 ? [...WAYS, REFERENCE] : WAYS) {
        const { text, ids, finish } = await withParts(way, (parts) =>
          answer(parts, { ...HOT, ...choice, regex: REGEX }),
        );
        assert.ok(accepts(expected, text), text);
        assert.equal(finish.reason, "stop");
        assert.equal(finish.usage.completionTokens, ids.length);
        texts.add(text);
      }
      assert.equal(texts.size, 1, [...texts].join("\n"));
    });
  }
});

test("log probabilities are of the model's own distribution, and every id has one", async () => {
  await withParts(WAYS[1], async (parts) => {
    const logprobs: number[] = [];
    for await (const piece of parts.session().generate(PROMPT, { ...HOT, regex: "[ab]{9}", logprobs: 1 })) {
      if (piece.id === undefined) continue;
      assert.ok(piece.logprob !== undefined && piece.top !== undefined && piece.top[0].logprob >= piece.logprob);
      logprobs.push(piece.logprob);
    }
    // among all ids the two letters are unlikely
    assert.ok(logprobs.length > 0 && logprobs.some((logprob) => logprob < Math.log(0.5)));
  });
});

test("what must follow is fed at once, and is the same text", async () => {
  await withParts(WAYS[0], async (parts) => {
    const regex = "(yes|no), and here is a long text that is always the same(!|\\?)";
    const { text, finish } = await answer(parts, { ...HOT, regex });
    const { runs } = parts.queue;
    assert.match(text, new RegExp(`^${regex}$`));
    assert.ok(runs < finish.usage.completionTokens / 2, `${runs} runs for ${finish.usage.completionTokens} ids`);
    const beside = await answer(parts, { ...HOT, regex, logprobs: 0 });
    assert.match(beside.text, new RegExp(`^${regex}$`));
    assert.ok(parts.queue.runs - runs >= beside.finish.usage.completionTokens);
  });
});

describe("ends", () => {
  test("maxTokens cuts, also what is forced: a beginning of an accepted text", async () => {
    await withParts(WAYS[1], async (parts) => {
      for (let maxTokens = 0; maxTokens < 12; maxTokens++) {
        const { text, ids, finish } = await answer(parts, { ...HOT, regex: REGEX, maxTokens });
        assert.deepEqual([ids.length, finish.reason], [maxTokens, "length"]);
        assert.ok(begins(expected, text), text);
      }
    });
  });
  test("a full context cuts, and with shift the answer goes on over it", async () => {
    const schema = {
      type: "array",
      items: { type: "integer", minimum: 100, maximum: 999 },
      minItems: 20,
      maxItems: 20,
    };
    await withParts({ ...WAYS[1], contextLength: 24 }, async (parts) => {
      const cut = await answer(parts, { ...HOT, schema });
      assert.equal(cut.finish.reason, "context");
      const { text, finish } = await answer(parts, { ...HOT, schema, overflow: "shift" });
      assert.equal(finish.reason, "stop");
      assert.equal(JSON.parse(text).length, 20);
    });
  });
  test("a stop string ends before the grammar does", async () => {
    await withParts(WAYS[1], async (parts) => {
      const { text, finish } = await answer(parts, { ...HOT, regex: REGEX, stop: " is" });
      assert.deepEqual([text, finish.reason, finish.stop], ["the answer", "stop", " is"]);
    });
  });
  test("the end token comes only where the text may end, and where it need not others may", async () => {
    await withParts(WAYS[1], async (parts) => {
      const lengths = new Set<number>();
      for (let seed = 0; seed < 12; seed++) {
        const options = { ...HOT, seed, regex: "[a-z]{2,6}", logitBias: { [END]: 25 } };
        const { text, finish } = await answer(parts, options);
        assert.match(text, /^[a-z]{2,6}$/);
        assert.equal(finish.reason, "stop");
        lengths.add(text.length);
      }
      assert.ok(lengths.size > 1, `lengths ${[...lengths]}`);
    });
  });
  test("a model without an end token ends where nothing may follow", async () => {
    await withParts({ ...WAYS[0], stopIds: [] }, async (parts) => {
      const { text, finish } = await answer(parts, { ...HOT, regex: "[ab]{3}" });
      assert.match(text, /^[ab]{3}$/);
      assert.equal(finish.reason, "stop");
    });
  });
});

test("in company each answer is the one that it is alone, also when the model moves", async () => {
  const options: GenerateOptions[] = [0, 1, 2, 3, 4, 5].map((seed) => ({
    ...HOT,
    seed,
    maxTokens: 40,
    ...(seed % 2 === 0 ? { regex: seed === 4 ? "[a-f]{30,60}" : REGEX } : { ignoreEnd: true }),
  }));
  const alone = await withParts({ ...WAYS[1], places: 6 }, async (parts) => {
    const answers: Awaited<ReturnType<typeof answer>>[] = [];
    for (const each of options) answers.push(await answer(parts, each));
    return answers.map(({ ids }) => ids);
  });
  for (const failAt of [Number.POSITIVE_INFINITY, 1, 8]) {
    await withParts({ ...WAYS[1], recovers: true, places: 6 }, async (parts) => {
      parts.queue.failAt = failAt;
      const answers = await Promise.all(options.map((each) => answer(parts, each)));
      assert.deepEqual(
        answers.map(({ ids }) => ids),
        alone,
        `run ${failAt}`,
      );
    });
  }
});

test("an abort ends it, and the session goes on", async () => {
  await withParts(WAYS[1], async (parts) => {
    const session = parts.session();
    const abort = new AbortController();
    const pieces = session.generate(PROMPT, { ...HOT, regex: REGEX, signal: abort.signal });
    await assert.rejects(
      async () => {
        for await (const _ of pieces) abort.abort();
      },
      { name: "AbortError" },
    );
    const { text } = await collect(session.generate(PROMPT, { ...HOT, regex: "[xy]{4}" }));
    assert.match(text, /^[xy]{4}$/);
  });
});
