/** Turns of Anthropic's form, with their blocks → messages that chat templates know. */
import type { ChatMessage } from "../../index.js";
import { type ApiError, refusedField, wrongField } from "../errors.js";
import { array, object, type Schema, TEXT } from "../schema.js";

interface Block {
  readonly type: string;
  readonly text?: string;
  readonly id?: string;
  readonly name?: string;
  readonly input?: unknown;
  readonly tool_use_id?: string;
  readonly content?: TextBlocks | null;
  readonly is_error?: boolean | null;
}

export type TextBlocks = string | readonly Block[];

export interface MessageParam {
  readonly role: "user" | "assistant" | "system";
  readonly content: TextBlocks;
}

const blocks = (properties: Readonly<Record<string, Schema>>): Schema => ({
  type: ["string", "array"],
  items: object({ type: TEXT, text: TEXT, ...properties }, ["type"]),
});

export const SYSTEM_SCHEMA: Schema = blocks({});

export const TURNS_SCHEMA: Schema = array(
  object(
    {
      role: { enum: ["user", "assistant", "system"] },
      content: blocks({
        id: TEXT,
        name: TEXT,
        tool_use_id: TEXT,
        content: { type: ["string", "array", "null"], items: object({ type: TEXT, text: TEXT }, ["type"]) },
        is_error: { type: ["boolean", "null"] },
      }),
    },
    ["role", "content"],
  ),
  { minItems: 1 },
);

export function messagesOf(turns: readonly MessageParam[], system: TextBlocks | undefined): ChatMessage[] {
  const words = system === undefined ? "" : textOf(system, "system");
  const before: ChatMessage[] = words === "" ? [] : [{ role: "system", content: words }];
  const names = new Map(turns.flatMap(({ content }) => (typeof content === "string" ? [] : content.flatMap(named))));
  return [...before, ...turns.flatMap((turn, i) => ofTurn(turn, `messages[${i}].content`, names))];
}

/** Which tool a call was of: some templates show it beside the result. */
const named = ({ type, id, name }: Block): [string, string][] => {
  return type === "tool_use" && id !== undefined && name !== undefined ? [[id, name]] : [];
};

function ofTurn({ role, content }: MessageParam, at: string, names: ReadonlyMap<string, string>): ChatMessage[] {
  if (typeof content === "string") return [{ role, content }];
  return role === "assistant" ? [ofAssistant(content, at)] : ofOthers(role, content, at, names);
}

/** What the assistant thought before is not shown to it again. */
const THOUGHTS = ["thinking", "redacted_thinking"];

function ofAssistant(content: readonly Block[], at: string): ChatMessage {
  const texts: string[] = [];
  const calls: object[] = [];
  for (const [i, block] of content.entries()) {
    if (block.type === "text") texts.push(block.text ?? "");
    else if (block.type === "tool_use") calls.push(callOf(block, `${at}[${i}]`));
    else if (!THOUGHTS.includes(block.type)) throw refusedBlock(block, `${at}[${i}]`);
  }
  return { role: "assistant", content: texts.join(BETWEEN), ...(calls.length > 0 && { tool_calls: calls }) };
}

function callOf({ id, name, input = {} }: Block, at: string): object {
  if (name === undefined) throw wrongField(`${at}.name`, "expected the name of a tool, got nothing");
  return { id, type: "function", function: { name, arguments: JSON.stringify(input) } };
}

/** Results first: they answer the calls of the turn before. */
function ofOthers(
  role: string,
  content: readonly Block[],
  at: string,
  names: ReadonlyMap<string, string>,
): ChatMessage[] {
  const results: ChatMessage[] = [];
  const texts: string[] = [];
  for (const [i, block] of content.entries()) {
    if (block.type === "text") texts.push(block.text ?? "");
    else if (block.type === "tool_result") results.push(resultOf(block, `${at}[${i}]`, names));
    else throw refusedBlock(block, `${at}[${i}]`);
  }
  return texts.length === 0 && results.length > 0 ? results : [...results, { role, content: texts.join(BETWEEN) }];
}

function resultOf(
  { tool_use_id: id, content, is_error: failed }: Block,
  at: string,
  names: ReadonlyMap<string, string>,
) {
  if (id === undefined) throw wrongField(`${at}.tool_use_id`, "expected the id of a call, got nothing");
  const text = textOf(content ?? "", `${at}.content`);
  const name = names.get(id);
  return {
    role: "tool",
    tool_call_id: id,
    ...(name !== undefined && { name }),
    content: failed ? `Error: ${text}` : text,
  };
}

const BETWEEN = "\n\n";

function textOf(content: TextBlocks, at: string): string {
  if (typeof content === "string") return content;
  const texts = content.map((block, i) => {
    if (block.type === "text") return block.text ?? "";
    throw refusedBlock(block, `${at}[${i}]`);
  });
  return texts.join(BETWEEN);
}

function refusedBlock({ type }: Block, at: string): ApiError {
  return refusedField(
    `${at}.type`,
    `Models here read text and results of tools, not ${JSON.stringify(type.slice(0, 60))}.`,
  );
}
