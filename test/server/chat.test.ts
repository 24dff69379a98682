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

test("log probabilities: a token's text, its bytes and the likeliest, streamed alike", async () => {
  const request = { ...ask, logprobs: true, top_logprobs: 3 };
  const { choices } = await client.chat.completions.create(request);
  const content = choices[0].logprobs?.content ?? [];
  assert.equal(content.length, GREEDY.max_tokens);
  assert.equal(Buffer.from(content.flatMap(({ bytes }) => bytes ?? [])).toString(), choices[0].message.content);
  for (const { token, logprob, top_logprobs: top } of content) {
    assert.equal(top.length, 3);
    assert.deepEqual([top[0].token, top[0].logprob], [token, logprob]); // greedy
    assert.ok(top.every((each, i) => each.logprob <= (top[i - 1]?.logprob ?? 0)));
  }
  const streamed = [];
  for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
    streamed.push(...(chunk.choices[0].logprobs?.content ?? []));
  }
  assert.deepEqual(streamed, content);
});

test("choices draw for themselves, and the same again for a seed", async () => {
  const request = {
    ...ask,
    n: 3,
    seed: 11,
    temperature: 1,
    stream: true,
  } as const;
  const texts = async () => {
    const all = ["", "", ""];
    const roles: number[] = [];
    for await (const { choices } of await client.chat.completions.create(request)) {
      for (const { index, delta } of choices) {
        if (delta.role !== undefined) roles.push(index);
        all[index] += delta.content ?? "";
      }
    }
    assert.deepEqual(roles.sort(), [0, 1, 2]);
    return all;
  };
  const first = await texts();
  assert.ok(new Set(first).size > 1);
  assert.deepEqual(await texts(), first);
});

test("stop, max_completion_tokens, bias and penalties mean what they mean to the library", async () => {
  const text = whole.choices[0].message.content ?? "";
  const stop = text.slice(10, 13);
  const stopped = await client.chat.completions.create({ ...ask, stop: [stop, "never"] });
  assert.equal(stopped.choices[0].message.content, text.slice(0, text.indexOf(stop)));
  assert.equal(stopped.choices[0].finish_reason, "stop");
  const short = await client.chat.completions.create({ ...ask, max_tokens: 50, max_completion_tokens: 2 });
  assert.equal(short.usage?.completion_tokens, 2);
  const { tokenizer } = server.service.models.engine(MODEL);
  const [first] = tokenizer.encode(text, { addBos: false });
  const banned = await client.chat.completions.create({ ...ask, logit_bias: { [first]: -100 } });
  assert.ok(!banned.choices[0].message.content?.startsWith(tokenizer.decode([first])));
  const only = await client.chat.completions.create({ ...ask, logit_bias: { [first]: 100 } });
  assert.equal(only.choices[0].message.content, tokenizer.decode([first]).repeat(GREEDY.max_tokens));
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

test("what cannot be honoured is refused by name; null and the unknown are nothing", async () => {
  const refused = {
    audio: { voice: "x", format: "wav" },
    modalities: ["text", "audio"],
    functions: [{ name: "f" }],
    chat_template: "{{ messages }}",
    store: true,
    web_search_options: {},
    top_logprobs: 2,
    stream_options: { include_usage: true },
    n: 0,
    logprobs: 1,
    messages: [{ role: "robot", content: "x" }],
  };
  for (const [param, value] of Object.entries(refused)) {
    await assert.rejects(
      client.chat.completions.create({ ...ask, [param]: value } as never),
      (error: BadRequestError) => {
        assert.equal(error.status, 400);
        assert.equal(error.param?.replace(/[.[].*$/, ""), param);
        return true;
      },
    );
  }
  const nulls = Object.fromEntries(
    [...Object.keys(refused), "temperature", "stop", "seed"].map((name) => [name, null]),
  );
  const own = { ...nulls, ...ask, store: false, metadata: { a: "b" }, user: "me", future_field: { x: [1] } };
  const { choices } = await client.chat.completions.create(own as typeof ask);
  assert.equal(choices[0].message.content, whole.choices[0].message.content);
});

test("every field of the client's types that can be honoured, at once", async () => {
  const answer = await client.chat.completions.create({
    model: MODEL,
    messages: [
      { role: "developer", content: "Be brief.", name: "dev" },
      { role: "user", content: [{ type: "text", text: "Hello" }] },
      { role: "assistant", content: [{ type: "refusal", refusal: "No." }], refusal: "No." },
      { role: "user", content: "Why?", name: "me" },
    ],
    frequency_penalty: -2,
    presence_penalty: 2,
    logit_bias: { 1: 0 },
    logprobs: true,
    top_logprobs: 0,
    max_completion_tokens: 3,
    max_tokens: 5,
    metadata: { a: "b" },
    modalities: ["text"],
    n: 1,
    parallel_tool_calls: true,
    prediction: { type: "content", content: "x" },
    prompt_cache_key: "k",
    reasoning_effort: "low",
    response_format: { type: "text" },
    safety_identifier: "s",
    seed: -9007199254740991,
    service_tier: "auto",
    stop: ["\n\n"],
    store: false,
    stream: false,
    temperature: 2,
    tool_choice: "none",
    tools: [{ type: "function", function: { name: "f", parameters: { type: "object" }, strict: true } }],
    top_p: 1,
    user: "u",
    verbosity: "low",
  });
  assert.ok((answer.usage?.completion_tokens ?? 9) <= 3);
  assert.ok(answer.choices[0].logprobs?.content?.every(({ top_logprobs: top }) => top.length === 0));
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
