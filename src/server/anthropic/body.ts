/** A body of Anthropic's API: its checks, and what it means to the library. */
import type { ChatMessage, SessionChatOptions, Tool, ToolOptions } from "../../index.js";
import { refusedField, wrongField } from "../errors.js";
import { allOptional, type Refusal, refuseFields } from "../openai/fields.js";
import { array, FLAG, integer, number, object, type Schema, TEXT } from "../schema.js";
import { type MessageParam, messagesOf, SYSTEM_SCHEMA, type TextBlocks, TURNS_SCHEMA } from "./turns.js";

type Open<T> = T | null | undefined;

interface ToolParam {
  readonly name: string;
  readonly type?: Open<string>;
  readonly description?: Open<string>;
  readonly input_schema?: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

interface ToolChoiceParam {
  readonly type: "auto" | "any" | "tool" | "none";
  readonly name?: Open<string>;
  readonly disable_parallel_tool_use?: Open<boolean>;
}

/** Of a count of tokens too. */
export interface PromptBody {
  readonly model?: Open<string>;
  readonly messages: readonly MessageParam[];
  readonly system?: Open<TextBlocks>;
  readonly tools?: Open<readonly ToolParam[]>;
  readonly tool_choice?: Open<ToolChoiceParam>;
}

export interface MessagesBody extends PromptBody {
  readonly max_tokens: number;
  readonly stream?: Open<boolean>;
  readonly stop_sequences?: Open<readonly string[]>;
  readonly temperature?: Open<number>;
  readonly top_p?: Open<number>;
  readonly top_k?: Open<number>;
  readonly output_config?: Open<{ readonly format?: Open<{ readonly type: "json_schema"; readonly schema: object }> }>;
}

const MOST_TOOLS = 128;
const MOST_STOPS = 64;

const TOOL = object(
  {
    name: { type: "string", pattern: "^[\\w.-]{1,128}$" },
    ...allOptional({ type: TEXT, description: TEXT, input_schema: { type: "object" } }),
  },
  ["name"],
);

const PROMPT_FIELDS: Readonly<Record<string, Schema>> = {
  messages: TURNS_SCHEMA,
  ...allOptional({
    model: TEXT,
    system: SYSTEM_SCHEMA,
    tools: array(TOOL, { maxItems: MOST_TOOLS }),
    tool_choice: object(
      {
        type: { enum: ["auto", "any", "tool", "none"] },
        ...allOptional({ name: TEXT, disable_parallel_tool_use: FLAG }),
      },
      ["type"],
    ),
  }),
};

export const COUNT_SCHEMA: Schema = object(PROMPT_FIELDS, ["messages"]);

export const MESSAGES_SCHEMA: Schema = object(
  {
    ...PROMPT_FIELDS,
    max_tokens: integer(0),
    ...allOptional({
      stream: FLAG,
      stop_sequences: array({ type: "string", minLength: 1 }, { maxItems: MOST_STOPS }),
      temperature: number(0, 2),
      top_p: number(0, 1),
      top_k: integer(0),
      output_config: object(
        allOptional({
          format: object({ type: { enum: ["json_schema"] }, schema: { type: "object" } }, ["type", "schema"]),
        }),
      ),
    }),
  },
  ["messages", "max_tokens"],
);

const REFUSED: Readonly<Record<string, Refusal>> = {
  container: { reason: "There are no containers." },
  diagnostics: { reason: "There are none." },
  inference_geo: { reason: "The model runs where the server does." },
  mcp_servers: { harmless: [[]], reason: "The server connects to no other." },
  speed: { harmless: ["standard"], reason: "There is one speed." },
};

const REFUSED_OF_TOOLS: Readonly<Record<string, Refusal>> = {
  defer_loading: { harmless: [false], reason: "All tools are shown to the model." },
  input_examples: { harmless: [[]], reason: "Describe the tool in its description." },
};

/** Throws for what cannot be honoured. */
export function refuse(body: PromptBody): void {
  refuseFields(body, REFUSED);
  const { thinking, context_management: context } = body as { thinking?: unknown; context_management?: unknown };
  const { type } = Object(thinking);
  // a model that decides for itself how much to think does not
  if (type !== undefined && type !== "disabled" && type !== "adaptive") {
    throw refusedField("thinking.type", "Models here do not think apart from their answer.");
  }
  const edits: readonly unknown[] = Object(context).edits ?? [];
  if (!Array.isArray(edits) || edits.some((edit) => !String(Object(edit).type).startsWith("clear_thinking"))) {
    throw refusedField("context_management.edits", "Messages stay as they are given.");
  }
}

export function promptOf(body: PromptBody): { readonly messages: readonly ChatMessage[] } {
  return { messages: messagesOf(body.messages, body.system ?? undefined) };
}

/** A turn of the assistant at the end is the beginning of its answer. */
export function prefill({ messages }: PromptBody): { readonly continueFinal: boolean } {
  return { continueFinal: messages[messages.length - 1].role === "assistant" };
}

export function optionsOf(body: MessagesBody): Omit<SessionChatOptions, "signal"> {
  const { continueFinal } = prefill(body);
  if (continueFinal && body.output_config?.format) {
    throw wrongField(
      "output_config.format",
      "expected a turn of the user at the end with it, got one of the assistant",
    );
  }
  return {
    ...toolOptions(body),
    continueFinal,
    maxTokens: body.max_tokens,
    stop: body.stop_sequences ?? undefined,
    temperature: body.temperature ?? undefined,
    topP: body.top_p ?? undefined,
    topK: body.top_k ?? undefined,
    schema: body.output_config?.format?.schema,
  };
}

export function toolOptions({ tools, tool_choice: choice }: PromptBody): ToolOptions {
  const own = (tools ?? []).map(toolOf);
  const { type = "auto", disable_parallel_tool_use: single } = choice ?? {};
  return {
    tools: own,
    toolChoice: type === "tool" ? existing(own, choice?.name ?? undefined) : type === "any" ? anyOf(own) : type,
    ...(typeof single === "boolean" && { parallelToolCalls: !single }),
  };
}

function toolOf(tool: ToolParam, i: number): Tool {
  const { name, type, description, input_schema: parameters } = tool;
  if ((type ?? "custom") !== "custom") {
    throw refusedField(`tools[${i}].type`, "Tools here are the client's own, with an input_schema.");
  }
  if (parameters === undefined) throw wrongField(`tools[${i}].input_schema`, "expected a JSON schema, got nothing");
  refuseFields(tool, REFUSED_OF_TOOLS, `tools[${i}].`);
  return { name, description: description ?? undefined, parameters };
}

function anyOf(tools: readonly Tool[]): "required" {
  if (tools.length > 0) return "required";
  throw wrongField("tool_choice.type", 'expected tools to choose from for "any", got none');
}

function existing(tools: readonly Tool[], name: string | undefined): { readonly name: string } {
  if (name !== undefined && tools.some((tool) => tool.name === name)) return { name };
  const got = name === undefined ? "nothing" : JSON.stringify(name.slice(0, 60));
  throw wrongField("tool_choice.name", `expected the name of one of the tools, got ${got}`);
}
