/** Tools of OpenAI's form (chat) → options of the library, and the library's parts of calls → the form's. */
import type { Tool, ToolCall, ToolCallPart, ToolChoice, ToolOptions } from "../../index.js";
import { type FieldNames, refusedField, wrongField } from "../errors.js";
import { array, FLAG, object, optional, type Schema, TEXT } from "../schema.js";

interface FunctionTool {
  readonly name: string;
  readonly description?: string | null;
  readonly parameters?: Readonly<Record<string, unknown>> | null;
  readonly strict?: boolean | null;
}

interface ToolEntry {
  readonly type: string;
  readonly function?: FunctionTool;
}

interface NamedChoice {
  readonly type: string;
  readonly function?: { readonly name: string };
  readonly allowed_tools?: { readonly mode: "auto" | "required"; readonly tools: readonly ToolEntry[] };
}

export interface ToolFields {
  readonly tools?: readonly ToolEntry[] | null;
  readonly tool_choice?: "none" | "auto" | "required" | NamedChoice | null;
  readonly parallel_tool_calls?: boolean | null;
}

const NAME: Schema = { type: "string", pattern: "^[\\w.-]{1,128}$" };

/** What describes a function, here and in the API of responses. */
export const FUNCTION_FIELDS: Readonly<Record<string, Schema>> = {
  name: NAME,
  description: optional(TEXT),
  parameters: optional({ type: "object" }),
  strict: optional(FLAG),
};

const MOST_TOOLS = 128;

export const toolList = (tool: Schema): Schema => optional(array(tool, { maxItems: MOST_TOOLS }));

const NAMED = object({ name: TEXT }, ["name"]);

export const TOOL_SCHEMAS: Readonly<Record<string, Schema>> = {
  tools: toolList(object({ type: TEXT, function: object(FUNCTION_FIELDS, ["name"]) }, ["type"])),
  tool_choice: optional({
    type: ["string", "object"],
    properties: {
      type: TEXT,
      function: NAMED,
      allowed_tools: object(
        { mode: { enum: ["auto", "required"] }, tools: array(object({ type: TEXT, function: NAMED }, ["type"])) },
        ["mode", "tools"],
      ),
    },
    required: ["type"],
  }),
  parallel_tool_calls: optional(FLAG),
};

export function toolOptions({ tools, tool_choice: choice, parallel_tool_calls: parallel }: ToolFields): ToolOptions {
  const own = (tools ?? []).map(toolOf);
  return {
    ...chosen(own, choice ?? (own.length > 0 ? "auto" : "none")),
    ...(typeof parallel === "boolean" && { parallelToolCalls: parallel }),
  };
}

/** Where the schemas stand in a body, of whose tools an answer may have some only. */
export function fieldNames(
  schema: string,
  tools: readonly Tool[] = [],
  given: readonly ToolEntry[] | null = [],
): FieldNames {
  const indexOf = ({ name }: Tool) => given?.findIndex((each) => each.function?.name === name);
  return { schema, tool: (index) => `tools[${indexOf(tools[index])}].function.parameters` };
}

function toolOf({ type, function: own }: ToolEntry, i: number): Tool {
  if (type !== "function") throw refusedField(`tools[${i}].type`, 'Tools here are of type "function".');
  if (own === undefined) throw wrongField(`tools[${i}].function`, "expected a function, got nothing");
  return toolOfFunction(own);
}

export function toolOfFunction({ name, description, parameters }: FunctionTool): Tool {
  return { name, description: description ?? undefined, parameters: parameters ?? undefined };
}

function chosen(tools: readonly Tool[], choice: NonNullable<ToolFields["tool_choice"]>): ToolOptions {
  if (typeof choice === "string") return { tools, toolChoice: choiceOf(choice, tools) };
  const { type, function: named, allowed_tools: allowed } = choice;
  if (type === "function" && named !== undefined) return { tools, toolChoice: existing(named.name, tools) };
  if (type !== "allowed_tools" || allowed === undefined) {
    throw refusedField("tool_choice.type", 'Choices here are of type "function" or "allowed_tools".');
  }
  const names = allowed.tools.map((each) => existing(each.function?.name ?? "", tools).name);
  return allowedTools(tools, names, allowed.mode);
}

/** Only `names` of the tools. */
export function allowedTools(tools: readonly Tool[], names: readonly string[], mode: "auto" | "required"): ToolOptions {
  const own = tools.filter(({ name }) => names.includes(name));
  return { tools: own, toolChoice: choiceOf(mode, own) };
}

export function choiceOf(word: string, tools: readonly Tool[]): ToolChoice {
  if (word !== "auto" && word !== "none" && word !== "required") {
    throw wrongField(
      "tool_choice",
      `expected none, auto, required or an object, got ${JSON.stringify(word.slice(0, 60))}`,
    );
  }
  if (word === "required" && tools.length === 0)
    throw wrongField("tool_choice", "expected tools to choose from, got none");
  return word;
}

export function existing(name: string, tools: readonly Tool[]): { readonly name: string } {
  if (tools.some((tool) => tool.name === name)) return { name };
  throw wrongField("tool_choice", `expected the name of one of the tools, got ${JSON.stringify(name.slice(0, 60))}`);
}

/** A part of a call as a chunk has it. */
export function callDelta({ index, id, name, arguments: text = "" }: ToolCallPart): object {
  if (id === undefined) return { index, function: { arguments: text } };
  return { index, id, type: "function", function: { name, arguments: text } };
}

export const wholeCall = ({ id, ...called }: ToolCall) => ({ id, type: "function", function: called });
