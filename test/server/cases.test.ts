/** Cases of llama.cpp's server tests that no other file here asks; docs/server-cases.md lists all of them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { repositoryFile } from "../golden.js";
import { until } from "./load/http.js";
import { boxServer, GREEDY, HELLO, MODEL, openai, post } from "./servers.js";

const KEY = "sk-cases";
const server = await boxServer({ page: false });
const locked = await boxServer({ apiKeys: [KEY], models: [{ name: "alias" }], corsOrigins: ["https://web.example"] });
after(() => Promise.all([server.close(), locked.close()]));

const CHAT = "/v1/chat/completions";
const TEXT = "/v1/completions";

interface Completion {
  readonly id: string;
  readonly system_fingerprint: string;
  readonly choices: readonly { readonly text: string; readonly finish_reason: string }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
  readonly timings: Readonly<Record<string, number>>;
}

async function completion(body: object): Promise<Completion> {
  const response = await post(server, TEXT, { prompt: "I believe the meaning of life is", ...GREEDY, ...body });
  assert.equal(response.status, 200);
  return (await response.json()) as Completion;
}

const statusOf = async (path: string, body: unknown) => (await post(server, path, body)).status;

test("basic: health and models", async () => {
  assert.equal((await fetch(`${server.url}/health`)).status, 200);
  const { data } = (await (await fetch(`${locked.url}/v1/models`, { headers: { "x-api-key": KEY } })).json()) as {
    data: readonly { id: string }[];
  };
  assert.deepEqual(
    data.map(({ id }) => id),
    ["alias"],
  );
});

test("security: what is open without a key, and how a wrong key is refused", async () => {
  for (const path of ["/health", "/"]) assert.equal((await fetch(locked.url + path)).status, 200, path);
  assert.equal((await fetch(server.url)).status, 404, "no page where there is to be none");
  for (const headers of [{}, { authorization: "Bearer invalid-key" }] as Record<string, string>[]) {
    const response = await post(locked, TEXT, { prompt: "x" }, headers);
    assert.equal(response.status, 401);
    assert.ok("error" in ((await response.json()) as object));
  }
  for (const headers of [{ authorization: `Bearer ${KEY}` }, { "x-api-key": KEY }] as Record<string, string>[])
    assert.equal((await post(locked, TEXT, { prompt: "x", max_tokens: 1 }, headers)).status, 200);
});

test("security: a page of an origin that was named may ask, with no credentials", async () => {
  const ask = (origin: string) =>
    fetch(locked.url + TEXT, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization" },
    });
  const { headers } = await ask("https://web.example");
  assert.equal(headers.get("access-control-allow-origin"), "https://web.example");
  assert.match(headers.get("access-control-allow-methods") ?? "", /POST/);
  assert.equal(headers.get("access-control-allow-credentials"), null);
  assert.notEqual(
    (await ask("https://other.example")).headers.get("access-control-allow-origin"),
    "https://other.example",
  );
});

test("chat: content in parts is the same as in one string", async () => {
  const answer = async (content: unknown) => {
    const response = await post(server, CHAT, { messages: [{ role: "user", content }], ...GREEDY });
    const { choices, usage } = (await response.json()) as { choices: object[]; usage: { prompt_tokens: number } };
    return [choices, usage.prompt_tokens];
  };
  const parts = [
    { type: "text", text: "What is " },
    { type: "text", text: "the best book" },
  ];
  assert.deepEqual(await answer(parts), await answer("What is the best book"));
});

test("chat: messages that are none", async () => {
  const wrong = [
    null,
    "string",
    [123],
    [{}],
    [{ role: 123 }],
    [{ role: "system", content: 123 }],
    [{ role: "system", content: "test" }, {}],
  ];
  for (const messages of wrong) assert.equal(await statusOf(CHAT, { messages }), 400, JSON.stringify(messages));
  for (const url of ["file:///etc/passwd", "http://127.0.0.1/", "data:image/png;base64,AA=="]) {
    const content = [{ type: "image_url", image_url: { url } }];
    assert.equal(await statusOf(CHAT, { messages: [{ role: "user", content }] }), 400, url);
  }
});

test("chat: calls in the history whose arguments are no JSON are taken as they are", async () => {
  const call = { id: "call_123", type: "function", function: { name: "test", arguments: "{" } };
  const messages = [...HELLO, { role: "assistant", content: null, tool_calls: [call] }, ...HELLO];
  assert.equal(await statusOf(CHAT, { messages, max_tokens: 4 }), 200);
});

test("chat: a prompt that is too long, whole and as a stream", async () => {
  for (const stream of [false, true]) {
    const response = await post(server, CHAT, { messages: [{ role: "user", content: "book ".repeat(5000) }], stream });
    assert.equal(response.status, 400);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    assert.equal(error.code, "context_length_exceeded");
    assert.match(error.message, /\d+ tokens/);
  }
});

test("chat: log probabilities give the text back, whole and as a stream", async () => {
  const client = openai(server);
  const ask = { model: MODEL, messages: HELLO, temperature: 0, max_tokens: 5, logprobs: true, top_logprobs: 10 };
  const { choices } = await client.chat.completions.create(ask);
  const entries = choices[0].logprobs?.content ?? [];
  assert.equal(entries.map(({ token }) => token).join(""), choices[0].message.content);
  assert.ok(entries.every(({ logprob, bytes, top_logprobs }) => logprob <= 0 && bytes && top_logprobs.length === 10));
  let [text, tokens] = ["", ""];
  for await (const { choices } of await client.chat.completions.create({ ...ask, stream: true })) {
    text += choices[0].delta.content ?? "";
    tokens += (choices[0].logprobs?.content ?? []).map(({ token }) => token).join("");
  }
  assert.equal(tokens, text);
  assert.equal(text, choices[0].message.content);
});

test("chat: a bias keeps words out", async () => {
  const exclude = ["the", "The", "I", "is", "a", "to", "you", "You"];
  const content = exclude.flatMap((word) => [word, ` ${word}`]);
  const ids = new Set<number>();
  for (const text of content) {
    const { tokens } = (await (await post(server, "/tokenize", { content: text })).json()) as { tokens: number[] };
    if (tokens.length === 1) ids.add(tokens[0]);
  }
  assert.ok(ids.size > exclude.length);
  const logit_bias = Object.fromEntries([...ids].map((id) => [id, -100]));
  const { choices } = await completion({ prompt: "What is the best book", max_tokens: 48, logit_bias });
  assert.ok(
    exclude.every((word) => !` ${choices[0].text} `.includes(` ${word} `)),
    choices[0].text,
  );
});

test("completion: the same text each time, as a stream too, and alone or beside others", async () => {
  const [first, ...others] = await Promise.all(Array.from({ length: 6 }, () => completion({})));
  for (const other of others) assert.equal(other.choices[0].text, first.choices[0].text);
  const client = openai(server);
  const ask = { model: MODEL, prompt: "I believe the meaning of life is", ...GREEDY };
  let text = "";
  for await (const { choices } of await client.completions.create({ ...ask, stream: true })) text += choices[0].text;
  assert.equal(text, first.choices[0].text);
  assert.match(first.id, /cmpl/);
  assert.equal(first.choices[0].finish_reason, "length");
  assert.equal(first.usage.completion_tokens, GREEDY.max_tokens);
});

test("completion: seeds", async () => {
  const drawn = async (seed: number) => (await completion({ seed, temperature: 1, max_tokens: 16 })).choices[0].text;
  const texts = [await drawn(1), await drawn(2), await drawn(3), await drawn(4)];
  assert.equal(new Set(texts).size, 4);
  assert.equal(await drawn(1), texts[0]);
});

test("completion: what is found in the cache changes nothing, and is counted", async () => {
  const prompt = `A story of ${Math.random()}: ${"once upon a time there was a knight ".repeat(20)}`;
  const [first, second] = [await completion({ prompt }), await completion({ prompt })];
  assert.equal(second.choices[0].text, first.choices[0].text);
  assert.equal(first.timings.prompt_n + first.timings.cache_n, first.usage.prompt_tokens);
  assert.ok(second.timings.cache_n > 0 && second.timings.prompt_n < first.timings.prompt_n);
});

test("completion: ids, several prompts, and a mixture of both in one is refused", async () => {
  const content = "I believe the meaning of life is";
  const tokenize = await post(server, "/tokenize", { content, add_special: true });
  const { tokens } = (await tokenize.json()) as { tokens: number[] };
  const one = await completion({ prompt: tokens });
  const two = await completion({ prompt: [tokens, tokens] });
  assert.deepEqual(
    two.choices.map(({ text }) => text),
    [one.choices[0].text, one.choices[0].text],
  );
  assert.equal(await statusOf(TEXT, { prompt: [1, 2, "text", 3], max_tokens: 1 }), 400);
});

test("completion: generation goes on past the end, and stops where the context is full", async () => {
  const { choices, usage } = await completion({ prompt: "Hi how are you", max_tokens: 400, ignore_eos: true });
  assert.equal(usage.completion_tokens, 400);
  assert.equal(choices[0].finish_reason, "length");
});

test("completion: a request that is cancelled gives its place back", async () => {
  const stop = new AbortController();
  const body = JSON.stringify({ prompt: "Once", max_tokens: 1500, ignore_eos: true, stream: true });
  const headers = { "content-type": "application/json" };
  const response = await fetch(server.url + TEXT, { method: "POST", headers, body, signal: stop.signal });
  assert.equal(response.status, 200);
  const [{ queue }] = server.service.models.all;
  assert.equal(queue.running, 1);
  stop.abort();
  await until("its place is free", () => queue.running === 0);
});

test("openai-node: every optional field of its test of chat completions that does not ask for what there is not", async () => {
  const { choices } = await openai(server).chat.completions.create({
    messages: [{ content: "string", role: "developer", name: "name" }],
    model: MODEL,
    frequency_penalty: -2,
    function_call: "none",
    logprobs: true,
    max_completion_tokens: 0,
    max_tokens: 0,
    metadata: { foo: "string" },
    modalities: ["text"],
    n: 1,
    parallel_tool_calls: true,
    prediction: { content: "string", type: "content" },
    presence_penalty: -2,
    prompt_cache_key: "prompt-cache-key-1234",
    reasoning_effort: "none",
    response_format: { type: "text" },
    safety_identifier: "safety-identifier-1234",
    seed: -9007199254740991,
    service_tier: "auto",
    stop: "\n",
    stream: false,
    temperature: 1,
    tool_choice: "none",
    tools: [
      { type: "function", function: { name: "name", description: "x", parameters: { foo: "bar" }, strict: true } },
    ],
    top_logprobs: 0,
    top_p: 1,
    user: "user-1234",
    verbosity: "low",
  });
  assert.equal(choices[0].finish_reason, "length");
  const refused = {
    audio: { format: "wav", voice: "alloy" },
    functions: [{ name: "x" }],
    store: true,
    web_search_options: {},
  };
  for (const [name, value] of Object.entries(refused)) {
    const response = await post(server, CHAT, { messages: HELLO, [name]: value });
    const { error } = (await response.json()) as { error: { param: string } };
    assert.deepEqual([response.status, error.param], [400, name]);
  }
});

test("every test that docs/server-cases.md names is there", () => {
  const lines = readFileSync(repositoryFile("docs/server-cases.md"), "utf8").split("\n");
  const names = lines.flatMap((line) => /\| `([\w/.-]+)` \|$/.exec(line)?.[1] ?? []);
  assert.ok(names.length > 50, `${names.length} are named`);
  for (const name of names) readFileSync(repositoryFile(name.endsWith(".ts") ? name : `test/server/${name}.test.ts`));
});
