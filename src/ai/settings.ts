/**
 * The options of a call of the AI SDK → options of the library, and a warning for each that cannot be honoured. Their
 * values are checked where they are used: in the session.
 */
import * as check from "../check.js";
import type { SessionChatOptions } from "../index.js";
import type { CallOptions, Warning } from "./specification.js";

/** What `providerOptions: { ternion: ... }` may have: the options of the library that the AI SDK has no name for. */
export type TernionCallOptions = Pick<SessionChatOptions, (typeof NAMES)[number]>;

const NAMES = [
  "minP",
  "repetitionPenalty",
  "repetitionWindow",
  "logitBias",
  "logprobs",
  "overflow",
  "keepTokens",
  "ignoreEnd",
  "templateVariables",
  "templateTimeoutMs",
] as const satisfies readonly (keyof SessionChatOptions)[];

const anything: check.Check = (_name, value) => value;
const checkOwn = check.group<TernionCallOptions>(
  Object.fromEntries(NAMES.map((name) => [name, anything])) as check.OptionChecks<TernionCallOptions>,
);

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
    signal: call.abortSignal,
  };
  return { options, warnings: warningsOf(call) };
}

function warningsOf({ reasoning, responseFormat, tools = [] }: CallOptions): Warning[] {
  const warnings: Warning[] = [];
  if (responseFormat?.type === "json") warnings.push({ type: "unsupported", feature: "responseFormat" });
  if (tools.length > 0) warnings.push({ type: "unsupported", feature: "tools" });
  if (reasoning !== undefined && reasoning !== "provider-default" && reasoning !== "none") {
    const details = "The model answers at once. What its template knows of thinking goes into templateVariables.";
    warnings.push({ type: "unsupported", feature: "reasoning", details });
  }
  return warnings;
}
