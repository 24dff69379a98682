/** `/v1/messages` as Anthropic's own client sees it, against a live server. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import Anthropic, {
  APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  NotFoundError,
} from "@anthropic-ai/sdk";
import type {
  Message,
  MessageCreateParamsNonStreaming,
  RawMessageStreamEvent,
} from "@anthropic-ai/sdk/resources/messages";
import type { RunningServer } from "../../../src/server/index.js";
import { boxServer, MODEL, openai, post } from "../servers.js";

const server = await boxServer({ apiKeys: ["secret"] });
after(() => server.close());

const clientOf = ({ url }: RunningServer, apiKey = "secret") => new Anthropic({ baseURL: url, apiKey, maxRetries: 0 });
const client = clientOf(server);

/** Sampling fields that the client's types no longer name. */
const GREEDY = { temperature: 0 } as object;
const ask: MessageCreateParamsNonStreaming = {
  model: MODEL,
  max_tokens: 40,
  messages: [{ role: "user", content: "What is the capital of France?" }],
  ...GREEDY,
};

const TOOLS = [
  {
    name: "get_weather",
    description: "Weather of a city",
    input_schema: { type: "object" as const, properties: { city: { type: "string" } }, required: ["city"] },
  },
];

describe("a message", () => {
  test("whole", async () => {
    const message = await client.messages.create(ask);
    assert.match(message.id, /^msg_[0-9a-f]{32}$/);
    assert.deepEqual([message.type, message.role, message.model], ["message", "assistant", MODEL]);
    assert.deepEqual([message.stop_reason, message.stop_sequence], ["end_turn", null]);
    const [block, ...others] = message.content;
    assert.deepEqual(others, []);
    assert.match(block.type === "text" ? block.text : "", /Paris/);
    assert.ok(message.usage.output_tokens > 4);
    assert.match(message._request_id ?? "", /./);
  });

  test("goes on from words of the assistant, as chat completions do where they are asked to", async () => {
    const { content } = await client.messages.create(ask);
    const answer = content[0].type === "text" ? content[0].text : "";
    const begun = answer.slice(0, answer.indexOf(" ", 8));
    const question = { role: "user" as const, content: "What is the capital of France?" };
    const messages = [question, { role: "assistant" as const, content: begun }];
    const whole = await client.messages.create({ ...ask, messages });
    assert.deepEqual(whole.content, [{ ...content[0], text: answer.slice(begun.length) }]);
    const counts = await Promise.all(
      [messages, ask.messages].map((each) => client.messages.countTokens({ model: MODEL, messages: each })),
    );
    assert.equal(counts[0].input_tokens, whole.usage.input_tokens + (whole.usage.cache_read_input_tokens ?? 0));
    assert.ok(counts[0].input_tokens > counts[1].input_tokens);
    const fields = { continue_final_message: true, add_generation_prompt: false } as object;
    const chat = { ...GREEDY, model: MODEL, messages, max_tokens: 40, ...fields };
    const { choices } = await openai(server, { apiKey: "secret" }).chat.completions.create(chat);
    assert.equal(begun + choices[0].message.content, answer);
  });

  test("is what OpenAI's form gives for the same words", async () => {
    const { content } = await client.messages.create({ ...ask, system: "Be brief." });
    const key = { apiKey: "secret" };
    const { choices } = await openai(server, key).chat.completions.create({
      ...GREEDY,
      model: MODEL,
      max_tokens: 40,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "What is the capital of France?" },
      ],
    });
    assert.equal(content[0].type === "text" && content[0].text, choices[0].message.content);
  });

  test("ends by max_tokens and by a stop sequence", async () => {
    const short = await client.messages.create({ ...ask, max_tokens: 3 });
    assert.deepEqual([short.stop_reason, short.usage.output_tokens], ["max_tokens", 3]);
    const stopped = await client.messages.create({ ...ask, stop_sequences: ["zzz", " Paris"] });
    assert.deepEqual([stopped.stop_reason, stopped.stop_sequence], ["stop_sequence", " Paris"]);
    assert.doesNotMatch(JSON.stringify(stopped.content), /Paris/);
  });

  test("finds its prompt in the cache, and counts it", async () => {
    const before = await client.messages.create(ask);
    const { usage } = await client.messages.create(ask);
    const { input_tokens } = await client.messages.countTokens({ model: MODEL, messages: ask.messages });
    for (const each of [before.usage, usage]) {
      assert.equal(each.input_tokens + (each.cache_read_input_tokens ?? 0), input_tokens);
    }
  });
});

