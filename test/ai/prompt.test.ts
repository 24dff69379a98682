/** A prompt of the AI SDK as messages, and parts of a stream as the specification orders them: without the AI SDK between. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type CallOptions, createTernion, type StreamPart, type TernionProvider } from "../../src/ai/index.js";
import { partsOf as messageParts } from "../../src/ai/parts.js";
import { messagesOf } from "../../src/ai/prompt.js";
import type { Piece } from "../../src/index.js";

let ternion: TernionProvider;
before(() => {
  ternion = createTernion({ backend: "cpu", threads: 2 });
});
after(() => ternion.close());

const USAGE = { promptTokens: 3, cachedTokens: 1, completionTokens: 5 };
const TIMINGS = { promptMs: 1, generationMs: 2, promptPerSecond: 3, tokensPerSecond: 4 };

const text = (words: string) => ({ type: "text", text: words }) as const;

test("messages of all roles", () => {
  const call = { type: "tool-call", toolCallId: "c1", toolName: "weather", input: { city: "Paris" } } as const;
  const result = (output: object) =>
    ({ type: "tool-result", toolCallId: "c1", toolName: "weather", output }) as unknown as never;
  const messages = messagesOf([
    { role: "system", content: "Be brief." },
    { role: "user", content: [text("One."), text("Two.")] },
    {
      role: "user",
      content: [{ type: "file", mediaType: "text", data: { type: "text", text: "a document" } }],
    },
    { role: "assistant", content: [{ type: "reasoning", text: "Hm." }, text("I "), text("look."), call] },
    {
      role: "tool",
      content: [
        result({ type: "json", value: { sunny: true } }),
        result({ type: "error-text", value: "no such city" }),
        result({ type: "content", value: [text("a"), text("b")] }),
        result({ type: "execution-denied", reason: "not today" }),
      ],
    },
  ]);
  const tool = (content: string) => ({ role: "tool", tool_call_id: "c1", name: "weather", content });
  assert.deepEqual(messages, [
    { role: "system", content: "Be brief." },
    { role: "user", content: "One.\nTwo." },
    { role: "user", content: "a document" },
    {
      role: "assistant",
      content: "I look.",
      reasoning_content: "Hm.",
      tool_calls: [{ id: "c1", type: "function", function: { name: "weather", arguments: { city: "Paris" } } }],
    },
    tool('{"sunny":true}'),
    tool("no such city"),
    tool("a\nb"),
    tool("The tool was not executed: not today"),
  ]);
});

test("what is no text is refused by its place", () => {
  const refused = (role: "user" | "assistant" | "tool", part: object, words: RegExp) =>
    assert.throws(() => messagesOf([{ role, content: [part] } as never]), words);
  refused(
    "user",
    { type: "file", mediaType: "application/pdf", data: "AA==" },
    /content\[0\]: .*got a file \(application\/pdf\)/,
  );
  refused(
    "assistant",
    { type: "custom", kind: "other.thing" },
    /prompt\[0\]\.content\[0\]: .*custom part \(other\.thing\)/,
  );
  refused("assistant", { type: "reasoning-file", mediaType: "image/png", data: "" }, /got a file \(image\/png\)/);
  refused("tool", { type: "tool-approval-response", approvalId: "a1" }, /got an answer to approval request "a1"/);
  const output = { type: "content", value: [{ type: "image-data", data: "AA==" }] };
  refused("tool", { type: "tool-result", output }, /content\[0\]\.output\.value\[0\]: .*a part of type "image-data"/);
});

async function partsOf(call: Partial<CallOptions>): Promise<StreamPart[]> {
  const prompt = [{ role: "user", content: [text("What is the capital of France?")] }] as const;
  const { stream } = await ternion("box").doStream({ prompt, temperature: 0, ...call });
  const parts: StreamPart[] = [];
  for await (const part of stream as unknown as AsyncIterable<StreamPart>) parts.push(part);
  return parts;
}

const typesOf = (parts: readonly StreamPart[]) =>
  parts.map(({ type }) => type).filter((type, i, types) => type !== types[i - 1]);

test("a stream has its parts in order, with raw pieces where they are asked for", async () => {
  const parts = await partsOf({ includeRawChunks: true });
  const [start, metadata] = parts;
  assert.deepEqual(start, { type: "stream-start", warnings: [] });
  assert.ok(metadata.type === "response-metadata" && metadata.modelId === "box" && metadata.timestamp instanceof Date);
  const plain = parts.filter(({ type }) => type !== "raw");
  const order = ["stream-start", "response-metadata", "text-start", "text-delta", "text-end", "finish"];
  assert.deepEqual(typesOf(plain), order);
  const deltas = plain.filter((part) => part.type === "text-delta");
  assert.match(deltas.map(({ delta }) => delta).join(""), /Paris/);
  assert.ok(parts.filter(({ type }) => type === "raw").length > deltas.length, "the last piece is raw too");
});

test("texts and calls follow each other, each from its start to its end", async () => {
  async function* pieces(): AsyncGenerator<Piece> {
    yield { text: "I look.", id: 1 };
    yield { text: " ", id: 2, toolCall: { index: 0, id: "c1", name: "weather" } };
    yield { text: "", toolCall: { index: 0, arguments: '{"city":' } };
    yield { text: "", id: 3, toolCall: { index: 0, arguments: '"Paris"}' } };
    yield { text: "", id: 4, toolCall: { index: 1, id: "c2", name: "time" } };
    yield { text: "Done.", id: 5 };
    yield { text: "", finish: { reason: "tool_calls", usage: USAGE, timings: TIMINGS, seed: 1 } };
  }
  const parts: StreamPart[] = [];
  for await (const part of messageParts(pieces())) parts.push(part);
  const finish = parts.pop();
  assert.deepEqual(parts, [
    { type: "text-start", id: "text-0" },
    { type: "text-delta", id: "text-0", delta: "I look." },
    { type: "text-delta", id: "text-0", delta: " " },
    { type: "text-end", id: "text-0" },
    { type: "tool-input-start", id: "c1", toolName: "weather" },
    { type: "tool-input-delta", id: "c1", delta: '{"city":' },
    { type: "tool-input-delta", id: "c1", delta: '"Paris"}' },
    { type: "tool-input-end", id: "c1" },
    { type: "tool-call", toolCallId: "c1", toolName: "weather", input: '{"city":"Paris"}' },
    { type: "tool-input-start", id: "c2", toolName: "time" },
    { type: "tool-input-end", id: "c2" },
    { type: "tool-call", toolCallId: "c2", toolName: "time", input: "" },
    { type: "text-start", id: "text-1" },
    { type: "text-delta", id: "text-1", delta: "Done." },
    { type: "text-end", id: "text-1" },
  ]);
  assert.deepEqual(finish?.type === "finish" && finish.finishReason, { unified: "tool-calls", raw: "tool_calls" });
});

test("an answer without text has no text parts", async () => {
  const stop = (await partsOf({})).flatMap((part) => (part.type === "text-delta" ? [part.delta] : [])).slice(0, 1);
  assert.deepEqual(typesOf(await partsOf({ stopSequences: stop })), ["stream-start", "response-metadata", "finish"]);
});

test("what is not honoured is warned of", async () => {
  const [start] = await partsOf({ reasoning: "high", maxOutputTokens: 1 });
  assert.ok(start.type === "stream-start");
  assert.deepEqual(
    start.warnings.map((warning) => ("feature" in warning ? [warning.type, warning.feature] : warning)),
    [["unsupported", "reasoning"]],
  );
  const [silent] = await partsOf({ reasoning: "provider-default", maxOutputTokens: 1 });
  assert.deepEqual(silent, { type: "stream-start", warnings: [] });
});

test("a reader that cancels ends the answer", async () => {
  const engine = await ternion.engine();
  const prompt = [{ role: "user", content: [text("Tell a story.")] }] as const;
  const providerOptions = { ternion: { ignoreEnd: true } };
  const held: unknown[] = [];
  for (let i = 0; i < 8; i++) {
    const { stream } = await ternion().doStream({ prompt, providerOptions });
    const reader = stream.getReader();
    for (let part = 0; part < 4; part++) held.push(await reader.read());
    await reader.cancel();
    assert.deepEqual(await reader.read(), { done: true, value: undefined });
  }
  assert.equal(held.length, 32);
  await using session = engine.session(); // more answers were begun than there are places
  for await (const { finish } of session.generate("a", { maxTokens: 1 }))
    if (finish) assert.equal(finish.reason, "length");
});
