/** The answers under way: at most one a conversation, each going on while another conversation is shown. */
import { type ChatMessage, type ChatRequest, chat, ServerError } from "./api.js";
import { type Conversation, type Message, pathOf } from "./conversation.js";

export interface AnswerEvents {
  grown(conversation: Conversation, message: Message, delta: string): void;
  /** `error` where it failed; `message.end` and `message.problem` are set */
  ended(conversation: Conversation, message: Message, error: ServerError | undefined): void;
}

export class Answers {
  readonly #running = new Map<string, AbortController>();
  readonly #events: AnswerEvents;

  constructor(events: AnswerEvents) {
    this.#events = events;
  }

  isRunning({ id }: Conversation): boolean {
    return this.#running.has(id);
  }

  stop({ id }: Conversation): void {
    this.#running.get(id)?.abort();
  }

  /** Writes into `message`, the last of the conversation's branch. Never throws. */
  async run(
    conversation: Conversation,
    message: Message,
    { sampling, model, key }: Pick<ChatRequest, "model" | "sampling"> & { readonly key: string },
  ): Promise<void> {
    const controller = new AbortController();
    this.#running.set(conversation.id, controller);
    const request = { model, sampling, messages: messagesBefore(conversation, message) };
    const { signal } = controller;
    const error = await this.#receive(conversation, message, request, { key, signal }).catch((thrown: unknown) =>
      signal.aborted ? undefined : asServerError(thrown),
    );
    finish(message, signal.aborted, error);
    if (this.#running.get(conversation.id) === controller) this.#running.delete(conversation.id);
    this.#events.ended(conversation, message, error);
  }

  async #receive(
    conversation: Conversation,
    message: Message,
    request: ChatRequest,
    access: { readonly key: string; readonly signal: AbortSignal },
  ): Promise<undefined> {
    for await (const event of chat(request, access)) {
      if (event.kind === "figures") message.figures = { ...message.figures, ...event.figures };
      else if (event.kind === "end") message.end = event.reason === "length" ? "limit" : "complete";
      else {
        message.text += event.text;
        this.#events.grown(conversation, message, event.text);
      }
    }
  }
}

function messagesBefore(conversation: Conversation, message: Message): ChatMessage[] {
  const { systemPrompt } = conversation;
  const system: ChatMessage[] = systemPrompt.trim() === "" ? [] : [{ role: "system", content: systemPrompt }];
  const said = pathOf(conversation, message.parent).filter(({ text }) => text !== "");
  return [...system, ...alternating(said)];
}

/** Where an answer failed, two questions meet; many templates want turns to alternate, so they become one. */
function alternating(said: readonly Message[]): ChatMessage[] {
  const turns: ChatMessage[] = [];
  for (const { role, text } of said) {
    const before = turns.at(-1);
    if (before?.role === role) turns[turns.length - 1] = { role, content: `${before.content}\n\n${text}` };
    else turns.push({ role, content: text });
  }
  return turns;
}

function finish(message: Message, aborted: boolean, error: ServerError | undefined): void {
  if (error !== undefined) {
    message.end = "failed";
    message.problem = error.message;
  } else if (message.end === "open") message.end = aborted ? "stopped" : "complete";
}

const asServerError = (thrown: unknown): ServerError =>
  thrown instanceof ServerError ? thrown : new ServerError("broken", `The answer could not be read: ${thrown}.`);
