/** Calls of tools by a real model: one that was never trained on them, which a bias makes begin a call. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type ChatMessage, collect, Engine, type SessionChatOptions } from "../../src/index.js";
import { HERMES_TEMPLATE } from "../text/calls/templates.js";
import { writeToolModel } from "../tool-model.js";

const ADD = {
  name: "add",
  description: "Adds two numbers",
  parameters: {
    type: "object",
    properties: { a: { type: "integer" }, b: { type: "integer" } },
    required: ["a", "b"],
    additionalProperties: false,
  },
};
const MESSAGES: readonly ChatMessage[] = [{ role: "user", content: "What is 2 and 3?" }];

let folder: string;
let engine: Engine;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ternion-tools-"));
  const path = await writeToolModel(folder, { template: HERMES_TEMPLATE, mark: "<tool_call>", special: false });
  engine = await Engine.load(path, { backend: "cpu", threads: 2 });
});
after(async () => {
  await engine.close();
  await rm(folder, { recursive: true });
});

async function answer(options: SessionChatOptions, messages = MESSAGES) {
  await using session = engine.session();
  return await collect(session.chat(messages, { temperature: 0, maxTokens: 80, ...options }));
}

describe("auto", () => {
  test("text stays text, and is that of the same prompt without tools in the answer", async () => {
    const { text, toolCalls, finish } = await answer({ tools: [ADD] });
    assert.notEqual(text, "");
    assert.deepEqual([toolCalls, finish.reason], [[], "stop"]);
    const ids = await engine.encodeChat(MESSAGES, { tools: [ADD] });
    assert.equal(finish.usage.promptTokens, ids.length);
    assert.match(engine.tokenizer.decode(ids), /"name": "add"/);
    await using session = engine.session();
    assert.equal((await collect(session.generate(ids, { temperature: 0, maxTokens: 80 }))).text, text);
  });
});
