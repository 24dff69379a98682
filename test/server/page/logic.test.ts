/** The parts of the chat page that need no browser: streams, the tree of messages, files from outside, settings. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  addMessage,
  type Conversation,
  newConversation,
  pathOf,
  showBranch,
  siblingsOf,
} from "../../../src/server/page/browser/conversation.js";
import { FIELDS, fieldValue } from "../../../src/server/page/browser/settings.js";
import { eventData } from "../../../src/server/page/browser/sse.js";
import { additions, exportText, importText } from "../../../src/server/page/browser/transfer.js";

async function dataOf(text: string, size: number): Promise<string[]> {
  const bytes = new TextEncoder().encode(text);
  const starts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => i * size);
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const start of starts) controller.enqueue(bytes.slice(start, start + size));
      controller.close();
    },
  });
  const found: string[] = [];
  for await (const data of eventData(body)) found.push(...data);
  return found;
}

test("server-sent events, whatever the pieces they come in", async () => {
  const text =
    ': keep-alive\n\ndata: {"a":"é€😀"}\n\nevent: x\ndata:one\ndata: two\r\n\r\n: \n\ndata: [DONE]\n\ndata: cut off';
  for (const size of [1, 2, 3, 7, 1000]) {
    assert.deepEqual(await dataOf(text, size), ['{"a":"é€😀"}', "one\ntwo", "[DONE]"], `${size} bytes`);
  }
});

test("a stream that is left early is cancelled", async () => {
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new TextEncoder().encode("data: x\n\n")),
    cancel: () => {
      cancelled = true;
    },
  });
  for await (const data of eventData(body)) {
    assert.deepEqual(data, ["x"]);
    break;
  }
  assert.ok(cancelled);
});

function talk(): Conversation {
  const conversation = newConversation();
  const say = (role: "user" | "assistant", text: string, parent: string | undefined) =>
    addMessage(conversation, { role, text, parent, end: "complete" }).id;
  const first = say("user", "  What is\nthe capital? ", undefined);
  const answer = say("assistant", "Paris", first);
  say("assistant", "Lyon", first);
  const second = say("user", "Sure?", answer);
  say("assistant", "Yes", second);
  return conversation;
}

const texts = (conversation: Conversation) => pathOf(conversation).map(({ text }) => text.trim());

describe("a conversation", () => {
  test("shows one branch and keeps the others", () => {
    const conversation = talk();
    assert.equal(conversation.title, "What is the capital?");
    assert.deepEqual(texts(conversation), ["What is\nthe capital?", "Paris", "Sure?", "Yes"]);
    const [, paris, lyon] = conversation.messages;
    assert.deepEqual(siblingsOf(conversation, paris), [paris, lyon]);
    showBranch(conversation, lyon);
    assert.deepEqual(texts(conversation), ["What is\nthe capital?", "Lyon"]);
    showBranch(conversation, paris);
    assert.deepEqual(texts(conversation), ["What is\nthe capital?", "Paris", "Sure?", "Yes"]);
  });

  test("an edited first question is a sibling too", () => {
    const conversation = talk();
    const edited = addMessage(conversation, { role: "user", text: "Other", parent: undefined, end: "complete" });
    assert.equal(siblingsOf(conversation, edited).length, 2);
    assert.deepEqual(texts(conversation), ["Other"]);
  });
});

describe("a file of conversations", () => {
  test("comes back as it was written; what was being written has stopped", () => {
    const conversation = talk();
    conversation.messages[4].end = "open";
    conversation.messages[4].figures = { answerTokens: 3 };
    const [read] = importText(exportText([conversation]));
    const expected = structuredClone(conversation);
    expected.messages[4].end = "stopped";
    assert.deepEqual(read, expected);
  });

  const changed = (change: (conversation: Record<string, unknown>, messages: Record<string, unknown>[]) => void) => {
    const file = JSON.parse(exportText([talk()]));
    change(file.conversations[0], file.conversations[0].messages);
    return JSON.stringify(file);
  };

  for (const [name, text, expected] of [
    ["no JSON", "{", /The file is no JSON/],
    ["another file", '{"messages": []}', /format: expected "ternion-conversations", got nothing/],
    ["a later version", '{"format": "ternion-conversations", "version": 2}', /version: expected 1, got 2/],
    [
      "a role of its own",
      changed((_, messages) => Object.assign(messages[1], { role: "system" })),
      /role: expected "user" or/,
    ],
    [
      "a text that is none",
      changed((_, messages) => Object.assign(messages[1], { text: { html: "" } })),
      /messages\[1\]\.text/,
    ],
    [
      "a circle",
      changed((_, messages) => Object.assign(messages[0], { parent: messages[1].id })),
      /messages\[0\]\.parent/,
    ],
    ["an id twice", changed((_, messages) => Object.assign(messages[1], { id: messages[0].id })), /an id of its own/],
    ["an id that is a path", changed((conversation) => Object.assign(conversation, { id: "../x" })), /\.id: expected/],
    ["a time that is none", changed((conversation) => Object.assign(conversation, { updatedAt: "now" })), /updatedAt/],
  ] as const) {
    test(`is refused: ${name}`, () => {
      assert.throws(() => importText(text), expected);
    });
  }

  test("fields that are not known are left behind, and no prototype is touched", () => {
    const text = changed((conversation) => Object.assign(conversation, { onclick: "x" })).replace(
      '"title"',
      '"__proto__": {"p": 1}, "title"',
    );
    const [read] = importText(text);
    assert.ok(!("onclick" in read) && !("p" in read) && !("p" in {}));
  });

  test("adds what is new, leaves what is here, and never writes over another with the same id", () => {
    const [here, other] = [talk(), talk()];
    const present = new Map([[here.id, here]]);
    assert.deepEqual(additions(importText(exportText([here])), present), []);
    const forged = { ...other, id: here.id };
    const [added] = additions([forged], present);
    assert.notEqual(added.id, here.id);
    assert.deepEqual(added.messages, other.messages);
    assert.equal(additions([other, other], present).length, 1);
  });
});

test("values of the settings", () => {
  const field = (name: string) => FIELDS.find((each) => each.name === name) ?? assert.fail(name);
  assert.equal(fieldValue(field("temperature"), " 0,7 "), 0.7);
  assert.equal(fieldValue(field("top_k"), "0"), 0);
  assert.equal(fieldValue(field("seed"), ""), undefined);
  for (const [name, text] of [
    ["top_p", "1.1"],
    ["top_k", "1.5"],
    ["max_tokens", "0"],
    ["seed", "-1"],
    ["min_p", "x"],
    ["top_p", "Infinity"],
  ]) {
    assert.throws(() => fieldValue(field(name), text), RangeError, `${name} ${text}`);
  }
});