describe("a stream", () => {
  test("has the events of Anthropic's API, in their order", async () => {
    const events: RawMessageStreamEvent[] = [];
    for await (const each of await client.messages.create({ ...ask, stream: true })) events.push(each);
    const types = events.map(({ type }) => type);
    const inner = types.filter((type) => type === "content_block_delta");
    assert.deepEqual(types, [
      ...["message_start", "content_block_start"],
      ...inner,
      ...["content_block_stop", "message_delta", "message_stop"],
    ]);
    const [start] = events;
    assert.ok(start.type === "message_start" && start.message.stop_reason === null);
    assert.deepEqual(start.message.content, []);
    const delta = events[events.length - 2];
    assert.ok(delta.type === "message_delta" && delta.delta.stop_reason === "end_turn");
    const { input_tokens, cache_read_input_tokens } = delta.usage;
    assert.deepEqual(
      [start.message.usage.input_tokens, start.message.usage.cache_read_input_tokens],
      [input_tokens, cache_read_input_tokens],
      "known from the start",
    );
  });

  test("is put together by the client's helper", async () => {
    const whole = await client.messages.create(ask);
    const stream = client.messages.stream(ask);
    let text = "";
    stream.on("text", (part) => {
      text += part;
    });
    const final = await stream.finalMessage();
    assert.deepEqual([final.content, final.stop_reason], [whole.content, "end_turn"]);
    assert.equal(text, await stream.finalText());
    assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
  });

  test("names each event, and has a ping", async () => {
    const body = { ...ask, max_tokens: 2, stream: true };
    const text = await (await post(server, "/v1/messages", body, { "x-api-key": "secret" })).text();
    assert.match(
      text,
      /^event: message_start\ndata: \{"type":"message_start".*\n\nevent: ping\ndata: \{"type":"ping"\}\n\n/,
    );
    assert.match(text, /event: message_stop\ndata: \{"type":"message_stop"\}\n\n$/);
  });
});

describe("calls of tools", () => {
  const PAINT = {
    name: "paint",
    input_schema: {
      type: "object" as const,
      properties: { color: { enum: ["red", "blue"] }, coats: { enum: [1, 2, 3] } },
      required: ["color", "coats"],
    },
  };
  const paint: MessageCreateParamsNonStreaming = {
    ...ask,
    max_tokens: 150,
    tools: [PAINT],
    tool_choice: { type: "any", disable_parallel_tool_use: true },
  };

  function checkPaint({ content, stop_reason }: Message): void {
    assert.equal(stop_reason, "tool_use");
    const [block, ...others] = content;
    assert.deepEqual(others, []);
    assert.ok(block.type === "tool_use" && block.name === "paint" && /^call_/.test(block.id));
    const { color, coats } = block.input as { color: string; coats: number };
    assert.ok(["red", "blue"].includes(color) && [1, 2, 3].includes(coats));
  }

  test("whole: any tool, a named one", async () => {
    checkPaint(await client.messages.create(paint));
    const tool_choice = { type: "tool", name: "paint", disable_parallel_tool_use: true } as const;
    checkPaint(await client.messages.create({ ...paint, tools: [...TOOLS, PAINT], tool_choice }));
  });

  test("as events, put together by the client's helper", async () => {
    const types: string[] = [];
    const stream = client.messages.stream(paint).on("streamEvent", (each) => {
      types.push(each.type === "content_block_delta" ? each.delta.type : each.type);
    });
    checkPaint(await stream.finalMessage());
    assert.deepEqual(
      types.filter((type, i) => type !== types[i - 1]),
      [
        ...["message_start", "content_block_start", "input_json_delta"],
        ...["content_block_stop", "message_delta", "message_stop"],
      ],
    );
  });

  test("a result goes back with the call", async () => {
    const called = await client.messages.create(paint);
    const [block] = called.content;
    assert.ok(block.type === "tool_use");
    const { content } = await client.messages.create({
      ...ask,
      max_tokens: 5,
      tools: [PAINT],
      messages: [
        ...ask.messages,
        { role: "assistant", content: called.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: block.id, content: "painted" }] },
      ],
    });
    assert.equal(content[0].type, "text");
  });
});

