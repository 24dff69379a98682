/** Texts through the AI SDK itself, on the model in the box: whole and streamed, ended, aborted, gone wrong. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { LanguageModelV3, LanguageModelV3CallOptions, ProviderV3 } from "@ai-sdk/provider";
import {
  createProviderRegistry,
  generateText,
  NoSuchModelError,
  simulateStreamingMiddleware,
  streamText,
  UnsupportedFunctionalityError,
  wrapLanguageModel,
} from "ai";
import { type CallOptions, createTernion, type TernionProvider } from "../../src/ai/index.js";
import { Engine } from "../../src/index.js";

let engine: Engine;
let ternion: TernionProvider;
before(async () => {
  engine = await Engine.load(undefined, { backend: "cpu", threads: 2 });
  ternion = createTernion({ engine });
});
after(() => engine.close());

const QUESTION = "What is the capital of France?";
const GREEDY = { temperature: 0, maxRetries: 0 } as const;

test("the types are those of the AI SDK", () => {
  const provider: ProviderV3 = ternion;
  const model: LanguageModelV3 = ternion("box");
  // a method's parameters are compared both ways: that what the SDK gives is taken needs a check of its own
  const taken: LanguageModelV3CallOptions extends CallOptions ? true : false = true;
  assert.deepEqual([provider.specificationVersion, model.specificationVersion, taken], ["v3", "v3", true]);
  assert.equal(createTernion({ engine, specificationVersion: "v4" })().specificationVersion, "v4");
});

describe("generateText", () => {
  test("gives text, reason, usage and what the library reports", async () => {
    const { text, finishReason, rawFinishReason, usage, warnings, response, providerMetadata } = await generateText({
      model: ternion("box"),
      prompt: QUESTION,
      seed: 7,
      ...GREEDY,
    });
    assert.match(text, /Paris/);
    assert.deepEqual([finishReason, rawFinishReason, warnings], ["stop", "stop", []]);
    const { inputTokens = 0, outputTokens = 0, totalTokens, inputTokenDetails } = usage;
    assert.ok(inputTokens > 8 && outputTokens > 4, JSON.stringify(usage));
    assert.equal(totalTokens, inputTokens + outputTokens);
    assert.equal((inputTokenDetails.noCacheTokens ?? 0) + (inputTokenDetails.cacheReadTokens ?? 0), inputTokens);
    assert.equal(response.modelId, "box");
    assert.match(response.id, /^ternion-[\da-f-]{36}$/);
    assert.equal(providerMetadata?.ternion.seed, 7);
    assert.ok("tokensPerSecond" in Object(providerMetadata?.ternion.timings));
  });

  test("a system prompt and turns before go to the model's template", async () => {
    const turns = [
      { role: "user", content: "Hi" },
      { role: "assistant", content: "Hello." },
      { role: "user", content: QUESTION },
    ] as const;
    const asked = { model: ternion(), ...GREEDY, maxOutputTokens: 1 };
    const { usage } = await generateText({ ...asked, system: "Be brief.", messages: [...turns] });
    await using session = engine.session();
    const messages = [{ role: "system", content: "Be brief." }, ...turns];
    for await (const { finish } of session.chat(messages, { maxTokens: 1 })) {
      if (finish !== undefined) assert.equal(usage.inputTokens, finish.usage.promptTokens);
    }
  });

  test("an equal beginning of a prompt is found in the cache, and counted", async () => {
    const system = `You know all of this: ${"the sun rises in the east. ".repeat(10)}`;
    const asked = { model: ternion(), system, ...GREEDY, maxOutputTokens: 2 };
    const { usage: first } = await generateText({ ...asked, prompt: "Where does the sun rise?" });
    const { usage: second } = await generateText({ ...asked, prompt: "What rises in the east?" });
    const { inputTokens = 0, inputTokenDetails } = second;
    const { cacheReadTokens = 0, noCacheTokens = 0 } = inputTokenDetails;
    assert.ok((first.inputTokenDetails.cacheReadTokens ?? 0) < 20 && cacheReadTokens > 50, JSON.stringify(second));
    assert.equal(cacheReadTokens + noCacheTokens, inputTokens);
  });

  test("length, stop sequences, seed and options of the library are honoured", async () => {
    const asked = { model: ternion(), prompt: QUESTION, maxRetries: 0 };
    const short = await generateText({ ...asked, temperature: 0, maxOutputTokens: 3 });
    assert.deepEqual([short.finishReason, short.usage.outputTokens], ["length", 3]);
    const stopped = await generateText({ ...asked, temperature: 0, stopSequences: [" France"] });
    assert.equal(stopped.text, "The capital of");
    assert.deepEqual([stopped.finishReason, stopped.providerMetadata?.ternion.stop], ["stop", " France"]);
    const wide = { temperature: 5, topP: 1, topK: 0, maxOutputTokens: 8, providerOptions: { ternion: { minP: 0 } } };
    const draw = (seed: number) => generateText({ ...asked, ...wide, seed });
    const [first, same, other] = [await draw(1), await draw(1), await draw(2)];
    assert.equal(first.text, same.text);
    assert.notEqual(first.text, other.text);
    const providerOptions = { ternion: { logprobs: 2, ignoreEnd: true } };
    const measured = await generateText({ ...asked, temperature: 0, maxOutputTokens: 20, providerOptions });
    assert.equal(measured.usage.outputTokens, 20, "ignoreEnd");
    const logprobs = measured.providerMetadata?.ternion.logprobs as { logprob: number; top: unknown[] }[];
    assert.deepEqual([logprobs.length, logprobs[0].top.length, logprobs[0].logprob <= 0], [20, 2, true]);
  });

  test("a full context is a reason of length", async () => {
    await using small = createTernion({ backend: "cpu", threads: 1, contextLength: 24 });
    const { finishReason, rawFinishReason } = await generateText({
      model: small(),
      prompt: QUESTION,
      ...GREEDY,
      providerOptions: { ternion: { ignoreEnd: true } },
    });
    assert.deepEqual([finishReason, rawFinishReason], ["length", "context"]);
    const long = generateText({ model: small(), prompt: QUESTION.repeat(5), ...GREEDY });
    await assert.rejects(long, { code: "CONTEXT_OVERFLOW" });
  });

  test("what is wrong is said before anything is computed", async () => {
    const ask = (more: Partial<Parameters<typeof generateText>[0]>) =>
      generateText({ model: ternion(), prompt: QUESTION, maxRetries: 0, ...more } as never);
    await assert.rejects(ask({ temperature: -1 }), /^RangeError: temperature: expected a number from 0 to/);
    await assert.rejects(
      ask({ providerOptions: { ternion: { minp: 1 } } }),
      /^TypeError: providerOptions\.ternion\.minp: no such option; did you mean providerOptions\.ternion\.minP\?/,
    );
    await assert.rejects(ask({ providerOptions: { ternion: { minP: 2 } } }), /^RangeError: minP: expected/);
    const image = { type: "file", data: new Uint8Array([1]), mediaType: "image/png", filename: "cat.png" } as const;
    const messages = [{ role: "user", content: [{ type: "text", text: "What is it?" }, image] }] as const;
    const error = await ask({ prompt: undefined, messages: messages as never }).then(
      () => assert.fail("it was taken"),
      (reason: unknown) => reason,
    );
    assert.ok(UnsupportedFunctionalityError.isInstance(error), String(error));
    assert.match(error.message, /^prompt\[0\]\.content\[1\]: expected text, got a file \("cat\.png", image\/png\)\. /);
  });

  test("an abort rejects with its reason, before and in the middle of the answer", async () => {
    const reason = new Error("no longer wanted");
    const asked = { model: ternion(), prompt: QUESTION, maxRetries: 0 };
    await assert.rejects(generateText({ ...asked, abortSignal: AbortSignal.abort(reason) }), reason);
    const controller = new AbortController();
    const providerOptions = { ternion: { ignoreEnd: true } };
    const answer = generateText({ ...asked, maxOutputTokens: 1000, providerOptions, abortSignal: controller.signal });
    setTimeout(() => controller.abort(reason), 100);
    await assert.rejects(answer, reason);
  });
});

describe("streamText", () => {
  test("gives the text of generateText, and its parts in order", async () => {
    const asked = { model: ternion("box"), prompt: QUESTION, ...GREEDY };
    const { text } = await generateText(asked);
    const stream = streamText(asked);
    const types: string[] = [];
    let streamed = "";
    for await (const part of stream.fullStream) {
      if (part.type !== types.at(-1)) types.push(part.type);
      if (part.type === "text-delta") streamed += part.text;
    }
    assert.equal(streamed, text);
    const order = ["start", "start-step", "text-start", "text-delta", "text-end", "finish-step", "finish"];
    assert.deepEqual(types, order);
    assert.equal((await stream.response).modelId, "box");
  });

  test("an abort ends the stream and frees the place", async () => {
    await using one = createTernion({ backend: "cpu", threads: 2, maxSessions: 1, maxWaiting: 0 });
    const controller = new AbortController();
    const asked = { model: one(), prompt: QUESTION, maxRetries: 0 };
    const providerOptions = { ternion: { ignoreEnd: true } };
    const types: string[] = [];
    const { fullStream } = streamText({ ...asked, providerOptions, abortSignal: controller.signal });
    for await (const { type } of fullStream) {
      types.push(type);
      if (type === "text-delta") controller.abort();
    }
    assert.equal(types.at(-1), "abort");
    assert.match((await generateText({ ...asked, temperature: 0 })).text, /Paris/);
  });

  test("an error in the middle is a part, and reason `error`", async () => {
    await using closing = createTernion({ backend: "cpu", threads: 2 });
    const errors: unknown[] = [];
    const { fullStream, finishReason } = streamText({
      model: closing(),
      prompt: QUESTION,
      maxRetries: 0,
      providerOptions: { ternion: { ignoreEnd: true } },
      onError: ({ error }) => void errors.push(error),
    });
    let closed: Promise<void> | undefined;
    for await (const { type } of fullStream) if (type === "text-delta") closed ??= closing.close();
    await closed;
    assert.deepEqual(
      errors.map((error) => Object(error).code),
      ["CLOSED"],
    );
    assert.equal(await finishReason, "error");
  });
});

describe("the provider", () => {
  test("has language models only, and says so as the AI SDK does", () => {
    for (const kind of ["embeddingModel", "textEmbeddingModel", "imageModel", "speechModel"] as const) {
      assert.throws(
        () => ternion[kind]("x"),
        (error) => NoSuchModelError.isInstance(error) && /^ternion: no \w+Model "x": expected/.test(error.message),
      );
    }
    for (const kind of ["transcriptionModel", "rerankingModel"] as const) {
      assert.throws(() => ternion[kind]("x"), NoSuchModelError.isInstance);
    }
  });

  test("works in a registry and under middleware", async () => {
    const registry = createProviderRegistry({ ternion });
    const wrapped = wrapLanguageModel({ model: ternion(), middleware: simulateStreamingMiddleware() });
    for (const model of [registry.languageModel("ternion:box"), wrapped]) {
      let text = "";
      for await (const part of streamText({ model, prompt: QUESTION, ...GREEDY }).textStream) text += part;
      assert.match(text, /Paris/);
    }
  });

  test("checks what it is given", async () => {
    assert.throws(
      () => createTernion({ engine: {} as Engine }),
      /^TypeError: engine: expected an Engine, got an object/,
    );
    assert.throws(() => createTernion({ engine, threads: 2 }), /^TypeError: threads: expected nothing beside engine/);
    assert.throws(
      () => createTernion({ specificationVersion: "v2" as "v3" }),
      /^RangeError: specificationVersion: expected v3 or v4, got "v2"/,
    );
    assert.throws(() => ternion(""), /^RangeError: modelId: expected at least one character/);
    const wrong = createTernion({ thread: 1 } as object);
    await assert.rejects(wrong.engine(), /^TypeError: thread: no such option; did you mean threads\?/);
    await wrong.close();
  });

  test("names a model by its file", () => {
    const idOf = (model: string | URL) => createTernion({ model })().modelId;
    assert.equal(idOf("models/bitnet-2b.gguf"), "bitnet-2b");
    assert.equal(idOf("https://example.org/a/model-i2_s.gguf?download=true"), "model-i2_s");
    assert.equal(idOf(new URL("file:///models/a.GGUF")), "a");
    assert.equal(createTernion()().modelId, "ternion-tiny");
    assert.equal(createTernion({ model: new Uint8Array(1) })().modelId, "ternion");
  });

  test("loads once, tries again after a failure, and closes what it loaded", async () => {
    const missing = createTernion({ model: "no-such-file.gguf", backend: "cpu" });
    for (let i = 0; i < 2; i++) await assert.rejects(missing.engine(), { code: "GGUF_NOT_FOUND" });
    await missing.close();
    const own = createTernion({ backend: "cpu", threads: 1 });
    const [one, two] = await Promise.all([own.engine(), own.engine()]);
    assert.equal(one, two);
    await Promise.all([own.close(), own.close()]);
    assert.throws(() => one.session(), { code: "CLOSED" });
    await assert.rejects(own.engine(), { code: "CLOSED" });
    await ternion.close();
    await assert.rejects(ternion.engine(), { code: "CLOSED" });
    await engine.session().close(); // is not the provider's, and lives
    ternion = createTernion({ engine });
  });

  test("an abort leaves a load to the others", async () => {
    await using own = createTernion({ backend: "cpu", threads: 1 });
    const controller = new AbortController();
    const asked = { model: own(), prompt: QUESTION, ...GREEDY };
    const aborted = generateText({ ...asked, abortSignal: controller.signal });
    const other = generateText(asked);
    controller.abort();
    await assert.rejects(aborted, { name: "AbortError" });
    assert.match((await other).text, /Paris/);
  });
});
