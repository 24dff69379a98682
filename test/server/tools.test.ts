/** Tools in `/v1/chat/completions`, as OpenAI's own client sees them, against a live server. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { BadRequestError } from "openai";
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
