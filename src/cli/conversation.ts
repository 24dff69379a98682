/**
 * The messages of a chat and the session that answers them. It keeps the conversation within the context by forgetting
 * whole turns, the older half at once, so that what stays is computed anew seldom and not at every turn.
 */
import {
  type ChatMessage,
  type Engine,
  type Finish,
  type GenerateOptions,
  type Piece,
  type Session,
  TernionError,
} from "../index.js";

export interface ConversationOptions extends GenerateOptions {
  readonly system?: string | undefined;
}

/** Part of the context that a conversation may fill, so that the next answer has room. */
const FULL = 0.75;

export class Conversation {
  /** the system message; "" is none */
  system: string;
  /** of the last answer that came to its end */
  finish: Finish | undefined;
  readonly #options: GenerateOptions;
  readonly #session: Session;
  readonly #contextLength: number;
  /** user, assistant, user, assistant, ... */
  #turns: ChatMessage[] = [];
  #notes: string[] = [];

  constructor(engine: Engine, { system = "", ...options }: ConversationOptions) {
    this.system = system;
    this.#options = options;
    this.#session = engine.session();
    this.#contextLength = engine.contextLength;
  }

  get messages(): ChatMessage[] {
    return [...(this.system === "" ? [] : [{ role: "system", content: this.system }]), ...this.#turns];
  }

  /** Streams the answer. Ended early, by `signal` or by the reader, it stays in the conversation as far as it came. */
  async *answer(message: string, signal: AbortSignal): AsyncGenerator<string, void, undefined> {
    let text = "";
    try {
      for await (const piece of this.#pieces(message, signal)) {
        text += piece.text;
        if (piece.finish !== undefined) this.#ended(piece.finish);
        yield piece.text;
      }
    } finally {
      // a message without a word of an answer is as if it had not been sent
      if (text !== "") this.#turns.push({ role: "user", content: message }, { role: "assistant", content: text });
      if (this.#session.tokens.length >= FULL * this.#contextLength) this.#forget();
    }
  }

  /** Forgets until the message fits. */
  async *#pieces(message: string, signal: AbortSignal): AsyncGenerator<Piece, void, undefined> {
    for (;;) {
      const messages = [...this.messages, { role: "user", content: message }];
      try {
        yield* this.#session.chat(messages, { ...this.#options, signal });
        return;
      } catch (error) {
        const tooLong = error instanceof TernionError && error.code === "CONTEXT_OVERFLOW";
        if (!tooLong || this.#turns.length === 0) throw error;
        this.#forget();
      }
    }
  }

  reset(): void {
    this.#turns = [];
  }

  /** What the user should know, once. */
  takeNotes(): string[] {
    return this.#notes.splice(0);
  }

  #ended(finish: Finish): void {
    this.finish = finish;
    if (finish.reason === "context") {
      this.#notes.push(`the answer ends here: the context of ${this.#contextLength} tokens is full (see --ctx)`);
    }
  }

  #forget(): void {
    const exchanges = Math.ceil(this.#turns.length / 4);
    if (exchanges === 0) return;
    this.#turns.splice(0, 2 * exchanges);
    const what = exchanges === 1 ? "message and its answer" : `${exchanges} messages and their answers`;
    this.#notes.push(`the context of ${this.#contextLength} tokens is nearly full: forgot the oldest ${what}`);
  }
}
