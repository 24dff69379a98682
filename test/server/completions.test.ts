/** `/v1/completions` as OpenAI's own client sees it, against a live server and against the library. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { BadRequestError } from "openai";
import { collect, Engine } from "../../src/index.js";
import { boxServer, ENGINE, GREEDY, MODEL, openai } from "./servers.js";

const server = await boxServer();
const client = openai(server);
const engine = await Engine.load(undefined, ENGINE);
after(() => Promise.all([server.close(), engine.close()]));

const PROMPTS = ["Once upon a time", "The sun is", "My dog"];

async function alone(prompt: string): Promise<string> {
  await using session = engine.session();
  const { text } = await collect(session.generate(prompt, { temperature: 0, maxTokens: GREEDY.max_tokens }));
  return text;
}

const expected = await Promise.all(PROMPTS.map(alone));
const ask = { model: MODEL, ...GREEDY };

test("a text, and its ids, are continued as the library does", async () => {
  const ids = engine.tokenizer.encode(PROMPTS[0]);
  for (const prompt of [PROMPTS[0], ids, [ids]]) {
    const { choices, object, usage } = await client.completions.create({ ...ask, prompt });
    assert.equal(object, "text_completion");
    assert.deepEqual(choices, [{ text: expected[0], index: 0, logprobs: null, finish_reason: "length" }]);
    assert.equal(usage?.prompt_tokens, ids.length);
  }
});

test("several prompts and answers: choice i * n + j; a prompt's tokens count once", async () => {
  const { choices, usage } = await client.completions.create({ ...ask, prompt: PROMPTS, n: 2, echo: true });
  assert.deepEqual(
    choices.map(({ text }) => text),
    PROMPTS.flatMap((prompt, i) => [prompt + expected[i], prompt + expected[i]]),
  );
  assert.equal(usage?.completion_tokens, 6 * GREEDY.max_tokens);
  const tokens = PROMPTS.map((prompt) => engine.tokenizer.encode(prompt).length);
  assert.equal(
    usage?.prompt_tokens,
    tokens.reduce((sum, each) => sum + each),
  );
});

test("a stream of several", async () => {
  const texts = ["", "", ""];
  const reasons: string[] = [];
  let usage = 0;
  const options = { stream: true, stream_options: { include_usage: true } } as const;
  for await (const chunk of await client.completions.create({ ...ask, prompt: PROMPTS, ...options })) {
    for (const { index, text, finish_reason: reason } of chunk.choices) {
      texts[index] += text;
      if (reason !== null) reasons.push(reason);
    }
    usage += chunk.usage?.completion_tokens ?? 0;
  }
  assert.deepEqual(texts, expected);
  assert.deepEqual(reasons, ["length", "length", "length"]);
  assert.equal(usage, 3 * GREEDY.max_tokens);
});

test("log probabilities in the older form", async () => {
  const { choices } = await client.completions.create({ ...ask, prompt: PROMPTS[0], logprobs: 2 });
  const { tokens = [], token_logprobs = [], top_logprobs = [], text_offset = [] } = choices[0].logprobs ?? {};
  assert.equal(tokens.join(""), expected[0]);
  assert.deepEqual(
    text_offset.map((offset, i) => expected[0].slice(offset, text_offset[i + 1])),
    tokens,
  );
  for (const [i, top] of top_logprobs.entries()) {
    assert.equal(Object.keys(top).length, 2);
    assert.equal(Math.max(...Object.values(top)), token_logprobs[i]);
  }
});

test("the prompt's own log probabilities, with what follows and without, for each choice and in a stream", async () => {
  const prompt = `${PROMPTS[0]} there was é`;
  const ids = engine.tokenizer.encode(prompt);
  await using session = engine.session();
  const scores = await session.score(ids);
  const request = { ...ask, prompt, echo: true, logprobs: 2, n: 2 };
  for (const max_tokens of [0, 5]) {
    const { choices, usage } = await client.completions.create({ ...request, max_tokens });
    assert.equal(usage?.prompt_tokens, ids.length);
    for (const { text, logprobs } of choices) {
      const { tokens = [], token_logprobs = [], top_logprobs = [], text_offset = [] } = logprobs ?? {};
      assert.ok(text.startsWith(prompt));
      assert.deepEqual([tokens.length, top_logprobs.length], [ids.length + max_tokens, ids.length + max_tokens]);
      assert.deepEqual([token_logprobs[0], top_logprobs[0]], [null, null]);
      for (const [i, score] of scores.entries()) {
        assert.ok(Math.abs((token_logprobs[i + 1] ?? 1) - score) < 1e-6);
        assert.ok(Object.keys(top_logprobs[i + 1]).length >= 2);
      }
      const first = ids[0] === engine.tokenizer.bos ? 1 : 0;
      for (let i = first; i < tokens.length - 1; i++) {
        if (!tokens[i].includes("\ufffd"))
          assert.ok(tokens[i].endsWith(text.slice(text_offset[i], text_offset[i + 1])));
      }
      assert.equal(text_offset[ids.length] ?? prompt.length, prompt.length);
    }
  }
  const parts: (number | null)[] = [];
  for await (const chunk of await client.completions.create({ ...request, n: 1, max_tokens: 3, stream: true })) {
    parts.push(...(chunk.choices[0].logprobs?.token_logprobs ?? []));
  }
  assert.equal(parts.length, ids.length + 3);
  assert.deepEqual([parts[0], typeof parts[1]], [null, "number"]);
});

test("a stop string ends the text, and its tokens are not reported", async () => {
  const words = engine.tokenizer.encode(expected[0], { addBos: false }).map((id) => engine.tokenizer.decode([id]));
  const first = (word: string, i: number) => i > 4 && expected[0].indexOf(word) === words.slice(0, i).join("").length;
  const stop = words.find(first);
  assert.ok(stop !== undefined);
  const { choices } = await client.completions.create({ ...ask, prompt: PROMPTS[0], stop, logprobs: 0 });
  const [{ text, finish_reason, logprobs }] = choices;
  assert.deepEqual([text, finish_reason], [expected[0].slice(0, expected[0].indexOf(stop)), "stop"]);
  assert.equal(logprobs?.tokens?.join(""), text);
});

test("16 tokens where nothing is said, none where none are asked for", async () => {
  const some = await client.completions.create({ model: MODEL, prompt: PROMPTS[0], temperature: 0 });
  assert.equal(some.usage?.completion_tokens, 16);
  const none = await client.completions.create({ ...ask, prompt: PROMPTS[0], max_tokens: 0, echo: true });
  assert.deepEqual([none.choices[0].text, none.choices[0].finish_reason], [PROMPTS[0], "length"]);
});

test("what cannot be honoured is refused by name", async () => {
  const cases: [object, string][] = [
    [{ suffix: "the end." }, "suffix"],
    [{ best_of: 4 }, "best_of"],
    [{ prompt: [] }, "prompt"],
    [{ prompt: [[1, 2], "text"] }, "prompt[0]"],
    [{ prompt: [1, 999_999] }, "prompt[1]"],
    [{ logit_bias: { word: 3 } }, "logit_bias"],
    [{ logit_bias: { 999999: 3 } }, "logit_bias"],
    [{ stop: "" }, "stop"],
    [{ max_tokens: 1.5 }, "max_tokens"],
  ];
  for (const [fields, param] of cases) {
    const wrong = client.completions.create({ ...ask, prompt: PROMPTS[0], ...fields });
    await assert.rejects(wrong, (error: BadRequestError) => {
      assert.ok(error instanceof BadRequestError, JSON.stringify(fields));
      assert.equal(error.param, param, error.message);
      return true;
    });
  }
  const agreed = await client.completions.create({ ...ask, prompt: PROMPTS[0], best_of: 2, n: 2, suffix: null });
  assert.equal(agreed.choices.length, 2);
});
