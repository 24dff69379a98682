/** Pieces of the library → a message of Anthropic's form, whole or as its events. */
import { randomUUID } from "node:crypto";
import { collect, type Finish, type Piece, type ToolCallPart } from "../../index.js";
import { event } from "../sse.js";

const STOP_REASONS: Readonly<Record<Finish["reason"], string>> = {
  stop: "end_turn",
  tool_calls: "tool_use",
  length: "max_tokens",
  context: "model_context_window_exceeded",
};

/** What a message has in any case; `content` follows. */
function head(model: string) {
  const id = `msg_${randomUUID().replaceAll("-", "")}`;
  return { id, type: "message", role: "assistant", model, container: null };
}

function ending({ reason, stop }: Finish) {
  const stopped = reason === "stop" && stop !== undefined;
  return {
    stop_reason: stopped ? "stop_sequence" : STOP_REASONS[reason],
    stop_sequence: stop ?? null,
    stop_details: null,
  };
}

/** What was found in the cache does not count as input. */
function usageOf({ promptTokens, cachedTokens, completionTokens }: Finish["usage"]) {
  return {
    input_tokens: promptTokens - cachedTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedTokens,
    output_tokens: completionTokens,
  };
}

const textBlock = (text: string) => ({ type: "text", text, citations: null });

export async function wholeMessage(pieces: AsyncIterable<Piece>, model: string): Promise<object> {
  const { text, toolCalls, finish } = await collect(pieces);
  const calls = toolCalls.map(({ id, name, arguments: given }) => toolBlock(id, name, inputOf(given)));
  const texts = text === "" && calls.length > 0 ? [] : [textBlock(text)];
  return { ...head(model), content: [...texts, ...calls], ...ending(finish), usage: usageOf(finish.usage) };
}

const toolBlock = (id: string, name: string, input: unknown) => ({ type: "tool_use", id, name, input });

/** Of a call that was cut off nothing is given. */
function inputOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

export async function* messageEvents(pieces: AsyncIterable<Piece>, model: string): AsyncGenerator<string, void> {
  const blocks = new Blocks();
  let begun = false;
  for await (const { text, toolCall, prompt, finish } of pieces) {
    if (!begun)
      yield start(model, { promptTokens: 0, cachedTokens: 0, ...prompt, ...finish?.usage, completionTokens: 0 });
    begun = true;
    if (text !== "") yield* blocks.text(text);
    if (toolCall !== undefined) yield* blocks.call(toolCall);
    if (finish === undefined) continue;
    yield* blocks.end();
    const { stop_reason, stop_sequence, stop_details } = ending(finish);
    const delta = { stop_reason, stop_sequence, stop_details, container: null };
    yield named({ type: "message_delta", delta, usage: usageOf(finish.usage) });
    yield named({ type: "message_stop" });
  }
}

function start(model: string, usage: Finish["usage"]): string {
  const none = { stop_reason: null, stop_sequence: null, stop_details: null };
  const message = { ...head(model), content: [], ...none, usage: usageOf(usage) };
  return named({ type: "message_start", message }) + named({ type: "ping" });
}

/** The block that is open. */
class Blocks {
  #index = -1;
  #open: "text" | "call" | undefined;

  *text(text: string): Generator<string, void> {
    if (this.#open !== "text") yield* this.#begin("text", textBlock(""));
    yield this.#delta({ type: "text_delta", text });
  }

  *call({ id, name, arguments: text }: ToolCallPart): Generator<string, void> {
    if (id !== undefined) yield* this.#begin("call", toolBlock(id, name ?? "", {}));
    if (text !== undefined) yield this.#delta({ type: "input_json_delta", partial_json: text });
  }

  *end(): Generator<string, void> {
    if (this.#open !== undefined) yield named({ type: "content_block_stop", index: this.#index });
    this.#open = undefined;
  }

  *#begin(kind: "text" | "call", block: object): Generator<string, void> {
    yield* this.end();
    this.#open = kind;
    this.#index++;
    yield named({ type: "content_block_start", index: this.#index, content_block: block });
  }

  #delta(delta: object): string {
    return named({ type: "content_block_delta", index: this.#index, delta });
  }
}

function named(data: { readonly type: string; readonly [field: string]: unknown }): string {
  return event(data, data.type);
}
