/**
 * Conversations as a file: written whole, read with every field checked, because a file may come from anybody. What is read
 * holds the known fields only, and texts stay texts.
 */
import { type Conversation, ENDS, type End, type Figures, type Message, newId } from "./conversation.js";

const FORMAT = "ternion-conversations";
const VERSION = 1;
/** Bounds of a file: characters of a text, messages and conversations. */
const LIMITS = { text: 2_000_000, title: 200, messages: 20_000, conversations: 20_000 };

export const exportText = (conversations: readonly Conversation[]): string =>
  JSON.stringify({ format: FORMAT, version: VERSION, conversations }, undefined, 1);

/** Throws an Error that says what is wrong with the file and where. */
export function importText(text: string): Conversation[] {
  const file = record(parsed(text), "the file");
  if (file.format !== FORMAT) throw wrong("format", `"${FORMAT}"`, file.format);
  if (file.version !== VERSION) throw wrong("version", String(VERSION), file.version);
  return list(file.conversations, "conversations", LIMITS.conversations).map((value, i) =>
    conversation(value, `conversations[${i}]`),
  );
}

/** A record of the page's own storage or of a file. */
export function conversation(value: unknown, at: string): Conversation {
  const given = record(value, at);
  const messages: Message[] = [];
  const ids = new Set<string>();
  for (const [i, each] of list(given.messages, `${at}.messages`, LIMITS.messages).entries()) {
    messages.push(message(each, `${at}.messages[${i}]`, ids));
  }
  const tip = messages.find(({ id }) => id === given.tip) ?? messages.at(-1);
  return {
    id: id(given.id, `${at}.id`),
    title: string(given.title, `${at}.title`, LIMITS.title),
    systemPrompt: string(given.systemPrompt ?? "", `${at}.systemPrompt`, LIMITS.text),
    createdAt: time(given.createdAt, `${at}.createdAt`),
    updatedAt: time(given.updatedAt, `${at}.updatedAt`),
    messages,
    tip: tip?.id,
  };
}

/** Adds its id to `ids`, which holds those before it: a parent that comes later would make a circle. */
function message(value: unknown, at: string, ids: Set<string>): Message {
  const given = record(value, at);
  const own = id(given.id, `${at}.id`);
  if (ids.has(own)) throw wrong(`${at}.id`, "an id of its own", own);
  const { parent } = given;
  if (parent !== undefined && !(typeof parent === "string" && ids.has(parent))) {
    throw wrong(`${at}.parent`, "the id of a message before it", parent);
  }
  ids.add(own);
  const { role, model, problem } = given;
  if (role !== "user" && role !== "assistant") throw wrong(`${at}.role`, '"user" or "assistant"', role);
  return {
    id: own,
    parent,
    role,
    createdAt: time(given.createdAt, `${at}.createdAt`),
    text: string(given.text, `${at}.text`, LIMITS.text),
    end: end(given.end, `${at}.end`),
    ...(model !== undefined && { model: string(model, `${at}.model`, LIMITS.title) }),
    ...(problem !== undefined && { problem: string(problem, `${at}.problem`, LIMITS.text) }),
    ...(given.figures !== undefined && { figures: figures(given.figures, `${at}.figures`) }),
  };
}

/** What was being written when the file was, is not any more. */
function end(value: unknown, at: string): End {
  const known = ENDS.find((each) => each === value);
  if (known === undefined) throw wrong(at, ENDS.join(", "), value);
  return known === "open" ? "stopped" : known;
}

const FIGURES = ["promptTokens", "cachedTokens", "answerTokens", "tokensPerSecond", "promptPerSecond"] as const;

function figures(value: unknown, at: string): Figures {
  const given = record(value, at);
  const found = FIGURES.filter((name) => given[name] !== undefined);
  return Object.fromEntries(found.map((name) => [name, time(given[name], `${at}.${name}`)]));
}

/** Those to add to `present`: what is here already, word for word, is left out, and an id that is taken is replaced. */
export function additions(read: readonly Conversation[], present: ReadonlyMap<string, Conversation>): Conversation[] {
  const added = new Map<string, Conversation>();
  for (const each of read) {
    const here = present.get(each.id) ?? added.get(each.id);
    if (here === undefined) added.set(each.id, each);
    else if (written(here) !== written(each)) {
      const copy = { ...each, id: newId() };
      added.set(copy.id, copy);
    }
  }
  return [...added.values()];
}

/** With its fields in one order. */
const written = (each: Conversation): string => JSON.stringify(conversation(each, "conversation"));

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("The file is no JSON. Expected a file that this page has exported.");
  }
}

function record(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(at, "an object", value);
  return value as Record<string, unknown>;
}

function list(value: unknown, at: string, most: number): unknown[] {
  if (!Array.isArray(value) || value.length > most) throw wrong(at, `a list of at most ${most}`, value);
  return value;
}

function string(value: unknown, at: string, most: number): string {
  if (typeof value !== "string" || value.length > most) throw wrong(at, `a text of at most ${most} characters`, value);
  return value;
}

function id(value: unknown, at: string): string {
  if (typeof value !== "string" || !/^[\w-]{1,64}$/.test(value))
    throw wrong(at, "1 to 64 letters, digits, _ and -", value);
  return value;
}

function time(value: unknown, at: string): number {
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) throw wrong(at, "a number from 0", value);
  return value;
}

function wrong(at: string, expected: string, got: unknown): Error {
  const shown = Array.isArray(got) ? `a list of ${got.length}` : (JSON.stringify(got) ?? "nothing");
  return new Error(`${at}: expected ${expected}, got ${shown.length > 80 ? `${shown.slice(0, 79)}…` : shown}.`);
}
