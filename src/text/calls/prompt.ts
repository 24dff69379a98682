/**
 * Messages with calls of tools, as a chat template takes them. One that shows tools itself gets them in OpenAI's form, with
 * the arguments of calls as objects. For all others they are put into words: the system message lists the tools, calls are
 * `<tool_call>` blocks in the assistant's turns, and results are turns of the user (docs/chat-templates.md).
 */
import type { ChatMessage, Data, DataObject } from "../messages.js";
import { type CallFormat, HERMES } from "./formats.js";
import type { CheckedTool } from "./tool.js";

/** What a template that shows tools gets as `tools`. */
export function toolsVariable(tools: readonly CheckedTool[]): DataObject[] {
  return tools.map((tool) => ({ type: "function", function: plain(tool) }));
}

const plain = ({ name, description, parameters }: CheckedTool): DataObject => ({
  name,
  ...(description !== undefined && { description }),
  parameters,
});

/** The messages as the template takes them; `format` is its own, if it shows tools. */
export function withCalls(
  messages: readonly ChatMessage[],
  tools: readonly CheckedTool[],
  format: CallFormat | undefined,
): ChatMessage[] {
  if (format !== undefined) return messages.map(withObjects);
  const worded = joinResults(messages).map(inWords);
  return tools.length === 0 ? worded : withSystem(worded, described(tools));
}

/** Calls with their arguments as objects: of a string Jinja's `tojson` would make a string in quotation marks. */
function withObjects(message: ChatMessage): ChatMessage {
  const { tool_calls: calls } = message;
  return Array.isArray(calls) ? { ...message, tool_calls: calls.map(withObject) } : message;
}

function withObject(call: Data): Data {
  const called = functionOf(call);
  if (typeof called.arguments !== "string") return call;
  return { ...(call as DataObject), function: { ...called, arguments: parsed(called.arguments) } };
}

/** What is no JSON, as of a call that was cut off, stays a string. */
function parsed(text: string): Data {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Of `{ type: "function", function: { name, arguments } }`, the form of OpenAI. */
function functionOf(call: Data): DataObject {
  return Object(Object(call).function);
}

/** Results that follow each other become one: many templates ask for turns that alternate. */
function joinResults(messages: readonly ChatMessage[]): ChatMessage[] {
  const joined: ChatMessage[] = [];
  for (const message of messages) {
    const last = joined[joined.length - 1];
    if (message.role !== "tool") joined.push(message);
    else if (last?.role !== "tool") joined.push({ role: "tool", content: result(message) });
    else joined[joined.length - 1] = { ...last, content: `${last.content}\n${result(message)}` };
  }
  return joined;
}

const result = ({ content }: ChatMessage) => `<tool_response>\n${textOf(content)}\n</tool_response>`;

function inWords(message: ChatMessage): ChatMessage {
  const { role, content, tool_calls: calls } = message;
  if (role === "tool") return { role: "user", content: content as string };
  if (!Array.isArray(calls)) return message;
  const blocks = calls.map((call) => callBlock(functionOf(call)));
  return { role, content: [textOf(content), ...blocks].filter((text) => text !== "").join("\n") };
}

function callBlock({ name, arguments: given }: DataObject): string {
  const text = typeof given === "string" ? given : JSON.stringify(given ?? {});
  return `${HERMES.open}\n{"name": ${JSON.stringify(name)}, "arguments": ${text}}\n${HERMES.close}`;
}

/** The text of a content, which may be in parts. */
function textOf(content: Data | ChatMessage["content"]): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part) => (typeof part.text === "string" ? part.text : "")).join("");
}

/** The first message, if it is the system's, followed by `text`; or such a message before all others. */
function withSystem(messages: readonly ChatMessage[], text: string): ChatMessage[] {
  const [first, ...others] = messages;
  if (first?.role !== "system") return [{ role: "system", content: text }, ...messages];
  return [{ ...first, content: `${textOf(first.content)}\n\n${text}` }, ...others];
}

function described(tools: readonly CheckedTool[]): string {
  return [
    "You can call these tools:",
    ...tools.map((tool) => JSON.stringify(plain(tool))),
    "To call a tool, answer with a block like this, and with one more for each further call:",
    callBlock({ name: "the name of a tool", arguments: {} }),
    "Its result comes in a <tool_response> block. Where no tool is needed, answer in plain words.",
  ].join("\n");
}
