/** `/v1/chat/completions`: a body becomes calls of the library, and pieces become OpenAI's chat completions and chunks. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { type Finish, joinToolCall, type Piece, type SessionChatOptions, type ToolCall } from "../../index.js";
import type { Ask } from "../ask.js";
import { wrongField } from "../errors.js";
import { FLAG, integer, object, type Schema } from "../schema.js";
import type { Service } from "../service.js";
import { event, scopeOf } from "../sse.js";
import { type ChoicePiece, choicePieces } from "./choices.js";
import {
  allOptional,
  generateOptions,
  optionsOfChoice,
  type Refusal,
  refuseFields,
  SHARED_SCHEMAS,
  type SharedFields,
} from "./fields.js";
import { TokenEntries, type TokenEntry } from "./logprobs.js";
import { type ChatBodyMessage, chatMessages, MESSAGES_SCHEMA } from "./messages.js";
import { finishReason, headOf, send } from "./send.js";
import { callDelta, fieldNames, TOOL_SCHEMAS, type ToolFields, toolOptions, wholeCall } from "./tools.js";
import { totalsOf } from "./usage.js";

interface ChatBody extends SharedFields, ToolFields {
  readonly messages: readonly ChatBodyMessage[];
  readonly max_completion_tokens?: number | null;
  readonly logprobs?: boolean | null;
  readonly top_logprobs?: number | null;
  readonly chat_template_kwargs?: Readonly<Record<string, unknown>> | null;
  readonly add_generation_prompt?: boolean | null;
  readonly continue_final_message?: boolean | null;
}

const BODY: Schema = object(
  {
    ...SHARED_SCHEMAS,
    ...TOOL_SCHEMAS,
    messages: MESSAGES_SCHEMA,
    ...allOptional({
      max_completion_tokens: integer(0),
      logprobs: FLAG,
      top_logprobs: integer(0, 20),
      chat_template_kwargs: { type: "object" },
      add_generation_prompt: FLAG,
      continue_final_message: FLAG,
    }),
  },
  ["messages"],
);

const REFUSED: Readonly<Record<string, Refusal>> = {
  audio: { reason: "Models here answer in text." },
  modalities: { harmless: [["text"]], reason: "Models here answer in text." },
  functions: { reason: "Use tools." },
  function_call: { harmless: ["none", "auto"], reason: "Use tool_choice." },
  chat_template: { reason: "A template comes with its model." },
  store: { harmless: [false], reason: "Answers are not kept." },
  web_search_options: { reason: "There is no search." },
};

export function chatRoutes(app: FastifyInstance, service: Service): void {
  app.post<{ Body: ChatBody }>("/v1/chat/completions", { schema: { body: BODY } }, (request, reply) => {
    const { body } = request;
    refuseFields(body, REFUSED);
    const scope = scopeOf(reply);
    const asks = asksOf(request, scope.signal);
    const answer = new ChatAnswer(service, body);
    const pieces = choicePieces(service, asks, { scope, each: asks.length });
    return body.stream ? send(reply, answer.chunks(pieces), service) : answer.whole(pieces);
  });
}

function asksOf({ body, client, id: requestId }: FastifyRequest<{ Body: ChatBody }>, signal: AbortSignal): Ask[] {
  const options = chatOptions(body);
  const prompt = { messages: chatMessages(body.messages) };
  const fields = fieldNames("response_format.json_schema.schema", options.tools, body.tools);
  return Array.from({ length: body.n ?? 1 }, (_, index) => ({
    model: body.model ?? undefined,
    prompt,
    options: optionsOfChoice(options, index),
    fields,
    client,
    operation: "chat",
    requestId,
    follows: index > 0,
    signal,
  }));
}

function chatOptions(body: ChatBody): SessionChatOptions {
  if (typeof body.top_logprobs === "number" && !body.logprobs) {
    throw wrongField("top_logprobs", "expected logprobs: true with it");
  }
  if (body.continue_final_message && body.add_generation_prompt) {
    throw wrongField("add_generation_prompt", "expected false with continue_final_message, got true");
  }
  return {
    ...generateOptions(body),
    ...toolOptions(body),
    maxTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
    logprobs: body.logprobs ? (body.top_logprobs ?? 0) : undefined,
    templateVariables: body.chat_template_kwargs ?? undefined,
    addGenerationPrompt: body.continue_final_message ? undefined : (body.add_generation_prompt ?? undefined),
    continueFinal: body.continue_final_message ?? undefined,
  };
}

interface Logprobs {
  readonly content: readonly TokenEntry[];
  readonly refusal: null;
}

/** What came of one choice so far. */
interface Choice {
  readonly entries: TokenEntries | undefined;
  text: string;
  readonly calls: ToolCall[];
  readonly logprobs: TokenEntry[];
  finish: Finish | undefined;
}