test("an answer by a schema", async () => {
  const schema = { type: "object", properties: { city: { enum: ["Paris", "Rome"] } }, required: ["city"] };
  const message = await client.messages.create({ ...ask, output_config: { format: { type: "json_schema", schema } } });
  const [block] = message.content;
  assert.ok(block.type === "text");
  assert.ok(["Paris", "Rome"].includes(JSON.parse(block.text).city));
});

test("turns with blocks, calls and results are read", async () => {
  const messages: MessageCreateParamsNonStreaming["messages"] = [
    { role: "user", content: [{ type: "text", text: "Weather in Rome?" }] },
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "Hm.", signature: "x" },
        { type: "text", text: "I look." },
        { type: "tool_use", id: "toolu_1", name: "get_weather", input: { city: "Rome" } },
      ],
    },
    {
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "toolu_1", content: [{ type: "text", text: "none" }], is_error: true },
        { type: "text", text: "Well?" },
      ],
    },
  ];
  const { input_tokens } = await client.messages.countTokens({ model: MODEL, messages, tools: TOOLS });
  const ids = await server.service.withEngine(undefined, new AbortController().signal, (engine) =>
    engine.encodeChat(
      [
        { role: "user", content: "Weather in Rome?" },
        {
          role: "assistant",
          content: "I look.",
          tool_calls: [{ function: { name: "get_weather", arguments: '{"city":"Rome"}' } }],
        },
        { role: "tool", content: "Error: none" },
        { role: "user", content: "Well?" },
      ],
      { tools: [{ name: "get_weather", description: "Weather of a city", parameters: TOOLS[0].input_schema }] },
    ),
  );
  assert.equal(input_tokens, ids.length);
  const { content } = await client.messages.create({ ...ask, messages, tools: TOOLS, max_tokens: 5 });
  assert.equal(content[0].type, "text");
});

