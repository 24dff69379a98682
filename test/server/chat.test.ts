/** `/v1/chat/completions` as OpenAI's own client sees it, against a live server. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { BadRequestError, NotFoundError } from "openai";
import type { ChatCompletionChunk } from "openai/resources/chat/completions";
import { boxServer, GREEDY, HELLO, MODEL, openai, post } from "./servers.js";

const server = await boxServer();
const client = openai(server);
after(() => server.close());

const ask = { model: MODEL, messages: HELLO, ...GREEDY };
const whole = await client.chat.completions.create(ask);

test("a whole answer", () => {
  assert.equal(whole.object, "chat.completion");
  assert.match(whole.id, /^chatcmpl-[0-9a-f]{32}$/);
  assert.equal(whole.model, MODEL);
  const [{ message, finish_reason, logprobs }, ...others] = whole.choices;
  assert.deepEqual(others, []);
  assert.ok(message.content !== null && message.content.length > 10);
  assert.deepEqual([message.role, finish_reason, logprobs], ["assistant", "length", null]);
  const { usage } = whole;
  assert.equal(usage?.completion_tokens, GREEDY.max_tokens);
  assert.equal(usage?.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  assert.equal(typeof usage?.prompt_tokens_details?.cached_tokens, "number");
});

test("a stream: role, deltas, a finish without content, usage without choices", async () => {
  const chunks: ChatCompletionChunk[] = [];
  const stream = await client.chat.completions.create({
    ...ask,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) chunks.push(chunk);
  assert.ok(chunks.every(({ object, id }) => object === "chat.completion.chunk" && id === chunks[0].id));
  assert.deepEqual(chunks[0].choices[0].delta, { role: "assistant", content: "", refusal: null });
  const [finish, usage] = chunks.slice(-2);
  assert.deepEqual(finish.choices, [{ index: 0, delta: {}, logprobs: null, finish_reason: "length" }]);
  assert.deepEqual(usage.choices, []);
  assert.equal(usage.usage?.completion_tokens, whole.usage?.completion_tokens);
  assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
  const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
  assert.equal(text, whole.choices[0].message.content);
});

test("the bytes of a stream", async () => {
  const response = await post(server, "/v1/chat/completions", { ...ask, stream: true });
  assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  const text = await response.text();
  assert.match(text, /^(data: \{.*\}\n\n)+data: \[DONE\]\n\n$/);
  assert.doesNotMatch(text, /"usage"/);
});

test("the client's own helper puts a stream together", async () => {
  const runner = client.chat.completions.stream(ask);
  assert.equal(await runner.finalContent(), whole.choices[0].message.content);
});

test("models", async () => {
  const { data } = await client.models.list();
  assert.deepEqual(
    data.map(({ id }) => id),
    [MODEL],
  );
  assert.equal((await client.models.retrieve(MODEL)).object, "model");
  await assert.rejects(client.models.retrieve("gpt-5"), NotFoundError);
});

test("an unknown model is 404, a wrong field 400 with its name", async () => {
  await assert.rejects(client.chat.completions.create({ ...ask, model: "gpt-5" }), (error: NotFoundError) => {
    assert.deepEqual([error.status, error.code, error.param], [404, "model_not_found", "model"]);
    return error instanceof NotFoundError;
  });
  await assert.rejects(client.chat.completions.create({ ...ask, temperature: -1 }), (error: BadRequestError) => {
    assert.deepEqual([error.status, error.param, error.type], [400, "temperature", "invalid_request_error"]);
    return error instanceof BadRequestError;
  });
});
