/** Tools in `/v1/chat/completions`, as OpenAI's own client sees them, against a live server. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { BadRequestError } from "openai";
import type { RunnableToolFunctionWithParse } from "openai/lib/RunnableFunction";
import type { ChatCompletionFunctionTool } from "openai/resources/chat/completions";
import { boxServer, MODEL, openai } from "./servers.js";

const server = await boxServer();
const client = openai(server);
after(() => server.close());

const ADD: ChatCompletionFunctionTool = {
  type: "function",
  function: {
    name: "add",
    description: "Adds two numbers",
    parameters: {
      type: "object",
      properties: { a: { type: "integer" }, b: { type: "integer" } },
      required: ["a", "b"],
      additionalProperties: false,
    },
  },
};

const ask = {
  model: MODEL,
  messages: [{ role: "user" as const, content: "What is the capital of France?" }],
  temperature: 0,
  max_tokens: 100,
};

describe("fields", () => {
  const cases: readonly [string, object][] = [
    ["functions", { functions: [ADD.function] }],
    ["function_call", { function_call: { name: "add" } }],
    ["tools[0].type", { tools: [{ type: "custom", custom: { name: "x" } }] }],
    ["tools[0].function", { tools: [{ type: "function" }] }],
    ["tools[0].function.name", { tools: [{ type: "function", function: { name: "a b" } }] }],
    ["tools[0].function.parameters", { tools: [{ type: "function", function: { name: "a", parameters: "x" } }] }],
    ["tool_choice", { tools: [ADD], tool_choice: "any" }],
    ["tool_choice", { tool_choice: "required" }],
    ["tool_choice", { tools: [ADD], tool_choice: { type: "function", function: { name: "sub" } } }],
    ["tool_choice.type", { tools: [ADD], tool_choice: { type: "custom", custom: { name: "x" } } }],
    ["parallel_tool_calls", { tools: [ADD], parallel_tool_calls: "no" }],
    ["messages[0].tool_calls[0].function", { messages: [{ role: "assistant", tool_calls: [{ id: "a" }] }] }],
  ];
  for (const [param, fields] of cases) {
    test(`${JSON.stringify(fields).slice(0, 70)}: 400 for ${param}`, async () => {
      await assert.rejects(
        client.chat.completions.create({ ...ask, ...fields } as typeof ask),
        (error: BadRequestError) => {
          assert.ok(error instanceof BadRequestError, String(error));
          assert.equal(error.param, param);
          return true;
        },
      );
    });
  }
});

test("a question that needs no tool gets text", async () => {
  const { choices } = await client.chat.completions.create({ ...ask, tools: [ADD] });
  assert.equal(choices[0].finish_reason, "stop");
  assert.equal(choices[0].message.tool_calls, undefined);
  assert.ok(choices[0].message.content);
});

/** Short calls: numbers of one digit, or a word of the two. */
const PAINT: ChatCompletionFunctionTool = {
  type: "function",
  function: {
    name: "paint",
    parameters: {
      type: "object",
      properties: { color: { enum: ["red", "blue"] }, coats: { enum: [1, 2, 3] } },
      required: ["color", "coats"],
    },
  },
};
const paint = { ...ask, tools: [PAINT], tool_choice: "required" as const, parallel_tool_calls: false };

function checkPaint(text: string): void {
  const { color, coats } = JSON.parse(text);
  assert.ok(["red", "blue"].includes(color) && [1, 2, 3].includes(coats), text);
}

describe("calls", () => {
  test("whole", async () => {
    const { choices } = await client.chat.completions.create(paint);
    const [{ message, finish_reason }] = choices;
    assert.deepEqual([message.content, finish_reason, message.tool_calls?.length], [null, "tool_calls", 1]);
    const call = message.tool_calls?.[0];
    assert.ok(call?.type === "function" && /^call_\w{24}$/.test(call.id));
    assert.equal(call.function.name, "paint");
    checkPaint(call.function.arguments);
  });

  test("as deltas: id, type and name once, then parts of the arguments, then the finish", async () => {
    const stream = await client.chat.completions.create({ ...paint, stream: true });
    const deltas = [];
    const reasons = [];
    for await (const { choices } of stream) {
      deltas.push(...(choices[0].delta.tool_calls ?? []));
      reasons.push(choices[0].finish_reason);
    }
    const [{ index, id, type, function: called }, ...others] = deltas;
    assert.deepEqual([index, type, called], [0, "function", { name: "paint", arguments: "" }]);
    assert.match(id ?? "", /^call_/);
    assert.ok(others.length > 1);
    for (const each of others) assert.deepEqual(Object.keys(each).sort(), ["function", "index"]);
    checkPaint(others.map((each) => each.function?.arguments).join(""));
    assert.deepEqual(
      reasons.filter((reason) => reason !== null),
      ["tool_calls"],
    );
  });

  test("the client's stream helper puts them together", async () => {
    const runner = client.chat.completions.stream(paint);
    const done: string[] = [];
    runner.on("tool_calls.function.arguments.done", (props) => done.push(props.name, props.arguments));
    const final = await runner.finalChatCompletion();
    const call = final.choices[0].message.tool_calls?.[0];
    assert.ok(call?.type === "function");
    assert.deepEqual(done, ["paint", call.function.arguments]);
    checkPaint(call.function.arguments);
  });

  test("runTools calls the function, and has its result among the messages", async () => {
    const called: object[] = [];
    const paintIt: RunnableToolFunctionWithParse<object> = {
      type: "function",
      function: {
        name: "paint",
        description: "Paints",
        parameters: PAINT.function.parameters ?? {},
        parse: (text) => JSON.parse(text),
        function: (given) => {
          called.push(given);
          return "painted";
        },
      },
    };
    const choice = { type: "function", function: { name: "paint" } } as const;
    const runner = client.chat.completions.runTools({
      ...ask,
      parallel_tool_calls: false,
      tool_choice: choice,
      tools: [paintIt],
    });
    await runner.done();
    assert.equal(called.length, 1);
    checkPaint(JSON.stringify(called[0]));
    const roles = runner.messages.map(({ role }) => role);
    assert.deepEqual(roles, ["user", "assistant", "tool"]);
  });

  test("only the allowed ones are called, in each of several choices", async () => {
    const { choices } = await client.chat.completions.create({
      ...paint,
      tools: [ADD, PAINT],
      tool_choice: {
        type: "allowed_tools",
        allowed_tools: { mode: "required", tools: [{ type: "function", function: { name: "paint" } }] },
      },
      n: 2,
    });
    assert.equal(choices.length, 2);
    for (const { message } of choices) {
      const [call] = message.tool_calls ?? [];
      assert.ok(call.type === "function" && call.function.name === "paint");
    }
  });

  test("a schema that cannot be honoured is refused, with its place", async () => {
    const parameters = { type: "object", properties: { x: { not: { type: "string" } } } };
    const tools = [{ type: "function" as const, function: { name: "f", parameters } }];
    await assert.rejects(client.chat.completions.create({ ...paint, tools }), (error: BadRequestError) => {
      assert.equal(error.status, 400);
      assert.equal(error.param, "tools[0].function.parameters.properties.x.not");
      assert.match(error.message, /tools\[0\]\.function\.parameters.*not/);
      return true;
    });
  });
});
