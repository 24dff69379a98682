/** Tools through the AI SDK: calls with arguments of their schema, executed by it, over several steps. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { generateText, hasToolCall, type ModelMessage, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { createTernion, type TernionProvider } from "../../src/ai/index.js";

let ternion: TernionProvider;
before(() => {
  ternion = createTernion({ backend: "cpu", threads: 2 });
});
after(() => ternion.close());

const asked: { city: string; days: number }[] = [];
const weather = tool({
  description: "The weather of a city",
  inputSchema: z.object({ city: z.enum(["Paris", "Rome"]), days: z.int().min(1).max(3) }),
  execute: async (input) => {
    asked.push(input);
    return { sunny: true, city: input.city };
  },
});
const clock = tool({ description: "The time of day", inputSchema: z.object({}), execute: async () => "noon" });
const tools = { weather, clock };

const call = (more: object = {}) => ({
  model: ternion(),
  prompt: "What is the weather in Paris?",
  temperature: 0,
  seed: 1,
  maxRetries: 0,
  maxOutputTokens: 200,
  tools,
  ...more,
});

describe("generateText", () => {
  test("a required call has arguments of its schema, and is executed", async () => {
    asked.length = 0;
    const { toolCalls, toolResults, finishReason, rawFinishReason, warnings } = await generateText(
      call({ toolChoice: { type: "tool", toolName: "weather" } }),
    );
    assert.deepEqual([finishReason, rawFinishReason, warnings], ["tool-calls", "tool_calls", []]);
    assert.ok(toolCalls.length >= 1 && toolResults.length === toolCalls.length);
    const [{ toolName, input, toolCallId }] = toolCalls;
    assert.equal(toolName, "weather");
    assert.ok(toolCallId.length > 4);
    assert.deepEqual(weather.inputSchema instanceof z.ZodType && weather.inputSchema.parse(input), input);
    assert.deepEqual(asked[0], input);
  });

  test("steps: a call, its result in the prompt, a text", async () => {
    const { steps, text } = await generateText(
      call({
        toolChoice: "required",
        stopWhen: stepCountIs(2),
        prepareStep: ({ stepNumber }: { stepNumber: number }) => (stepNumber > 0 ? { toolChoice: "none" } : undefined),
      }),
    );
    assert.deepEqual(
      steps.map(({ finishReason }) => finishReason === "tool-calls"),
      [true, false],
    );
    assert.ok(text.length > 0 && steps[1].toolCalls.length === 0);
    assert.ok((steps[1].usage.inputTokens ?? 0) > 0);
  });

  test("steps that end with an object", async () => {
    const { steps, output } = await generateText({
      ...call(),
      output: Output.object({ schema: z.object({ sunny: z.boolean() }) }),
      stopWhen: stepCountIs(2),
      prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber > 0 ? "none" : "required" }),
    });
    assert.deepEqual([steps[0].finishReason, steps[1].finishReason], ["tool-calls", "stop"]);
    assert.equal(typeof output.sunny, "boolean");
  });

  test("one call at most, where they are not to be parallel", async () => {
    const providerOptions = { ternion: { parallelToolCalls: false } };
    for (const seed of [1, 2, 3]) {
      const { toolCalls } = await generateText(
        call({ toolChoice: "required", temperature: 1, seed, providerOptions, stopWhen: hasToolCall("weather") }),
      );
      assert.equal(toolCalls.length, 1);
    }
  });

  test("a call that is cut is given as it is, with reason `length`", async () => {
    const inputSchema = {
      type: "object",
      properties: { text: { type: "string", minLength: 400 } },
      required: ["text"],
    };
    const { content, finishReason } = await ternion().doGenerate({
      prompt: [{ role: "user", content: [{ type: "text", text: "Tell a story." }] }],
      tools: [{ type: "function", name: "tell", inputSchema }],
      toolChoice: { type: "required" },
      maxOutputTokens: 40,
    });
    assert.deepEqual(finishReason, { unified: "length", raw: "length" });
    const [call] = content;
    assert.ok(call.type === "tool-call" && call.toolName === "tell" && call.input.startsWith('{"text":"'));
    assert.throws(() => JSON.parse(call.input), SyntaxError);
  });

  test("`none` answers in text; a tool of a provider is warned of", async () => {
    const { toolCalls, text } = await generateText(call({ toolChoice: "none" }));
    assert.deepEqual([toolCalls.length, text.length > 0], [0, true]);
    const search = { type: "provider", id: "other.search", args: {}, inputSchema: z.object({}) };
    const { warnings } = await generateText(call({ tools: { search }, maxOutputTokens: 4 }));
    assert.deepEqual(
      warnings?.map((warning) => "feature" in warning && warning.feature),
      ["provider tool other.search"],
    );
  });

  test("calls and results of earlier turns are read", async () => {
    const messages: ModelMessage[] = [
      { role: "user", content: "What is the weather in Rome?" },
      {
        role: "assistant",
        content: [{ type: "tool-call", toolCallId: "c1", toolName: "weather", input: { city: "Rome", days: 1 } }],
      },
      {
        role: "tool",
        content: [
          {
            type: "tool-result",
            toolCallId: "c1",
            toolName: "weather",
            output: { type: "json", value: { sunny: true } },
          },
        ],
      },
    ];
    const { usage: with_ } = await generateText({
      ...call({ maxOutputTokens: 1 }),
      prompt: undefined as never,
      messages,
    });
    const [question] = messages;
    const { usage: without } = await generateText({
      ...call({ maxOutputTokens: 1 }),
      prompt: undefined as never,
      messages: [question],
    });
    assert.ok((with_.inputTokens ?? 0) > (without.inputTokens ?? 0) + 10);
  });
});

describe("streamText", () => {
  test("arguments grow in deltas, then the call, then its result, then the next step", async () => {
    const types: string[] = [];
    let json = "";
    let input: unknown;
    const { fullStream } = streamText(
      call({
        toolChoice: { type: "tool", toolName: "weather" },
        providerOptions: { ternion: { parallelToolCalls: false } },
        stopWhen: stepCountIs(2),
        prepareStep: ({ stepNumber }: { stepNumber: number }) =>
          stepNumber > 0 ? { toolChoice: "none", activeTools: [] } : undefined,
      }),
    );
    for await (const part of fullStream) {
      if (part.type !== types.at(-1)) types.push(part.type);
      if (part.type === "tool-input-delta") json += part.delta;
      if (part.type === "tool-call") input = part.input;
    }
    assert.deepEqual(types.slice(0, 8), [
      "start",
      "start-step",
      "tool-input-start",
      "tool-input-delta",
      "tool-input-end",
      "tool-call",
      "tool-result",
      "finish-step",
    ]);
    assert.deepEqual(types.slice(8), ["start-step", "text-start", "text-delta", "text-end", "finish-step", "finish"]);
    assert.deepEqual(JSON.parse(json), input);
  });
});