describe("errors", () => {
  const image = { type: "image", source: { type: "url", url: "http://127.0.0.1/x.png" } };
  const user = (...content: object[]) => ({ messages: [{ role: "user", content }] });
  const cases: readonly [string, object, RegExp][] = [
    ["an image", user(image), /^messages\[0\]\.content\[0\]\.type: not supported\. .*"image"/],
    ["a document", user({ type: "document", source: {} }), /content\[0\]\.type: not supported/],
    [
      "an image in a result",
      user({ type: "tool_result", tool_use_id: "a", content: [image] }),
      /messages\[0\]\.content\[0\]\.content\[0\]\.type: not supported/,
    ],
    [
      "a form beside a turn to continue",
      {
        messages: [...ask.messages, { role: "assistant", content: "{" }],
        output_config: { format: { type: "json_schema", schema: { type: "object" } } },
      },
      /^output_config\.format: expected a turn of the user/,
    ],
    [
      "a call of a tool at the end",
      {
        messages: [
          ...ask.messages,
          { role: "assistant", content: [{ type: "tool_use", id: "a", name: "b", input: {} }] },
        ],
      },
      /content: expected text alone/,
    ],
    [
      "a schema",
      { tools: [{ name: "f", input_schema: { type: "object", properties: { a: { not: {} } } } }] },
      /^tools\[0\]\.input_schema\.properties\.a\.not: this keyword/,
    ],
    ["a role", { messages: [{ role: "tool", content: "I" }] }, /^messages\[0\]\.role: expected/],
    ["no turn", { messages: [] }, /^messages: expected at least 1 items/],
    ["thinking", { thinking: { type: "enabled", budget_tokens: 1024 } }, /^thinking\.type: not supported/],
    [
      "a server's tool",
      { tools: [{ type: "web_search_20250305", name: "web_search" }] },
      /^tools\[0\]\.type: not supported/,
    ],
    ["a tool without schema", { tools: [{ name: "a" }] }, /^tools\[0\]\.input_schema: expected/],
    [
      "a tool out of sight",
      { tools: [{ ...TOOLS[0], defer_loading: true }] },
      /^tools\[0\]\.defer_loading: not supported/,
    ],
    ["an unknown tool", { tools: TOOLS, tool_choice: { type: "tool", name: "x" } }, /^tool_choice\.name: .* got "x"/],
    ["any of no tools", { tool_choice: { type: "any" } }, /^tool_choice\.type: expected tools/],
    ["a container", { container: "c" }, /^container: not supported/],
    ["a temperature", { temperature: -1 }, /^temperature: expected a number >= 0/],
    [
      "edits",
      { context_management: { edits: [{ type: "clear_tool_uses_20250919" }] } },
      /^context_management\.edits: not/,
    ],
    ["max_tokens", { max_tokens: null }, /^max_tokens: expected integer, got null/],
  ];
  for (const [name, fields, message] of cases) {
    test(`400 for ${name}`, async () => {
      await assert.rejects(client.messages.create({ ...ask, ...fields } as typeof ask), (error: BadRequestError) => {
        assert.ok(error instanceof BadRequestError, String(error));
        assert.equal(error.type, "invalid_request_error");
        assert.match(error.apiMessage ?? "", message);
        assert.match(error.requestID ?? "", /./);
        return true;
      });
    });
  }

  test("harmless fields are taken", async () => {
    const fields = {
      metadata: { user_id: "u" },
      service_tier: "auto",
      thinking: { type: "adaptive" },
      context_management: { edits: [{ type: "clear_thinking_20251015", keep: "all" }] },
      system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
      an_unknown_field: 1,
    };
    const message = await client.messages.create({ ...ask, ...fields, max_tokens: 2 } as typeof ask);
    assert.equal(message.stop_reason, "max_tokens");
  });

  test("a wrong key is 401, an unknown model 404, broken JSON 400", async () => {
    await assert.rejects(clientOf(server, "wrong").messages.create(ask), (error: AuthenticationError) => {
      assert.equal(error.type, "authentication_error");
      return error instanceof AuthenticationError;
    });
    await assert.rejects(client.messages.create({ ...ask, model: "claude" }), (error: NotFoundError) => {
      assert.equal(error.type, "not_found_error");
      return error instanceof NotFoundError;
    });
    const broken = await post(server, "/v1/messages", "{", { "x-api-key": "secret" });
    assert.equal(broken.status, 400);
    assert.equal((await broken.json()).error.type, "invalid_request_error");
  });

  test("a full queue is rate_limit_error 429 and a closed server overloaded_error 529, with retry-after", async () => {
    const small = await boxServer({ maxQueue: 0, engine: { backend: "cpu", threads: 1, maxSessions: 1 } });
    const own = clientOf(small);
    try {
      const long = own.messages.stream({
        ...ask,
        max_tokens: 500,
        messages: [{ role: "user", content: "Tell a story." }],
      });
      const ended = assert.rejects(long.done(), APIUserAbortError);
      await long.emitted("streamEvent");
      const refused = await own.messages.create(ask).catch((error: unknown) => error);
      assert.ok(refused instanceof APIError);
      assert.deepEqual([refused.status, refused.type], [429, "rate_limit_error"]);
      assert.ok(Number(refused.headers.get("retry-after")) >= 1);
      long.abort();
      await ended;
      await small.service.close();
      const closed = await own.messages.create(ask).catch((error: unknown) => error);
      assert.ok(closed instanceof APIError);
      assert.deepEqual([closed.status, closed.type], [529, "overloaded_error"]);
      assert.ok(Number(closed.headers.get("retry-after")) >= 1);
    } finally {
      await small.close();
    }
  });
});
