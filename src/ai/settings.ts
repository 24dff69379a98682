/**
 * The options of a call of the AI SDK → options of the library, and a warning for each that cannot be honoured. Their
 * values are checked where they are used: in the session.
 */
import * as check from "../check.js";
import type { SessionChatOptions, Tool, ToolChoice } from "../index.js";
import type { CallOptions, Warning } from "./specification.js";

/** What `providerOptions: { ternion: ... }` may have: the options of the library that the AI SDK has no name for. */
export type TernionCallOptions = Pick<
  SessionChatOptions,
  | "minP"
  | "repetitionPenalty"
  | "repetitionWindow"
  | "logitBias"
  | "logprobs"
  | "overflow"
  | "keepTokens"
  | "ignoreEnd"
  | "grammar"
  | "regex"
  | "parallelToolCalls"
  | "templateVariables"
  | "templateTimeoutMs"
>;

const anything: check.Check = (_name, value) => value;
const checkOwn = check.group<TernionCallOptions>({
  minP: anything,
  repetitionPenalty: anything,
  repetitionWindow: anything,
  logitBias: anything,
  logprobs: anything,
  overflow: anything,
  keepTokens: anything,
  ignoreEnd: anything,
  grammar: anything,
  regex: anything,
  parallelToolCalls: anything,
  templateVariables: anything,
  templateTimeoutMs: anything,
});

export interface Settings {
  readonly options: SessionChatOptions;
  readonly warnings: Warning[];
}

export function settingsOf(call: CallOptions): Settings {
  const options: SessionChatOptions = {
    ...checkOwn("providerOptions.ternion", call.providerOptions?.ternion ?? {}),
    maxTokens: call.maxOutputTokens,
    temperature: call.temperature,
    topP: call.topP,
    topK: call.topK,
    presencePenalty: call.presencePenalty,
    frequencyPenalty: call.frequencyPenalty,
    stop: call.stopSequences,
    seed: call.seed,
    schema: schemaOf(call),
    tools: toolsOf(call),
    toolChoice: choiceOf(call),
    signal: call.abortSignal,
  };
  return { options, warnings: warningsOf(call) };
}

/** JSON without a schema is an object, as elsewhere. */
function schemaOf({ responseFormat }: CallOptions): object | undefined {
  return responseFormat?.type === "json" ? (responseFormat.schema ?? { type: "object" }) : undefined;
}

const functionTools = ({ tools = [] }: CallOptions) => tools.filter((tool) => tool.type === "function");

function toolsOf(call: CallOptions): Tool[] | undefined {
  const tools = functionTools(call).map(({ name, description, inputSchema, strict }) => {
    return { name, description, parameters: inputSchema as Readonly<Record<string, unknown>>, strict };
  });
  return tools.length > 0 ? tools : undefined;
}

function choiceOf({ toolChoice }: CallOptions): ToolChoice | undefined {
  return toolChoice?.type === "tool" ? { name: toolChoice.toolName } : toolChoice?.type;
}

const NOT_SHOWN = "The answer follows the schema, which the model is not shown: say in the prompt what is wanted.";

function warningsOf(call: CallOptions): Warning[] {
  const { reasoning = "provider-default", tools = [] } = call;
  const warnings: Warning[] = [];
  const unsupported = (feature: string, details: string) => warnings.push({ type: "unsupported", feature, details });
  if (call.responseFormat?.type === "json") {
    for (const name of ["name", "description"] as const) {
      if (call.responseFormat[name] !== undefined) unsupported(`responseFormat.${name}`, NOT_SHOWN);
    }
  }
  for (const tool of tools) {
    if (tool.type === "provider") unsupported(`provider tool ${tool.id}`, "Ternion has no tools of its own.");
    else if (tool.inputExamples?.length) unsupported(`inputExamples of tool ${tool.name}`, "Describe them in words.");
  }
  if (!["provider-default", "none"].includes(reasoning)) {
    unsupported("reasoning", "What the model's template knows of thinking goes into templateVariables.");
  }
  return warnings;
}
