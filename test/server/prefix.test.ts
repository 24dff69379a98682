/** What of a prompt is computed once: by the choices of a request, by a conversation that goes on, by different clients. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Asked, Outcome } from "../../src/server/index.js";
import { boxServer, MODEL, openai } from "./servers.js";

const ends: Outcome[] = [];
const server = await boxServer({ observers: [{ ended: (_asked: Asked, outcome: Outcome) => ends.push(outcome) }] });
const client = openai(server);
after(() => server.close());

/** longer than a block of the cache, which goes to others when it is full */
const RULES = "You are a kind helper. ".repeat(60);
const ask = (content: string, system = RULES) => ({
  model: MODEL,
  messages: [
    { role: "system" as const, content: system },
    { role: "user" as const, content },
  ],
  temperature: 0,
  max_tokens: 8,
});
/** of the prompt, in the order of the ends */
const cached = () => ends.splice(0).map(({ finish }) => finish?.usage.cachedTokens ?? -1);

test("the choices of a request share its prompt", async () => {
  const { choices, usage } = await client.chat.completions.create({ ...ask("Who are you?"), n: 4 });
  assert.equal(new Set(choices.map(({ message }) => message.content)).size, 1);
  const prompt = usage?.prompt_tokens ?? 0;
  const counts = cached().sort((a, b) => a - b);
  assert.equal(counts[0], 0);
  assert.deepEqual(counts.slice(1), [prompt - 1, prompt - 1, prompt - 1]); // the last token's row gives the first logits
});

test("a prompt of less than a block too, in which the first answer goes on", async () => {
  const request = { model: MODEL, prompt: "The old man and the sea were", max_tokens: 30, temperature: 0 };
  const { choices, usage } = await client.completions.create({ ...request, n: 5, logit_bias: { 5: -1 } });
  assert.equal(new Set(choices.map(({ text }) => text)).size, 1);
  const prompt = usage?.prompt_tokens ?? 0;
  const [first, ...others] = cached().sort((a, b) => a - b);
  assert.ok(first < prompt - 1 && others.every((count) => count === prompt - 1), `${first}, ${others} of ${prompt}`);
});

test("another question after the same words, and the conversation as it goes on", async () => {
  const first = await client.chat.completions.create(ask("What is the sun?"));
  assert.ok((first.usage?.prompt_tokens_details?.cached_tokens ?? 0) > 48);
  const request = ask("What is the sun?");
  const { message } = first.choices[0];
  const messages = [...request.messages, message, { role: "user" as const, content: "And the moon?" }];
  const second = await client.chat.completions.create({ ...request, messages });
  const found = second.usage?.prompt_tokens_details?.cached_tokens ?? 0;
  assert.ok(found > (first.usage?.prompt_tokens_details?.cached_tokens ?? 0), `${found}`);
});

test("an answer does not depend on what was found", async () => {
  const system = "Be brief and true. ".repeat(12);
  const [cold, warm] = [
    await client.chat.completions.create(ask("Why?", system)),
    await client.chat.completions.create(ask("Why?", system)),
  ];
  assert.ok((cold.usage?.prompt_tokens_details?.cached_tokens ?? 99) < 10); // what all prompts begin with
  assert.ok((warm.usage?.prompt_tokens_details?.cached_tokens ?? 0) > 40);
  assert.equal(warm.choices[0].message.content, cold.choices[0].message.content);
});
