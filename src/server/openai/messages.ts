/** Messages of OpenAI's form → those that chat templates know: text in one string, and roles by their older names. */
import type { ChatMessage } from "../../index.js";
import { refusedField, wrongField } from "../errors.js";
import { array, object, optional, type Schema, TEXT } from "../schema.js";

export interface ChatBodyMessage {
  readonly role: string;
  readonly content?: string | readonly ContentPart[] | null;
  readonly [field: string]: unknown;
}

interface ContentPart {
  readonly type: string;
  readonly text?: string;
  readonly refusal?: string;
}

const PART = object({ type: { type: "string" }, text: { type: "string" }, refusal: { type: "string" } }, ["type"]);

const CALL = object(
  {
    id: TEXT,
    type: TEXT,
    function: object({ name: TEXT, arguments: { type: "string" } }, ["name", "arguments"]),
  },
  ["function"],
);

export const MESSAGES_SCHEMA: Schema = array(
  object(
    {
      role: { enum: ["system", "developer", "user", "assistant", "tool", "function"] },
      content: { type: ["string", "array", "null"], items: PART },
      tool_calls: optional(array(CALL)),
      tool_call_id: optional(TEXT),
    },
    ["role"],
  ),
  { minItems: 1 },
);

export function chatMessages(messages: readonly ChatBodyMessage[]): ChatMessage[] {
  return messages.map(({ role, content = null, ...rest }, i) => {
    if (content === null && role !== "assistant") throw wrongField(`messages[${i}].content`, "expected text, got null");
    const text = typeof content === "string" || content === null ? content : textOf(content, `messages[${i}].content`);
    return { ...rest, role: role === "developer" ? "system" : role, content: text };
  });
}

function textOf(parts: readonly ContentPart[], name: string): string {
  return parts
    .map(({ type, text, refusal }, i) => {
      if (type === "text") return text ?? "";
      if (type === "refusal") return refusal ?? "";
      throw refusedField(`${name}[${i}].type`, `Models here read text, not ${JSON.stringify(type.slice(0, 60))}.`);
    })
    .join("");
}
