/**
 * Messages and variables of a chat, checked: what goes to a template is a copy of plain data, as JSON has it. What is not
 * is a TypeError that names the place.
 */
import * as check from "../check.js";
import { printable } from "../errors.js";

/** A message of a chat, in the form that chat templates know. */
export interface ChatMessage {
  /** "system", "user", "assistant", "tool", or what else the template knows */
  readonly role: string;
  /** text, parts such as `{ type: "text", text }`, or null as beside calls of tools */
  readonly content?: string | readonly Readonly<Record<string, unknown>>[] | null;
  /** whatever else the template looks at: name, tool_calls, tool_call_id, reasoning_content, ... */
  readonly [field: string]: unknown;
}

export type Data = string | number | boolean | null | readonly Data[] | { readonly [key: string]: Data };
export type DataObject = { readonly [key: string]: Data };

const DEEPEST = 64;

export function checkMessages(messages: readonly ChatMessage[]): (DataObject & ChatMessage)[] {
  if (!Array.isArray(messages)) throw check.wrongType("messages", "an array", messages);
  return Array.from(messages, (message: unknown, i) => {
    const name = `messages[${i}]`;
    if (!check.isRecord(message)) throw check.wrongType(name, "an object", message);
    check.string(`${name}.role`, message.role);
    checkContent(`${name}.content`, message);
    return toData(name, message, 0) as DataObject & ChatMessage;
  });
}

function checkContent(name: string, { content, tool_calls: calls }: Readonly<Record<string, unknown>>): void {
  if (typeof content === "string" || content === null || (content === undefined && calls !== undefined)) return;
  if (!Array.isArray(content)) {
    throw check.wrongType(name, "a string, an array of parts or null", content);
  }
  for (const [i, part] of content.entries()) {
    if (!check.isRecord(part)) throw check.wrongType(`${name}[${i}]`, "an object", part);
  }
}

export const checkVariables: check.Check<DataObject> = (name, value) => {
  return toData(name, check.object("an object")(name, value), 0) as DataObject;
};

/** A copy; what is undefined is left out, or null in an array. */
function toData(name: string, value: unknown, depth: number): Data {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (depth > DEEPEST) throw new TypeError(`${name}: expected at most ${DEEPEST} levels, got more, or a cycle`);
  if (Array.isArray(value)) return Array.from(value, (item, i) => toData(`${name}[${i}]`, item ?? null, depth + 1));
  if (!check.isRecord(value)) throw check.wrongType(name, "plain data", value);
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries.map(([key, item]) => [key, toData(`${name}.${printable(key)}`, item, depth + 1)]));
}

/** All strings of `data`, those that are keys too. */
export function* stringsIn(data: Data): Generator<string> {
  if (typeof data === "string") yield data;
  else if (Array.isArray(data)) for (const item of data) yield* stringsIn(item);
  else if (typeof data === "object" && data !== null) {
    for (const [key, value] of Object.entries(data)) {
      yield key;
      yield* stringsIn(value);
    }
  }
}

/** `data` with `change` in place of each string; keys stay. */
export function mapStrings(data: Data, change: (text: string) => string): Data {
  if (typeof data === "string") return change(data);
  if (Array.isArray(data)) return data.map((item) => mapStrings(item, change));
  if (typeof data !== "object" || data === null) return data;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, mapStrings(value, change)]));
}
