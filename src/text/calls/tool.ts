/**
 * Tools that a model may call, as the caller gives them, checked. What a model writes is the business of `formats.ts` (how
 * a call is spelled) and `parser.ts` (text → calls); what it reads of them, of `prompt.ts`.
 */
import * as check from "../../check.js";
import { checkVariables, type DataObject } from "../messages.js";

/** A tool that a model may call. */
export interface Tool {
  /** 1 to 128 of A-Z a-z 0-9 _ . - */
  readonly name: string;
  /** when to call it, for the model */
  readonly description?: string | undefined;
  /** JSON schema of the arguments, of an object; default: no arguments */
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  /** accepted for the form of OpenAI: arguments follow their schema in any case */
  readonly strict?: boolean | undefined;
}

/** "auto": text or calls, "none": text, "required": calls, `{ name }`: calls of that tool. */
export type ToolChoice = "auto" | "none" | "required" | { readonly name: string };

/** Of `session.chat`: what the model may call, and whether it must. */
export interface ToolOptions {
  /** what the model may call; default: nothing */
  readonly tools?: readonly Tool[] | undefined;
  /** default "auto" */
  readonly toolChoice?: ToolChoice | undefined;
  /** whether one answer may hold several calls; default true */
  readonly parallelToolCalls?: boolean | undefined;
}

/** A part of a call. The first of a call has `id` and `name`; those after it the JSON text of its arguments, in parts. */
export interface ToolCallPart {
  /** of the call within the answer, from 0 */
  readonly index: number;
  readonly id?: string;
  readonly name?: string;
  readonly arguments?: string;
}

/** A tool as all of the library has it: its own copy, with a schema in any case. */
export interface CheckedTool {
  readonly name: string;
  readonly description: string | undefined;
  readonly parameters: DataObject;
}

const NO_ARGUMENTS: DataObject = { type: "object", properties: {}, additionalProperties: false };

const NAME = /^[\w.-]{1,128}$/;

const TOOL_CHECKS: check.OptionChecks<Tool> = {
  name: (name, value) => {
    if (NAME.test(check.string(name, value))) return value;
    throw new RangeError(`${name}: expected 1 to 128 of A-Z a-z 0-9 _ . -, got ${JSON.stringify(value)}`);
  },
  description: check.string,
  parameters: checkParameters,
  strict: check.boolean,
};

export const TOOL_OPTION_CHECKS: check.OptionChecks<ToolOptions> = {
  tools: checkTools,
  toolChoice: checkChoice,
  parallelToolCalls: check.boolean,
};

function checkParameters(name: string, value: unknown): DataObject {
  const schema = checkVariables(name, value);
  if (schema.type === undefined || schema.type === "object") return { type: "object", ...schema };
  throw new RangeError(`${name}.type: expected "object", got ${JSON.stringify(schema.type)}`);
}

function checkTools(name: string, value: unknown): Tool[] {
  if (!Array.isArray(value)) throw check.wrongType(name, "an array of tools", value);
  const tools = Array.from(value, (tool: unknown, i) => {
    const at = `${name}[${i}]`;
    return check.values(check.object("a tool")(at, tool) as Tool, TOOL_CHECKS, `${at}.`);
  });
  for (const [i, tool] of tools.entries()) {
    check.string(`${name}[${i}].name`, tool.name);
    const first = tools.findIndex((other) => other.name === tool.name);
    if (first < i)
      throw new RangeError(`${name}[${i}].name: expected another than ${name}[${first}] has: ${tool.name}`);
  }
  return tools;
}

function checkChoice(name: string, value: unknown): ToolChoice {
  if (typeof value !== "object") return check.choice(["auto", "none", "required"])(name, value);
  return { name: check.string(`${name}.name`, Object(value).name) };
}

/** What an answer may call, and what of it it must. */
export interface ToolUse {
  /** all tools, for the prompt */
  readonly tools: readonly CheckedTool[];
  /** those that this answer may call, at least one */
  readonly callable: readonly CheckedTool[];
  /** the answer is a call */
  readonly forced: boolean;
  readonly parallel: boolean;
}

/** Checked options → what they come to; undefined where nothing is to be called. */
export function toolUseOf({
  tools = [],
  toolChoice = "auto",
  parallelToolCalls = true,
}: ToolOptions): ToolUse | undefined {
  const all = tools.map(({ name, description, parameters }) => ({
    name,
    description,
    parameters: (parameters ?? NO_ARGUMENTS) as DataObject,
  }));
  const only = typeof toolChoice === "object" ? toolChoice.name : undefined;
  const callable = only === undefined ? all : all.filter(({ name }) => name === only);
  const forced = typeof toolChoice === "object" || toolChoice === "required";
  if (forced && callable.length === 0) throw noSuchTool(only, all);
  if (toolChoice === "none" || callable.length === 0) return undefined;
  return { tools: all, callable, forced, parallel: parallelToolCalls };
}

function noSuchTool(name: string | undefined, tools: readonly CheckedTool[]): RangeError {
  if (name === undefined) return new RangeError('toolChoice: expected tools to choose from for "required", got none');
  const names = tools.map((tool) => tool.name).join(", ");
  return new RangeError(`toolChoice.name: expected one of the tools (${names || "there are none"}), got ${name}`);
}
