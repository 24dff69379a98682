/** Items of the API of responses → messages that chat templates know. */
import type { ChatMessage, ToolCall } from "../../../index.js";
import { refusedField, wrongField } from "../../errors.js";
import { object, type Schema, TEXT } from "../../schema.js";

interface Part {
  readonly type: string;
  readonly text?: string;
  readonly refusal?: string;
}

export interface InputItem {
  readonly type?: string | null;
  readonly role?: string;
  readonly content?: string | readonly Part[] | null;
  readonly call_id?: string;
  readonly name?: string;
  readonly arguments?: string;
  readonly output?: string | readonly Part[];
}

export type Input = string | readonly InputItem[];

const PARTS: Schema = {
  type: ["string", "array", "null"],
  items: object({ type: TEXT, text: TEXT, refusal: TEXT }, ["type"]),
};

export const INPUT_SCHEMA: Schema = {
  type: ["string", "array"],
  minItems: 1,
  items: object({
    type: { type: ["string", "null"] },
    role: { enum: ["user", "assistant", "system", "developer"] },
    content: PARTS,
    call_id: TEXT,
    name: TEXT,
    arguments: TEXT,
    output: PARTS,
  }),
};

export function messagesOf(input: Input): ChatMessage[] {
  if (typeof input === "string") return [{ role: "user", content: input }];
  return joined(input.flatMap((item, i) => messageOf(item, `input[${i}]`)));
}

function messageOf(item: InputItem, at: string): ChatMessage[] {
  switch (item.type ?? "message") {
    case "message":
      return [ofMessage(item, at)];
    case "function_call":
      return [ofCall(item, at)];
    case "function_call_output":
      return [ofOutput(item, at)];
    case "reasoning": // what was thought is not shown again
      return [];
    default: {
      const type = JSON.stringify(item.type?.slice(0, 60));
      throw refusedField(`${at}.type`, `Items here are message, function_call and function_call_output, not ${type}.`);
    }
  }
}

function ofMessage({ role, content }: InputItem, at: string): ChatMessage {
  if (role === undefined) throw wrongField(`${at}.role`, "expected user, assistant, system or developer, got nothing");
  if (typeof (content ?? undefined) === "undefined") throw wrongField(`${at}.content`, "expected text, got nothing");
  return { role: role === "developer" ? "system" : role, content: textOf(content ?? "", `${at}.content`) };
}

function ofCall({ call_id: id, name, arguments: text }: InputItem, at: string): ChatMessage {
  for (const [field, value] of Object.entries({ call_id: id, name, arguments: text })) {
    if (value === undefined) throw wrongField(`${at}.${field}`, "expected text, got nothing");
  }
  return { role: "assistant", content: "", tool_calls: [callOf({ id, name, arguments: text })] };
}

const callOf = ({ id, ...called }: Partial<ToolCall>) => ({ id, type: "function", function: called });

function ofOutput({ call_id: id, output }: InputItem, at: string): ChatMessage {
  if (id === undefined) throw wrongField(`${at}.call_id`, "expected the id of a call, got nothing");
  if (output === undefined) throw wrongField(`${at}.output`, "expected text, got nothing");
  return { role: "tool", tool_call_id: id, content: textOf(output, `${at}.output`) };
}

function textOf(content: string | readonly Part[], at: string): string {
  if (typeof content === "string") return content;
  return content.map((part, i) => textOfPart(part, `${at}[${i}].type`)).join("");
}

function textOfPart({ type, text, refusal }: Part, at: string): string {
  if (type === "refusal") return refusal ?? "";
  if (type === "input_text" || type === "output_text" || type === "text") return text ?? "";
  throw refusedField(at, `Models here read text, not ${JSON.stringify(type.slice(0, 60))}.`);
}

/** Calls are a part of the assistant's turn that they follow. */
function joined(messages: readonly ChatMessage[]): ChatMessage[] {
  const turns: ChatMessage[] = [];
  for (const message of messages) {
    const last = turns[turns.length - 1];
    if (message.tool_calls === undefined || last?.role !== "assistant") turns.push(message);
    else turns[turns.length - 1] = { ...last, tool_calls: [...callsOf(last), ...callsOf(message)] };
  }
  return turns;
}

const callsOf = ({ tool_calls: calls }: ChatMessage) => (Array.isArray(calls) ? calls : []);

/** An answer as the turn that it is in the conversation. */
export function turnOf(text: string, calls: readonly ToolCall[]): ChatMessage {
  return { role: "assistant", content: text, ...(calls.length > 0 && { tool_calls: calls.map(callOf) }) };
}
