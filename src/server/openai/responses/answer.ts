/** Pieces of the library → a response, whole or as its events; an output item is a text or a call of a function. */
import { randomUUID } from "node:crypto";
import type { ChatMessage, Finish, Piece, Tokenizer, ToolCall, ToolCallPart } from "../../../index.js";
import type { ApiError } from "../../errors.js";
import { event } from "../../sse.js";
import { TokenEntries, type TokenEntry } from "../logprobs.js";
import type { ResponsesBody } from "./body.js";
import { turnOf } from "./items.js";

const newId = (prefix: string) => `${prefix}_${randomUUID().replaceAll("-", "")}`;
const seconds = () => Math.floor(Date.now() / 1000);

type Status = "in_progress" | "completed" | "incomplete" | "failed";

interface TextItem {
  readonly type: "message";
  readonly id: string;
  text: string;
  readonly logprobs: TokenEntry[];
}
interface CallItem {
  readonly type: "function_call";
  readonly id: string;
  readonly call: { readonly id: string; readonly name: string; arguments: string };
}
type Item = TextItem | CallItem;

export interface ResponseUse {
  /** of the model that answers, where log probabilities are asked for; called when it is there */
  tokenizer(): Tokenizer | undefined;
  /** all of the answer is there, and its last event has not gone out */
  onEnd(): void;
}

export class ResponseAnswer {
  readonly id = newId("resp");
  readonly #head: object;
  readonly #items: Item[] = [];
  #status: Status = "in_progress";
  #finish: Finish | undefined;
  #completedAt: number | null = null;
  #error: { readonly code: string; readonly message: string } | null = null;
  #number = 0;
  /** undefined: not known yet; null: not asked for */
  #entries: TokenEntries | null | undefined;

  constructor(
    body: ResponsesBody,
    model: string,
    readonly use: ResponseUse,
  ) {
    this.#head = { id: this.id, object: "response", created_at: seconds(), model, ...echoOf(body) };
  }

  /** The response as it is now. */
  get response(): { readonly id: string; readonly [field: string]: unknown } {
    const output = this.#items.map((item) => this.#shown(item));
    return {
      ...this.#head,
      id: this.id,
      status: this.#status,
      completed_at: this.#completedAt,
      error: this.#error,
      incomplete_details: this.#status === "incomplete" ? { reason: "max_output_tokens" } : null,
      output,
      usage: this.#finish === undefined ? null : usageOf(this.#finish),
    };
  }

  /** The answer as a turn of the conversation. */
  get turn(): ChatMessage {
    const text = this.#items.map((item) => (item.type === "message" ? item.text : "")).join("");
    return turnOf(
      text,
      this.#items.flatMap((item): ToolCall[] => (item.type === "message" ? [] : [item.call])),
    );
  }

  async whole(pieces: AsyncIterable<Piece>): Promise<object> {
    for await (const piece of pieces) this.#quietly(this.#take(piece));
    return this.response;
  }

  async *events(pieces: AsyncIterable<Piece>): AsyncGenerator<string, void> {
    let begun = false;
    for await (const piece of pieces) {
      if (!begun) {
        yield this.#event("response.created", { response: this.response });
        yield this.#event("response.in_progress", { response: this.response });
      }
      begun = true;
      yield* this.#take(piece);
      if (piece.finish !== undefined) yield this.#event(`response.${this.#status}`, { response: this.response });
    }
  }

  /** The last event of a stream that fails. */
  failed(error: ApiError): string {
    this.#status = "failed";
    this.#error = { code: "server_error", message: error.message };
    return this.#event("response.failed", { response: this.response });
  }