/** The answer to one request, whole or in chunks. */
class ChatAnswer {
  readonly #service: Service;
  readonly #body: ChatBody;
  readonly #model: string;
  readonly #choices = new Map<number, Choice>();
  readonly #head: object;

  constructor(service: Service, body: ChatBody) {
    this.#service = service;
    this.#body = body;
    this.#model = service.models.nameOf(body.model ?? undefined);
    this.#head = headOf("chatcmpl", `chat.completion${body.stream ? ".chunk" : ""}`, this.#model);
  }

  async whole(pieces: AsyncIterable<ChoicePiece>): Promise<object> {
    for await (const { index, piece } of pieces) this.#take(index, piece);
    const choices = [...this.#choices].sort(([a], [b]) => a - b).map(([index, choice]) => wholeChoice(index, choice));
    return { ...this.#head, choices, ...this.#totals() };
  }

  async *chunks(pieces: AsyncIterable<ChoicePiece>): AsyncGenerator<string, void> {
    for await (const { index, piece } of pieces) {
      if (!this.#choices.has(index)) yield this.#chunk(index, { role: "assistant", content: "", refusal: null }, null);
      const logprobs = this.#take(index, piece);
      const { text, toolCall, finish } = piece;
      if (text !== "" || logprobs?.content.length) yield this.#chunk(index, { content: text }, logprobs);
      if (toolCall !== undefined) yield this.#chunk(index, { tool_calls: [callDelta(toolCall)] }, null);
      if (finish !== undefined) yield this.#chunk(index, {}, null, finishReason(finish));
    }
    if (this.#withUsage) yield this.#event({ choices: [], ...this.#totals() });
    yield event("[DONE]");
  }

  /** Notes what `piece` says; gives the log probabilities that it brings out. */
  #take(index: number, piece: Piece): Logprobs | null {
    const choice = this.#choices.get(index) ?? this.#begin(index);
    choice.text += piece.text;
    if (piece.toolCall !== undefined) joinToolCall(choice.calls, piece.toolCall);
    choice.finish ??= piece.finish;
    const content = choice.entries?.take(piece);
    if (content === undefined) return null;
    choice.logprobs.push(...content);
    return { content, refusal: null };
  }

  #begin(index: number): Choice {
    const { tokenizer } = this.#service.models.engine(this.#model);
    const entries = this.#body.logprobs ? new TokenEntries(tokenizer) : undefined;
    const choice = { entries, text: "", calls: [], logprobs: [], finish: undefined };
    this.#choices.set(index, choice);
    return choice;
  }

  #chunk(index: number, delta: object, logprobs: Logprobs | null, reason: string | null = null): string {
    const choices = [{ index, delta, logprobs, finish_reason: reason }];
    return this.#event({ choices, ...(this.#withUsage && { usage: null }) });
  }

  #event(fields: object): string {
    return event({ ...this.#head, ...fields });
  }

  get #withUsage(): boolean {
    return this.#body.stream_options?.include_usage === true;
  }

  #totals() {
    const inOrder = [...this.#choices].sort(([a], [b]) => a - b);
    return totalsOf(
      inOrder.flatMap(([, { finish }]) => finish ?? []),
      this.#choices.size,
    );
  }
}

function wholeChoice(index: number, { text, calls, entries, logprobs, finish }: Choice) {
  const called = calls.length > 0;
  return {
    index,
    message: {
      role: "assistant",
      content: called && text === "" ? null : text,
      refusal: null,
      ...(called && { tool_calls: calls.map(wholeCall) }),
    },
    logprobs: entries === undefined ? null : { content: logprobs, refusal: null },
    finish_reason: finish && finishReason(finish),
  };
}
