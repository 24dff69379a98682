/** Calls of tools by a real model: one that was never trained on them, which a bias makes begin a call. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Ajv } from "ajv";
import {
  type ChatMessage,
  collect,
  Engine,
  type Piece,
  type Session,
  type SessionChatOptions,
  type ToolCall,
} from "../../src/index.js";
import { HERMES_TEMPLATE, LLAMA_TEMPLATE, MISTRAL_TEMPLATE } from "../text/calls/templates.js";
import { type ToolModel, writeToolModel } from "../tool-model.js";

const ADD = {
  name: "add",
  parameters: {
    type: "object",
    properties: { a: { type: "integer", minimum: -99, maximum: 99 }, b: { enum: [1, 2, 3] } },
    required: ["a", "b"],
    additionalProperties: false,
  },
};
const SAY = {
  name: "say",
  parameters: {
    type: "object",
    properties: { text: { type: "string", maxLength: 12 }, loud: { type: "boolean" } },
    required: ["text", "loud"],
    additionalProperties: false,
  },
};
const TOOLS = [ADD, SAY];
const MESSAGES: readonly ChatMessage[] = [{ role: "user", content: "What is 2 and 3?" }];
const VARIED = { temperature: 1, seed: 1 } as const;

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ternion-tools-"));
});
after(() => rm(folder, { recursive: true }));

/** What a call must be: JSON that the schema of its tool describes. */
function checkCalls(calls: readonly ToolCall[]): void {
  const ajv = new Ajv();
  for (const { name, arguments: text } of calls) {
    const tool = TOOLS.find((each) => each.name === name) ?? assert.fail(`called ${name}`);
    const validate = ajv.compile(tool.parameters);
    assert.ok(validate(JSON.parse(text)), `${text}: ${ajv.errorsText(validate.errors)}`);
  }
  assert.equal(new Set(calls.map(({ id }) => id)).size, calls.length, "ids are apart");
}

const FORMATS: readonly (ToolModel & { readonly name: string })[] = [
  { name: "our words", template: undefined, mark: "<tool_call>", special: false },
  { name: "our words, and no token for the mark", template: undefined, mark: "<|unused|>", special: true },
  { name: "Hermes", template: HERMES_TEMPLATE, mark: "<tool_call>", special: false },
  { name: "Llama", template: LLAMA_TEMPLATE, mark: "<|python_tag|>", special: true },
  { name: "Mistral", template: MISTRAL_TEMPLATE, mark: "[TOOL_CALLS]", special: true },
];

for (const format of FORMATS) {
  describe(format.name, () => {
    let engine: Engine;
    /** one for all: what their prompts share is computed once */
    let session: Session;
    before(async () => {
      const path = await writeToolModel(folder, format);
      engine = await Engine.load(path, { backend: "cpu", threads: 2 });
      session = engine.session();
    });
    after(() => engine.close());

    async function pieces(options: SessionChatOptions): Promise<Piece[]> {
      const all: Piece[] = [];
      const own = { tools: TOOLS, maxTokens: 200, ...VARIED, ...options };
      for await (const piece of session.chat(MESSAGES, own)) all.push(piece);
      return all;
    }
    const answer = (options: SessionChatOptions) =>
      collect(session.chat(MESSAGES, { tools: TOOLS, maxTokens: 200, ...VARIED, ...options }));
    /** Makes the model begin a call wherever it may. */
    const begun = () => ({ logitBias: { [engine.tokenizer.idOf(format.mark) as number]: 1000 } });

    test("a call is forced: one of the tools, a named one", async () => {
      for (const seed of [1, 2]) {
        const { text, toolCalls, finish } = await answer({ toolChoice: "required", seed, parallelToolCalls: false });
        assert.deepEqual([text, toolCalls.length, finish.reason], ["", 1, "tool_calls"]);
        checkCalls(toolCalls);
      }
      const named = await answer({ toolChoice: { name: "say" }, parallelToolCalls: false });
      assert.deepEqual([named.toolCalls.map(({ name }) => name), named.finish.reason], [["say"], "tool_calls"]);
      checkCalls(named.toolCalls);
    });

    test("several calls in one answer, until a limit cuts one", async () => {
      const { text, toolCalls, finish } = await answer({ toolChoice: "required", logitBias: endless(engine) });
      assert.deepEqual([text, finish.reason], ["", "length"]);
      assert.ok(toolCalls.length > 1, `${toolCalls.length} calls`);
      checkCalls(toolCalls.slice(0, -1));
    });

    test("a call comes in parts: id and name, then the text of the arguments as it is made", async () => {
      const parts = (await pieces({ toolChoice: { name: "say" }, parallelToolCalls: false })).flatMap(
        ({ toolCall }) => toolCall ?? [],
      );
      const [first, ...others] = parts;
      assert.deepEqual([first.index, first.name, first.arguments], [0, "say", undefined]);
      assert.ok(others.length > 2 && others.every(({ id, name }) => id === undefined && name === undefined));
      JSON.parse(others.map((part) => part.arguments).join(""));
    });

    test("text stays text where no call begins, and none may", async () => {
      const greedy = { temperature: 0, maxTokens: 20 };
      const { text, toolCalls } = await answer(greedy);
      assert.ok(text.length > 0 && toolCalls.length === 0);
      const ids = await engine.encodeChat(MESSAGES, { tools: TOOLS });
      const same = await collect(session.generate(ids, greedy));
      assert.equal(text, same.text.trimEnd() === text ? text : same.text);
      const none = await answer({ ...greedy, toolChoice: "none", tools: TOOLS });
      const without = await answer({ ...greedy, tools: [] });
      assert.deepEqual([none.ids, none.toolCalls], [without.ids, []]);
    });

    test("with a schema, an answer is of it or a call", async () => {
      const schema = { type: "object", properties: { s: { const: `a ${format.mark}` } }, required: ["s"] };
      const { text, toolCalls } = await answer({ schema, logitBias: { [engine.tokenizer.encode("<")[1]]: -100 } });
      if (toolCalls.length === 0) assert.equal(text, JSON.stringify({ s: `a ${format.mark}` }));
      else assert.equal(text, "");
      const called = await answer({ schema, toolChoice: "required", parallelToolCalls: false });
      assert.equal(called.toolCalls.length, 1);
    });

    if (format.mark === "<|unused|>") return;

    test("once a call has begun in free text, only calls follow", async () => {
      const { text, toolCalls, finish } = await answer({ ...begun(), parallelToolCalls: false });
      assert.deepEqual([text, toolCalls.length, finish.reason], ["", 1, "tool_calls"]);
      checkCalls(toolCalls);
    });

    test("a stop string does not end a call", async () => {
      const { toolCalls, finish } = await answer({ ...begun(), parallelToolCalls: false, stop: ['"', "{", "a"] });
      assert.deepEqual([toolCalls.length, finish.reason], [1, "tool_calls"]);
      checkCalls(toolCalls);
    });
  });
}

/** No end of a turn, and none of a list. */
function endless({ tokenizer }: Engine): Record<number, number> {
  const ends = [...tokenizer.stopIds, ...tokenizer.encode("]", { addBos: false })];
  return Object.fromEntries(ends.map((id) => [id, -1e6]));
}