  #quietly(events: Iterable<string>): void {
    for (const _ of events);
  }

  *#take(piece: Piece): Generator<string, void> {
    const { text, toolCall, finish } = piece;
    const logprobs = this.#logprobsOf(piece);
    if (text !== "" || logprobs.length > 0) yield* this.#text(text, logprobs);
    if (toolCall !== undefined) yield* this.#call(toolCall);
    if (finish === undefined) return;
    if (this.#items.length === 0) yield* this.#text("", []); // an answer without a word is one all the same
    this.#finish = finish;
    this.#status = finish.reason === "length" || finish.reason === "context" ? "incomplete" : "completed";
    yield* this.#close();
    this.#completedAt = this.#status === "completed" ? seconds() : null;
    this.use.onEnd();
  }

  #logprobsOf(piece: Piece): TokenEntry[] {
    if (this.#entries === undefined) {
      const tokenizer = this.use.tokenizer();
      this.#entries = tokenizer === undefined ? null : new TokenEntries(tokenizer);
    }
    return this.#entries?.take(piece) ?? [];
  }

  *#text(text: string, logprobs: readonly TokenEntry[]): Generator<string, void> {
    let item = this.#last;
    if (item?.type !== "message") {
      yield* this.#close();
      item = { type: "message", id: newId("msg"), text: "", logprobs: [] };
      yield* this.#open(item, { ...this.#shown(item, "in_progress"), content: [] });
      yield this.#event("response.content_part.added", { ...this.#at(item, 0), part: textPart(item) });
    }
    item.text += text;
    item.logprobs.push(...logprobs);
    if (text === "" && logprobs.length === 0) return;
    const delta = { delta: text, logprobs: logprobs.map(withoutBytes) };
    yield this.#event("response.output_text.delta", { ...this.#at(item, 0), ...delta });
  }

  *#call({ id, name = "", arguments: text }: ToolCallPart): Generator<string, void> {
    if (id !== undefined) {
      yield* this.#close();
      const item: CallItem = { type: "function_call", id: newId("fc"), call: { id, name, arguments: "" } };
      yield* this.#open(item, this.#shown(item, "in_progress"));
    }
    const item = this.#last;
    if (text === undefined || item?.type !== "function_call") return;
    item.call.arguments += text;
    yield this.#event("response.function_call_arguments.delta", { ...this.#at(item), delta: text });
  }

  get #last(): Item | undefined {
    return this.#items[this.#items.length - 1];
  }

  *#open(item: Item, shown: object): Generator<string, void> {
    this.#items.push(item);
    yield this.#event("response.output_item.added", { output_index: this.#items.length - 1, item: shown });
  }

  /** The last item is done. */
  *#close(): Generator<string, void> {
    const item = this.#last;
    if (item === undefined) return;
    if (item.type === "message") {
      const at = this.#at(item, 0);
      const logprobs = item.logprobs.map(withoutBytes);
      yield this.#event("response.output_text.done", { ...at, text: item.text, logprobs });
      yield this.#event("response.content_part.done", { ...at, part: textPart(item) });
    } else {
      const { name, arguments: text } = item.call;
      yield this.#event("response.function_call_arguments.done", { ...this.#at(item), name, arguments: text });
    }
    yield this.#event("response.output_item.done", { output_index: this.#items.length - 1, item: this.#shown(item) });
  }

  /** Where an event belongs: the last item. */
  #at({ id }: Item, content?: number) {
    const place = { item_id: id, output_index: this.#items.length - 1 };
    return content === undefined ? place : { ...place, content_index: content };
  }

  /** Only the last item can be cut off. */
  #shown(item: Item, now?: Status): object {
    const status = now ?? (item === this.#last && this.#status !== "failed" ? this.#itemStatus : "completed");
    const { id, type } = item;
    if (type === "message") return { id, type, status, role: "assistant", content: [textPart(item)] };
    const { call } = item;
    return { id, type, status, call_id: call.id, name: call.name, arguments: call.arguments };
  }

  get #itemStatus(): Status {
    return this.#status === "in_progress" ? "completed" : this.#status;
  }

  #event(type: string, fields: object): string {
    return event({ type, sequence_number: this.#number++, ...fields }, type);
  }
}

const textPart = ({ text, logprobs }: TextItem) => {
  return { type: "output_text", text, annotations: [], logprobs: [...logprobs] };
};

/** As events have them. */
const withoutBytes = ({ token, logprob, top_logprobs }: TokenEntry) => {
  return { token, logprob, top_logprobs: top_logprobs.map((top) => ({ token: top.token, logprob: top.logprob })) };
};

function usageOf({ usage: { promptTokens, cachedTokens, completionTokens } }: Finish) {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: promptTokens + completionTokens,
  };
}

/** What a response repeats of its request. */
function echoOf(body: ResponsesBody): object {
  return {
    background: false,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    metadata: body.metadata ?? {},
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id ?? null,
    reasoning: { effort: null, summary: null },
    service_tier: "default",
    store: body.store ?? true,
    temperature: body.temperature ?? null,
    text: { format: body.text?.format ?? { type: "text" }, verbosity: "medium" },
    tool_choice: body.tool_choice ?? "auto",
    tools: body.tools ?? [],
    top_logprobs: body.top_logprobs ?? 0,
    top_p: body.top_p ?? null,
    truncation: "disabled",
  };
}
