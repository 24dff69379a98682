/**
 * How models spell calls of tools: one row a format. A call is a JSON object with a name and arguments in all of them; what
 * differs is what opens and closes calls, and what stands between two of them.
 */
import type { ToolUse } from "./tool.js";

export interface CallFormat {
  readonly name: "hermes" | "llama" | "mistral";
  /** text that begins calls, in any place of an answer */
  readonly open: string;
  /** an answer that begins with such an object is a call too, without `open` */
  readonly bare: boolean;
  /** text after the calls that `open` began; "": they go on to the end of the answer */
  readonly close: string;
  /** name of the arguments in the object */
  readonly key: "arguments" | "parameters";
  /** what a constrained answer has, after `open` where it begins with it, around and between its calls */
  readonly before: string;
  readonly between: string;
  readonly after: string;
  /** letters and digits in the id of a call, and what stands before them */
  readonly idLength: number;
  readonly idPrefix: string;
}

const OPENAI_ID = { idPrefix: "call_", idLength: 24 };

/** Of Hermes 2 Pro and Qwen; Falcon 3 writes a list into the marks. Also what `prompt.ts` asks of all other models. */
export const HERMES: CallFormat = {
  name: "hermes",
  open: "<tool_call>",
  bare: false,
  close: "</tool_call>",
  key: "arguments",
  before: "\n",
  between: "\n</tool_call>\n<tool_call>\n",
  after: "\n</tool_call>",
  ...OPENAI_ID,
};

/** Of Llama 3.1 and later. */
const LLAMA: CallFormat = {
  name: "llama",
  open: "<|python_tag|>",
  bare: true,
  close: "",
  key: "parameters",
  before: "",
  between: "; ",
  after: "",
  ...OPENAI_ID,
};

/** Of Mistral up to its version 7 of tokens. */
const MISTRAL: CallFormat = {
  name: "mistral",
  open: "[TOOL_CALLS]",
  bare: false,
  close: "",
  key: "arguments",
  before: "[",
  between: ", ",
  after: "]",
  // its templates refuse others
  idPrefix: "",
  idLength: 9,
};

/**
 * The format of a chat template that shows tools to the model; undefined for one that does not, or in a way that is in no
 * row here.
 */
export function formatOf(template: string): CallFormat | undefined {
  const source = template.replace(/\{#.*?#\}/gs, "");
  if (!/(?<!['"\w.])tools\b(?!['"])/.test(source)) return undefined;
  // from version 11 on Mistral writes the name outside of the JSON
  if (source.includes(MISTRAL.open)) return source.includes("[ARGS]") ? undefined : MISTRAL;
  if (source.includes(HERMES.open)) return HERMES;
  return source.includes("<|start_header_id|>") && source.includes('"parameters"') ? LLAMA : undefined;
}

/** What stands before the arguments of a call and after them, in a constrained answer. */
export function aroundArguments(format: CallFormat, name: string): { readonly begin: string; readonly end: string } {
  return { begin: `{"name": ${JSON.stringify(name)}, ${JSON.stringify(format.key)}: `, end: "}" };
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** An id that no other call has. */
export function newCallId({ idPrefix, idLength }: CallFormat): string {
  const bytes = crypto.getRandomValues(new Uint8Array(idLength));
  return idPrefix + Array.from(bytes, (byte) => ALPHABET[byte % ALPHABET.length]).join("");
}

/** Names of the tools that an answer may call. */
export const callableNames = ({ callable }: ToolUse): ReadonlySet<string> => new Set(callable.map(({ name }) => name));
