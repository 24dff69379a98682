/** The API of OpenAI as the AI SDK (`@ai-sdk/openai-compatible`) and LangChain (`@langchain/openai`) see it, on a live server. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { AIMessage, type AIMessageChunk, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOpenAI, type ChatOpenAIFields } from "@langchain/openai";
import { APICallError, generateObject, generateText, Output, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";
import { boxServer, MODEL } from "./servers.js";

const server = await boxServer();
after(() => server.close());

const baseURL = `${server.url}/v1`;
const Place = z.object({ city: z.enum(["Paris", "Rome"]) });
const Person = z.object({
  name: z.string().max(12),
  age: z.int().min(0).max(120),
  likes: z.array(z.string().max(8)).max(2),
});
const QUESTION = "What is the capital of France?";

describe("@ai-sdk/openai-compatible", () => {
  const ternion = createOpenAICompatible({ name: "ternion", baseURL, includeUsage: true });
  const asked = { model: ternion(MODEL), prompt: QUESTION, temperature: 0, maxRetries: 0 };

  test("generates text", async () => {
    const { text, finishReason, usage, warnings, response } = await generateText({ ...asked, system: "Be brief." });
    assert.match(text, /\w/);
    assert.deepEqual([finishReason, warnings, response.modelId], ["stop", [], MODEL]);
    assert.equal(usage.totalTokens, (usage.inputTokens ?? 0) + (usage.outputTokens ?? 0));
    assert.equal(typeof usage.inputTokenDetails.cacheReadTokens, "number");
  });

  test("streams the same text, with its usage", async () => {
    const { text } = await generateText(asked);
    const stream = streamText(asked);
    let streamed = "";
    for await (const part of stream.textStream) streamed += part;
    assert.equal(streamed, text);
    assert.match(text, /Paris/);
    assert.equal(await stream.finishReason, "stop");
    assert.ok(((await stream.usage).outputTokens ?? 0) > 4);
  });

  test("settings arrive: length, stop, seed, penalties", async () => {
    const { finishReason, usage } = await generateText({ ...asked, maxOutputTokens: 3 });
    assert.deepEqual([finishReason, usage.outputTokens], ["length", 3]);
    assert.equal((await generateText({ ...asked, stopSequences: [" France"] })).text, "The capital of");
    const draw = () =>
      generateText({ ...asked, temperature: 1.5, seed: 3, frequencyPenalty: 0.5, maxOutputTokens: 12 });
    assert.equal((await draw()).text, (await draw()).text);
  });

  test("makes objects of a schema, whole and streamed", async () => {
    const strict = createOpenAICompatible({ name: "ternion", baseURL, supportsStructuredOutputs: true });
    const wanted = { ...asked, model: strict(MODEL), schema: Person };
    const { object } = await generateObject(wanted);
    assert.deepEqual(Person.parse(object), object);
    const { output } = await generateText({
      ...asked,
      model: strict(MODEL),
      output: Output.object({ schema: Person }),
    });
    assert.deepEqual(output, object);
    const stream = streamObject(wanted);
    let parts = 0;
    for await (const _ of stream.partialObjectStream) parts++;
    assert.deepEqual([await stream.object, parts > 2], [object, true]);
  });

  test("calls tools, and answers with their results", async () => {
    const weather = tool({ inputSchema: Place, execute: async ({ city }) => `sunny in ${city}` });
    const calling = {
      ...asked,
      tools: { weather },
      toolChoice: { type: "tool", toolName: "weather" },
      maxOutputTokens: 100,
      stopWhen: stepCountIs(1),
    } as const;
    const { toolCalls, toolResults, finishReason, response } = await generateText(calling);
    assert.equal(finishReason, "tool-calls");
    assert.equal(toolResults[0].output, `sunny in ${Place.parse(toolCalls[0].input).city}`);
    const messages = [{ role: "user" as const, content: QUESTION }, ...response.messages];
    const { text } = await generateText({ ...calling, prompt: undefined, messages, toolChoice: "none" });
    assert.match(text, /\w/);
    const streamed: unknown[] = [];
    for await (const part of streamText(calling).fullStream) if (part.type === "tool-call") streamed.push(part.input);
    assert.deepEqual(
      streamed,
      toolCalls.map(({ input }) => input),
    );
  });

  test("an error has the status and the words of the server", async () => {
    const failed = await generateText({ ...asked, model: ternion("gpt-5") }).catch((error: unknown) => error);
    assert.ok(APICallError.isInstance(failed));
    assert.deepEqual([failed.statusCode, failed.isRetryable], [404, false]);
    assert.match(failed.message, /gpt-5/);
  });

  test("an abort ends the stream", async () => {
    const controller = new AbortController();
    const types: string[] = [];
    const { fullStream } = streamText({ ...asked, prompt: "Tell a long story.", abortSignal: controller.signal });
    for await (const { type } of fullStream) {
      types.push(type);
      if (type === "text-delta") controller.abort();
    }
    assert.equal(types.at(-1), "abort");
  });
});

describe("@langchain/openai", () => {
  const chat = (fields: ChatOpenAIFields = {}) => {
    return new ChatOpenAI({
      model: MODEL,
      temperature: 0,
      apiKey: "none",
      maxRetries: 0,
      configuration: { baseURL },
      ...fields,
    });
  };

  test("invokes, with usage and reason", async () => {
    const answer = await chat().invoke(QUESTION);
    assert.match(answer.text, /Paris/);
    assert.equal(answer.response_metadata.finish_reason, "stop");
    const { input_tokens, output_tokens, total_tokens } = answer.usage_metadata ?? assert.fail("no usage");
    assert.deepEqual([input_tokens > 8, total_tokens], [true, input_tokens + output_tokens]);
  });

  test("streams the same text, with its usage", async () => {
    let [text, tokens] = ["", 0];
    for await (const chunk of await chat().stream(QUESTION)) {
      text += chunk.text;
      tokens += chunk.usage_metadata?.output_tokens ?? 0;
    }
    assert.equal(text, (await chat().invoke(QUESTION)).text);
    assert.ok(tokens > 4);
  });

  test("takes messages of all roles, and answers a batch at once", async () => {
    const turns = [
      new SystemMessage("Be brief."),
      new HumanMessage("Hi"),
      new AIMessage("Hello."),
      new HumanMessage(QUESTION),
    ];
    assert.match((await chat().invoke(turns)).text, /\w/);
    const countries = ["Italy", "Japan", "Spain"];
    const answers = await chat().batch(countries.map((country) => `What is the capital of ${country}?`));
    assert.deepEqual(
      answers.map(({ text }) => /Rome|Tokyo|Madrid/.exec(text)?.[0]),
      ["Rome", "Tokyo", "Madrid"],
    );
  });

  test("settings arrive: length, stop, log probabilities", async () => {
    const short = await chat({ maxTokens: 3, logprobs: true, topLogprobs: 2 }).invoke(QUESTION);
    assert.equal(short.response_metadata.finish_reason, "length");
    const { content } = short.response_metadata.logprobs as { content: { top_logprobs: unknown[] }[] };
    assert.deepEqual(
      content.map(({ top_logprobs }) => top_logprobs.length),
      [2, 2, 2],
    );
    assert.equal((await chat({ stop: [" France"] }).invoke(QUESTION)).text, "The capital of");
  });

  test("makes objects of a schema", async () => {
    for (const method of ["jsonSchema", "functionCalling"] as const) {
      const object = await chat({ maxTokens: 200 })
        .withStructuredOutput(Person, { method, name: "person" })
        .invoke(QUESTION);
      assert.deepEqual(Person.parse(object), object);
    }
  });

  test("calls tools, whole and streamed, and reads their results", async () => {
    const weather = { type: "function", function: { name: "weather", parameters: z.toJSONSchema(Place) } } as const;
    const bound = chat({ maxTokens: 100 }).bindTools([weather], { tool_choice: "weather", parallel_tool_calls: false });
    const answer = await bound.invoke(QUESTION);
    const [call, ...others] = answer.tool_calls ?? [];
    assert.deepEqual([call.name, Place.parse(call.args), others], ["weather", call.args, []]);
    let streamed: AIMessageChunk | undefined;
    for await (const chunk of await bound.stream(QUESTION)) streamed = streamed?.concat(chunk) ?? chunk;
    assert.deepEqual(
      streamed?.tool_calls?.map(({ args }) => args),
      [call.args],
    );
    const result = new ToolMessage({ content: "sunny", tool_call_id: call.id ?? "", name: "weather" });
    const { text } = await chat({ maxTokens: 20 }).invoke([new HumanMessage(QUESTION), answer, result]);
    assert.match(text, /\w/);
  });

  test("an error has the words of the server", async () => {
    await assert.rejects(chat({ model: "gpt-5" }).invoke(QUESTION), /404.*gpt-5/);
  });
});
