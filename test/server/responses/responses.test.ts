/** `/v1/responses` as OpenAI's own client sees it, against a live server. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { BadRequestError, NotFoundError, RateLimitError } from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import type {
  FunctionTool,
  ResponseCreateParamsNonStreaming,
  ResponseStreamEvent,
} from "openai/resources/responses/responses";
import { z } from "zod";
import { boxServer, MODEL, openai, post } from "../servers.js";

const server = await boxServer({ apiKeys: ["one", "two"] });
after(() => server.close());
const client = openai(server, { apiKey: "one" });
const other = openai(server, { apiKey: "two" });

const ask: ResponseCreateParamsNonStreaming = {
  model: MODEL,
  input: "What is the capital of France?",
  temperature: 0,
  max_output_tokens: 60,
};

const PAINT: FunctionTool = {
  type: "function",
  name: "paint",
  description: "Paints",
  strict: true,
  parameters: {
    type: "object",
    properties: { color: { enum: ["red", "blue"] }, coats: { enum: [1, 2, 3] } },
    required: ["color", "coats"],
    additionalProperties: false,
  },
};
const paint = {
  ...ask,
  max_output_tokens: 150,
  tools: [PAINT],
  tool_choice: "required",
  parallel_tool_calls: false,
} as const satisfies ResponseCreateParamsNonStreaming;

function checkPaint(text: string): void {
  const { color, coats } = JSON.parse(text);
  assert.ok(["red", "blue"].includes(color) && [1, 2, 3].includes(coats), text);
}

describe("a response", () => {
  test("whole", async () => {
    const response = await client.responses.create({ ...ask, metadata: { a: "b" } });
    assert.match(response.id, /^resp_[0-9a-f]{32}$/);
    assert.match(response.output_text, /Paris/);
    assert.deepEqual([response.object, response.status, response.model], ["response", "completed", MODEL]);
    assert.deepEqual([response.error, response.incomplete_details, response.metadata], [null, null, { a: "b" }]);
    const [item, ...others] = response.output;
    assert.deepEqual(others, []);
    assert.ok(item.type === "message" && item.status === "completed" && item.role === "assistant");
    const { usage } = response;
    assert.equal(usage?.total_tokens, (usage?.input_tokens ?? 0) + (usage?.output_tokens ?? 0));
    assert.equal(typeof usage?.input_tokens_details.cached_tokens, "number");
  });

  test("is what chat completions give for the same words", async () => {
    const { output_text } = await client.responses.create({ ...ask, instructions: "Be brief." });
    const { choices } = await client.chat.completions.create({
      model: MODEL,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: ask.input as string },
      ],
      temperature: 0,
      max_tokens: 60,
    });
    assert.equal(output_text, choices[0].message.content);
  });

  test("that is cut off is incomplete", async () => {
    const response = await client.responses.create({ ...ask, max_output_tokens: 2 });
    assert.deepEqual([response.status, response.incomplete_details?.reason], ["incomplete", "max_output_tokens"]);
    assert.equal((response.output[0] as { status: string }).status, "incomplete");
  });

  test("by a schema, parsed by the client", async () => {
    const Answer = z.object({ city: z.enum(["Paris", "Rome"]), sure: z.boolean() });
    const response = await client.responses.parse({ ...ask, text: { format: zodTextFormat(Answer, "answer") } });
    assert.ok(response.output_parsed !== null && Answer.safeParse(response.output_parsed).success);
  });
});

describe("a stream", () => {
  async function eventsOf(params: ResponseCreateParamsNonStreaming): Promise<ResponseStreamEvent[]> {
    const events: ResponseStreamEvent[] = [];
    for await (const each of await client.responses.create({ ...params, stream: true })) events.push(each);
    assert.deepEqual(
      events.map(({ sequence_number }) => sequence_number),
      [...events.keys()],
    );
    return events;
  }
  /** Types, with deltas that follow each other as one. */
  const typesOf = (events: readonly ResponseStreamEvent[]) =>
    events.map(({ type }) => type).filter((type, i, all) => !type.endsWith("delta") || type !== all[i - 1]);

  test("of a text: the events in their order", async () => {
    const events = await eventsOf(ask);
    assert.deepEqual(typesOf(events), [
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
    const text = events.map((each) => (each.type === "response.output_text.delta" ? each.delta : "")).join("");
    const last = events[events.length - 1];
    assert.ok(last.type === "response.completed");
    const [item] = last.response.output;
    assert.ok(item.type === "message" && item.content[0].type === "output_text");
    assert.equal(item.content[0].text, text);
    assert.match(text, /Paris/);
  });

  test("of a call: the events in their order", async () => {
    const events = await eventsOf(paint);
    assert.deepEqual(typesOf(events), [
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.function_call_arguments.delta",
      "response.function_call_arguments.done",
      "response.output_item.done",
      "response.completed",
    ]);
    const done = events.find((each) => each.type === "response.function_call_arguments.done");
    checkPaint(done?.arguments ?? "");
  });

  test("that is cut off ends with response.incomplete", async () => {
    const events = await eventsOf({ ...ask, max_output_tokens: 2 });
    assert.equal(events[events.length - 1].type, "response.incomplete");
  });

  test("is put together by the client's helper", async () => {
    const whole = await client.responses.create(ask);
    let text = "";
    const stream = client.responses.stream({ ...ask, stream: true }).on("response.output_text.delta", ({ delta }) => {
      text += delta;
    });
    const final = await stream.finalResponse();
    const [item] = final.output;
    assert.equal(item.type === "message" && item.content[0].type === "output_text" && item.content[0].text, text);
    assert.equal(text, whole.output_text);
    const called = await client.responses.stream({ ...paint, stream: true }).finalResponse();
    assert.ok(called.output[0].type === "function_call");
    checkPaint(called.output[0].arguments);
  });

  test("names its events", async () => {
    const body = { ...ask, max_output_tokens: 2, stream: true };
    const text = await (await post(server, "/v1/responses", body, { authorization: "Bearer one" })).text();
    assert.match(text, /^event: response\.created\ndata: \{"type":"response\.created","sequence_number":0,/);
    assert.match(text, /event: response\.incomplete\ndata: .*\n\n$/);
  });

  test("that fails ends with response.failed", async () => {
    const own = await boxServer();
    try {
      const types: string[] = [];
      const input = "Tell me a long story.";
      const stream = await openai(own).responses.create({ ...ask, input, max_output_tokens: 600, stream: true });
      for await (const { type } of stream) {
        types.push(type);
        if (type === "response.output_text.delta") await own.service.close();
      }
      assert.equal(types[types.length - 1], "response.failed");
    } finally {
      await own.close();
    }
  });
});

describe("a conversation", () => {
  test("goes on from a response that is kept, as if all of it had been said again", async () => {
    const first = await client.responses.create({ ...ask, instructions: "Be brief." });
    const next = { ...ask, input: "And of Spain?" };
    const second = await client.responses.create({ ...next, previous_response_id: first.id });
    const said = await client.responses.create({
      ...next,
      store: false,
      input: [
        { role: "user", content: ask.input as string },
        ...first.output.map((item) => item as never),
        { role: "user", content: [{ type: "input_text", text: "And of Spain?" }] },
      ],
    });
    assert.equal(second.output_text, said.output_text);
    assert.equal(second.usage?.input_tokens, said.usage?.input_tokens, "instructions are not carried over");
    const third = await client.responses.create({ ...next, input: "And?", previous_response_id: second.id });
    assert.ok((third.usage?.input_tokens ?? 0) > (second.usage?.input_tokens ?? 0));
  });

  test("with the result of a call", async () => {
    const first = await client.responses.create(paint);
    const [call] = first.output;
    assert.ok(call.type === "function_call");
    checkPaint(call.arguments);
    const result = { type: "function_call_output", call_id: call.call_id, output: "painted" } as const;
    const second = await client.responses.create({
      ...ask,
      tools: [PAINT],
      input: [result],
      previous_response_id: first.id,
      max_output_tokens: 5,
    });
    const again = await client.responses.create({
      ...ask,
      tools: [PAINT],
      input: [{ role: "user", content: ask.input as string }, call, result],
      max_output_tokens: 5,
    });
    assert.deepEqual(second.usage?.input_tokens, again.usage?.input_tokens);
    assert.equal(second.output_text, again.output_text);
  });

  test("is read and deleted by the one who had it, and by nobody else", async () => {
    const made = await client.responses.create({ ...ask, max_output_tokens: 2 });
    const { output_text: _, ...kept } = await client.responses.retrieve(made.id);
    const { output_text: _made, ...whole } = made;
    assert.deepEqual(JSON.parse(JSON.stringify(kept)), JSON.parse(JSON.stringify(whole)));
    await assert.rejects(other.responses.retrieve(made.id), NotFoundError);
    await assert.rejects(other.responses.create({ ...ask, previous_response_id: made.id }), BadRequestError);
    await assert.rejects(other.responses.delete(made.id), NotFoundError);
    await client.responses.delete(made.id);
    await assert.rejects(client.responses.retrieve(made.id), NotFoundError);
  });

  test("with store: false it is not kept", async () => {
    const made = await client.responses.create({ ...ask, max_output_tokens: 2, store: false });
    await assert.rejects(client.responses.retrieve(made.id), NotFoundError);
    await assert.rejects(
      client.responses.create({ ...ask, previous_response_id: made.id }),
      (error: BadRequestError) => {
        assert.deepEqual(
          [error.status, error.param, error.code],
          [400, "previous_response_id", "previous_response_not_found"],
        );
        return true;
      },
    );
  });
});

describe("fields", () => {
  const cases: readonly [string, object][] = [
    ["input", { input: [] }],
    ["input", { input: undefined }],
    ["input[0].type", { input: [{ type: "item_reference", id: "x" }] }],
    ["input[0].role", { input: [{ type: "message", content: "x" }] }],
    ["input[0].content[0].type", { input: [{ role: "user", content: [{ type: "input_image", image_url: "x" }] }] }],
    ["input[0].name", { input: [{ type: "function_call", call_id: "x", arguments: "{}" }] }],
    ["input[0].call_id", { input: [{ type: "function_call_output", output: "x" }] }],
    ["tools[0].type", { tools: [{ type: "web_search" }] }],
    ["tools[0].type", { tools: [{ type: "custom", name: "x" }] }],
    ["tools[0].name", { tools: [{ type: "function", parameters: {} }] }],
    ["tool_choice", { tools: [PAINT], tool_choice: { type: "function", name: "x" } }],
    ["tool_choice.type", { tools: [PAINT], tool_choice: { type: "web_search" } }],
    ["background", { background: true }],
    ["conversation", { conversation: "c" }],
    ["prompt", { prompt: { id: "x" } }],
    ["truncation", { truncation: "auto" }],
    ["top_logprobs", { top_logprobs: 2 }],
    [
      "text.format.schema.properties.a.not",
      { text: { format: { type: "json_schema", name: "x", schema: { properties: { a: { not: {} } } } } } },
    ],
    [
      "tools[1].parameters.$defs.b.properties['c d'].not".replaceAll("'", '"'),
      {
        tools: [
          PAINT,
          {
            type: "function",
            name: "other",
            parameters: {
              type: "object",
              properties: { a: { $ref: "#/$defs/b" } },
              $defs: { b: { properties: { "c d": { not: {} } } } },
            },
          },
        ],
        tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "other" }] },
      },
    ],
    ["text.format.schema", { text: { format: { type: "json_schema", name: "x" } } }],
    ["max_output_tokens", { max_output_tokens: 0 }],
    ["metadata.a", { metadata: { a: 1 } }],
  ];
  for (const [param, fields] of cases) {
    test(`${JSON.stringify(fields).slice(0, 60)}: 400 for ${param}`, async () => {
      await assert.rejects(client.responses.create({ ...ask, ...fields } as typeof ask), (error: BadRequestError) => {
        assert.ok(error instanceof BadRequestError, String(error));
        assert.equal(error.param, param, error.message);
        return true;
      });
    });
  }

  test("log probabilities of the text, whole and in events, as chat completions have them", async () => {
    const include = ["message.output_text.logprobs" as const];
    const request = { ...ask, include, top_logprobs: 2, temperature: 0, max_output_tokens: 8 };
    const { output } = await client.responses.create(request);
    const [part] = output[0].type === "message" ? output[0].content : [];
    assert.ok(part.type === "output_text");
    const whole = part.logprobs ?? [];
    assert.equal(whole.map(({ token }) => token).join(""), part.text);
    for (const { logprob, top_logprobs, bytes } of whole) {
      assert.deepEqual([top_logprobs.length, top_logprobs[0].logprob, bytes.length > 0], [2, logprob, true]);
    }
    const streamed: number[] = [];
    for await (const each of await client.responses.create({ ...request, stream: true })) {
      if (each.type === "response.output_text.delta") streamed.push(...each.logprobs.map(({ logprob }) => logprob));
      if (each.type === "response.output_text.done") assert.equal(each.logprobs.length, whole.length);
    }
    assert.deepEqual(
      streamed,
      whole.map(({ logprob }) => logprob),
    );
  });

  test("harmless ones are taken", async () => {
    const fields = {
      include: ["reasoning.encrypted_content"],
      input: [
        { type: "reasoning", id: "r", summary: [] },
        { role: "developer", content: "Be brief." },
        { role: "user", content: "Hello" },
      ],
      prompt_cache_key: "k",
      reasoning: { effort: "medium", summary: "auto" },
      text: { verbosity: "low" },
      truncation: "disabled",
      tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "paint" }] },
      tools: [PAINT],
      max_output_tokens: 2,
      an_unknown_field: 1,
    };
    const { status } = await client.responses.create({ ...ask, ...fields } as typeof ask);
    assert.equal(status, "incomplete");
  });

  test("a full queue is 429", async () => {
    const small = await boxServer({ maxQueue: 0, engine: { backend: "cpu", threads: 1, maxSessions: 1 } });
    const own = openai(small);
    try {
      const long = await own.responses.create({ ...ask, input: "Tell a story.", max_output_tokens: 500, stream: true });
      const events = long[Symbol.asyncIterator]();
      await events.next();
      await assert.rejects(own.responses.create(ask), RateLimitError);
      await assert.rejects(own.responses.create({ ...ask, stream: true }), RateLimitError);
      long.controller.abort();
    } finally {
      await small.close();
    }
  });
});
