/** The API of OpenAI as the AI SDK (`@ai-sdk/openai-compatible`) and LangChain (`@langchain/openai`) see it, on a live server. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { AIMessage, HumanMessage, SystemMessage } from "@langchain/core/messages";
import { ChatOpenAI, type ChatOpenAIFields } from "@langchain/openai";
import { APICallError, generateText, streamText } from "ai";
import { boxServer, MODEL } from "./servers.js";

const server = await boxServer();
after(() => server.close());

const baseURL = `${server.url}/v1`;
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

  test("an error has the words of the server", async () => {
    await assert.rejects(chat({ model: "gpt-5" }).invoke(QUESTION), /404.*gpt-5/);
  });
});
