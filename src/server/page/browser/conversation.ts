/**
 * A conversation: a tree of messages and the tip of the branch that is shown. An edit or another try adds a sibling; nothing
 * is lost. Parents stand before their children in `messages`. Knows neither the DOM nor the server.
 */

/** how a message stands: `open` is being written, `limit` ended at the limit of tokens */
export type End = "open" | "complete" | "stopped" | "limit" | "failed";
export const ENDS: readonly End[] = ["open", "complete", "stopped", "limit", "failed"];

export interface Figures {
  readonly promptTokens?: number;
  /** of the prompt's tokens, those that the server had computed before */
  readonly cachedTokens?: number;
  readonly answerTokens?: number;
  readonly tokensPerSecond?: number;
  readonly promptPerSecond?: number;
}

export interface Message {
  readonly id: string;
  /** the message before it; undefined: the first of a branch */
  readonly parent: string | undefined;
  readonly role: "user" | "assistant";
  /** milliseconds since 1970 */
  readonly createdAt: number;
  text: string;
  end: End;
  /** of an answer */
  model?: string;
  /** why it failed */
  problem?: string;
  figures?: Figures;
}

export interface Conversation {
  readonly id: string;
  title: string;
  systemPrompt: string;
  readonly createdAt: number;
  /** of its last message; orders the list */
  updatedAt: number;
  readonly messages: Message[];
  /** the last message of the branch that is shown */
  tip: string | undefined;
}

/** `crypto.randomUUID` is missing where the page came by plain HTTP from another machine. */
export const newId = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export function newConversation(): Conversation {
  const now = Date.now();
  return { id: newId(), title: "", systemPrompt: "", createdAt: now, updatedAt: now, messages: [], tip: undefined };
}

/** The new message is the tip. The first question names the conversation. */
export function addMessage(
  conversation: Conversation,
  given: Pick<Message, "parent" | "role" | "text" | "end"> & { model?: string },
): Message {
  const message: Message = { ...given, id: newId(), createdAt: Date.now() };
  conversation.messages.push(message);
  conversation.tip = message.id;
  conversation.updatedAt = message.createdAt;
  if (conversation.title === "" && given.role === "user") conversation.title = titleOf(given.text);
  return message;
}

const titleOf = (text: string): string => {
  const line = text.trim().replace(/\s+/g, " ");
  return line.length > 60 ? `${line.slice(0, 59).trimEnd()}…` : line;
};

export const messageOf = (conversation: Conversation, id: string | undefined): Message | undefined =>
  id === undefined ? undefined : conversation.messages.find((message) => message.id === id);

/** From the first message to `last`, by default the tip. */
export function pathOf(conversation: Conversation, last: string | undefined = conversation.tip): Message[] {
  const byId = new Map(conversation.messages.map((message) => [message.id, message]));
  const path: Message[] = [];
  for (let at = byId.get(last ?? ""); at !== undefined; at = byId.get(at.parent ?? "")) path.push(at);
  return path.reverse();
}

/** The messages that stand at the same place, itself included, oldest first. */
export const siblingsOf = ({ messages }: Conversation, { parent, role }: Message): Message[] =>
  messages.filter((other) => other.parent === parent && other.role === role);

/** Shows the branch of a message, down to what was said last in it. */
export function showBranch(conversation: Conversation, message: Message): void {
  for (let at: Message | undefined = message; at !== undefined; ) {
    const { id }: Message = at;
    conversation.tip = id;
    at = conversation.messages.findLast(({ parent }) => parent === id);
  }
}
