/** A body of `/v1/responses`: its checks, and what it means to the library. */
import type { GenerateOptions, SessionChatOptions, Tool, ToolOptions } from "../../../index.js";
import { type FieldNames, refusedField, wrongField } from "../../errors.js";
import { array, FLAG, integer, number, object, type Schema, TEXT } from "../../schema.js";
import { allOptional, type Refusal, refuseFields } from "../fields.js";
import { allowedTools, choiceOf, existing, FUNCTION_FIELDS, toolList, toolOfFunction } from "../tools.js";
import { INPUT_SCHEMA, type Input } from "./items.js";

type Open<T> = T | null | undefined;

type FunctionFields = Parameters<typeof toolOfFunction>[0];

interface ChoiceObject {
  readonly type: string;
  readonly name?: string;
  readonly mode?: "auto" | "required";
  readonly tools?: readonly { readonly type: string; readonly name?: string }[];
}

interface TextFormat {
  readonly type: "text" | "json_object" | "json_schema";
  readonly schema?: object;
}

export interface ResponsesBody {
  readonly input: Input;
  readonly model?: Open<string>;
  readonly instructions?: Open<string>;
  readonly previous_response_id?: Open<string>;
  readonly max_output_tokens?: Open<number>;
  readonly temperature?: Open<number>;
  readonly top_p?: Open<number>;
  readonly store?: Open<boolean>;
  readonly stream?: Open<boolean>;
  readonly metadata?: Open<Readonly<Record<string, string>>>;
  readonly text?: Open<{ readonly format?: Open<TextFormat> }>;
  readonly tools?: Open<readonly (Partial<FunctionFields> & { readonly type: string })[]>;
  readonly tool_choice?: Open<string | ChoiceObject>;
  readonly parallel_tool_calls?: Open<boolean>;
  readonly include?: Open<readonly string[]>;
  readonly top_logprobs?: Open<number>;
}

const TOOL = object({ ...FUNCTION_FIELDS, type: TEXT }, ["type"]);

export const BODY_SCHEMA: Schema = object(
  {
    input: INPUT_SCHEMA,
    ...allOptional({
      model: TEXT,
      instructions: TEXT,
      previous_response_id: TEXT,
      max_output_tokens: integer(1),
      temperature: number(0, 1e6),
      top_p: number(0, 1),
      store: FLAG,
      stream: FLAG,
      metadata: { type: "object", additionalProperties: TEXT, maxProperties: 16 },
      text: object(
        allOptional({
          format: object({ type: { enum: ["text", "json_object", "json_schema"] }, schema: { type: "object" } }, [
            "type",
          ]),
        }),
      ),
      tool_choice: {
        type: ["string", "object"],
        properties: {
          type: TEXT,
          name: TEXT,
          mode: { enum: ["auto", "required"] },
          tools: array(object({ type: TEXT, name: TEXT }, ["type"])),
        },
        required: ["type"],
      },
      parallel_tool_calls: FLAG,
      include: array(TEXT),
      top_logprobs: integer(0, 20),
    }),
    tools: toolList(TOOL),
  },
  ["input"],
);

const REFUSED: Readonly<Record<string, Refusal>> = {
  background: { harmless: [false], reason: "A response is made while its request waits." },
  context_management: { harmless: [[]], reason: "Items stay as they are given." },
  conversation: { reason: "Use previous_response_id." },
  prompt: { reason: "There are no stored prompts." },
  truncation: { harmless: ["disabled"], reason: "What does not fit is an error." },
};

/** Throws for what cannot be honoured. */
export function refuse(body: ResponsesBody): void {
  refuseFields(body, REFUSED);
  if (body.top_logprobs && !withLogprobs(body)) {
    throw wrongField("top_logprobs", `expected include: ["${LOGPROBS}"] with it, got none`);
  }
}

const LOGPROBS = "message.output_text.logprobs";

/** Whether log probabilities of the text are asked for. */
export const withLogprobs = ({ include }: ResponsesBody): boolean => include?.includes(LOGPROBS) ?? false;

export function optionsOf(body: ResponsesBody): Omit<SessionChatOptions, "signal"> {
  return {
    ...toolOptions(body),
    ...formatOptions(body.text?.format ?? undefined),
    maxTokens: body.max_output_tokens ?? undefined,
    temperature: body.temperature ?? undefined,
    topP: body.top_p ?? undefined,
    logprobs: withLogprobs(body) ? (body.top_logprobs ?? 0) : undefined,
  };
}

/** Where the schemas of the options stand in the body. */
export function fieldsOf({ tools }: ResponsesBody, options: Omit<SessionChatOptions, "signal">): FieldNames {
  const indexOf = (index: number) => tools?.findIndex(({ name }) => name === options.tools?.[index].name);
  return { schema: "text.format.schema", tool: (index) => `tools[${indexOf(index)}].parameters` };
}

function formatOptions(format: TextFormat | undefined): GenerateOptions {
  if (format === undefined || format.type === "text") return {};
  if (format.type === "json_object") return { schema: { type: "object" } };
  if (format.schema === undefined) throw wrongField("text.format.schema", "expected a JSON schema, got nothing");
  return { schema: format.schema };
}

function toolOptions({ tools, tool_choice: choice, parallel_tool_calls: parallel }: ResponsesBody): ToolOptions {
  const own = (tools ?? []).map(toolOf);
  return {
    ...chosen(own, choice ?? "auto"),
    ...(typeof parallel === "boolean" && { parallelToolCalls: parallel }),
  };
}

function toolOf({ type, name, ...tool }: NonNullable<ResponsesBody["tools"]>[number], i: number): Tool {
  if (type !== "function") throw refusedField(`tools[${i}].type`, 'Tools here are of type "function".');
  if (name === undefined) throw wrongField(`tools[${i}].name`, "expected a name, got nothing");
  return toolOfFunction({ ...tool, name });
}

function chosen(tools: readonly Tool[], choice: string | ChoiceObject): ToolOptions {
  if (typeof choice === "string") return { tools, toolChoice: choiceOf(choice, tools) };
  const { type, name, mode, tools: allowed } = choice;
  if (type === "function" && name !== undefined) return { tools, toolChoice: existing(name, tools) };
  if (type === "allowed_tools" && mode !== undefined && allowed !== undefined) {
    const names = allowed.map((each) => existing(each.name ?? "", tools).name);
    return allowedTools(tools, names, mode);
  }
  throw refusedField("tool_choice.type", 'Choices here are of type "function" or "allowed_tools".');
}
