/**
 * A prompt of the AI SDK → messages of a chat, as templates of models know them. The models read text: any other part is
 * refused by its place and name.
 */
import type { ChatMessage } from "../index.js";
import { unsupported } from "./errors.js";
import type {
  AssistantPart,
  FilePart,
  PromptMessage,
  ToolApprovalPart,
  ToolCallPart,
  ToolResultOutput,
  ToolResultPart,
} from "./specification.js";

export function messagesOf(prompt: readonly PromptMessage[]): ChatMessage[] {
  return prompt.flatMap((message, i) => messageOf(message, `prompt[${i}]`));
}

function messageOf(message: PromptMessage, at: string): ChatMessage[] {
  switch (message.role) {
    case "system":
      return [{ role: "system", content: message.content }];
    case "user": {
      const texts = message.content.map((part, i) => {
        return part.type === "text" ? part.text : textOfFile(part, `${at}.content[${i}]`);
      });
      return [{ role: "user", content: texts.join("\n") }];
    }
    case "assistant":
      return assistantMessages(message.content, at);
    case "tool":
      return message.content.map((part, i) => toolMessage(part, `${at}.content[${i}]`));
    default:
      message satisfies never;
      throw new TypeError(`${at}.role: expected system, user, assistant or tool, got ${JSON.stringify(message)}`);
  }
}

/** Results of tools that stand among the parts follow as messages of their own. */
function assistantMessages(parts: readonly AssistantPart[], at: string): ChatMessage[] {
  let [text, reasoning] = ["", ""];
  const calls: ToolCallPart[] = [];
  const results: ChatMessage[] = [];
  for (const [i, part] of parts.entries()) {
    if (part.type === "text") text += part.text;
    else if (part.type === "reasoning") reasoning += part.text;
    else if (part.type === "tool-call") calls.push(part);
    else if (part.type === "tool-result") results.push(toolMessage(part, `${at}.content[${i}]`));
    else if (part.type === "custom") throw notText(`${at}.content[${i}]`, `a custom part (${part.kind})`);
    else text += textOfFile(part, `${at}.content[${i}]`);
  }
  const message: ChatMessage = {
    role: "assistant",
    content: text,
    ...(reasoning !== "" && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls.map(callOf) }),
  };
  return [message, ...results];
}

const callOf = ({ toolCallId, toolName, input }: ToolCallPart) => ({
  id: toolCallId,
  type: "function",
  function: { name: toolName, arguments: input ?? {} },
});

function toolMessage(part: ToolResultPart | ToolApprovalPart, at: string): ChatMessage {
  if (part.type === "tool-result") {
    const content = textOfOutput(part.output, `${at}.output`);
    return { role: "tool", tool_call_id: part.toolCallId, name: part.toolName, content };
  }
  const message = `${at}: expected the result of a tool, got an answer to approval request "${part.approvalId}".`;
  throw unsupported("tool approval", `${message} This provider executes no tools, and never asks for an approval.`);
}

function textOfOutput(output: ToolResultOutput, at: string): string {
  switch (output.type) {
    case "text":
    case "error-text":
      return output.value;
    case "json":
    case "error-json":
      return JSON.stringify(output.value);
    case "execution-denied":
      return `The tool was not executed: ${output.reason ?? "its execution was denied"}`;
    case "content":
      return output.value
        .map((part, i) => {
          if (part.text !== undefined) return part.text;
          throw notText(`${at}.value[${i}]`, `a part of type "${part.type}"`);
        })
        .join("\n");
    default:
      output satisfies never;
      throw new TypeError(`${at}: expected the output of a tool, got ${JSON.stringify(output)}`);
  }
}

/** The text of a document that came as such; no other file can be read. */
function textOfFile({ data, filename, mediaType }: FilePart, at: string): string {
  const { type, text } = Object(data) as { readonly type?: unknown; readonly text?: unknown };
  if (type === "text" && typeof text === "string") return text;
  const name = filename === undefined ? "" : `"${filename}", `;
  throw notText(at, `a file (${name}${mediaType})`);
}

function notText(at: string, got: string): Error {
  return unsupported("file parts", `${at}: expected text, got ${got}. Ternion's models read text only: leave it out.`);
}
