/** Pieces of an answer → parts of a stream of the AI SDK, in its order; and the whole of them as one result. */
import type { Finish, FinishReason, Piece, ToolCallPart } from "../index.js";
import type {
  FinishPart,
  JsonObject,
  JsonValue,
  ResultFinishReason,
  StreamPart,
  ToolCallContent,
  Usage,
} from "./specification.js";

/** Texts and calls, each from its start to its end, then "finish". What the pieces throw is thrown. */
export async function* partsOf(
  pieces: AsyncIterable<Piece>,
  { raw = false }: { readonly raw?: boolean | undefined } = {},
): AsyncGenerator<StreamPart, void, undefined> {
  const blocks = new Blocks();
  const logprobs: JsonValue[] = [];
  for await (const piece of pieces) {
    if (raw) yield { type: "raw", rawValue: piece };
    if (piece.logprob !== undefined) logprobs.push(logprobOf(piece));
    yield* blocks.push(piece);
    if (piece.finish === undefined) continue;
    yield* blocks.end();
    yield finishPart(piece.finish, logprobs);
  }
}

type Parts = Generator<StreamPart, void, undefined>;

/** The text or the call that is open: one at a time. */
class Blocks {
  #texts = 0;
  #text: string | undefined;
  #call: ToolCallContent | undefined;

  *push({ text, toolCall }: Piece): Parts {
    if (text !== "") yield* this.#pushText(text);
    if (toolCall !== undefined) yield* this.#pushCall(toolCall);
  }

  *#pushText(delta: string): Parts {
    if (this.#text === undefined) {
      yield* this.end();
      this.#text = `text-${this.#texts++}`;
      yield { type: "text-start", id: this.#text };
    }
    yield { type: "text-delta", id: this.#text, delta };
  }

  *#pushCall({ id, name = "", arguments: delta = "" }: ToolCallPart): Parts {
    if (id !== undefined) {
      yield* this.end();
      this.#call = { type: "tool-call", toolCallId: id, toolName: name, input: "" };
      yield { type: "tool-input-start", id, toolName: name };
    }
    if (this.#call === undefined || delta === "") return;
    this.#call.input += delta;
    yield { type: "tool-input-delta", id: this.#call.toolCallId, delta };
  }

  /** A call that `maxOutputTokens` has cut is given as it is: the AI SDK marks it as invalid. */
  *end(): Parts {
    if (this.#text !== undefined) yield { type: "text-end", id: this.#text };
    if (this.#call !== undefined) {
      yield { type: "tool-input-end", id: this.#call.toolCallId };
      yield this.#call;
    }
    this.#text = undefined;
    this.#call = undefined;
  }
}

const UNIFIED: Readonly<Record<FinishReason, ResultFinishReason["unified"]>> = {
  stop: "stop",
  tool_calls: "tool-calls",
  length: "length",
  context: "length",
};

function finishPart(finish: Finish, logprobs: JsonValue[]): FinishPart {
  const { reason, stop, seed, timings } = finish;
  const ternion: JsonObject = { seed, timings: { ...timings } };
  if (stop !== undefined) ternion.stop = stop;
  if (logprobs.length > 0) ternion.logprobs = logprobs;
  return {
    type: "finish",
    usage: usageOf(finish),
    finishReason: { unified: UNIFIED[reason], raw: reason },
    providerMetadata: { ternion },
  };
}

function usageOf({ usage: { promptTokens, cachedTokens, completionTokens } }: Finish): Usage {
  return {
    inputTokens: {
      total: promptTokens,
      noCache: promptTokens - cachedTokens,
      cacheRead: cachedTokens,
      cacheWrite: undefined,
    },
    outputTokens: { total: completionTokens, text: completionTokens, reasoning: undefined },
  };
}

/** Where an answer ended that an error has cut: how much was used is not known. */
export function failedPart(): FinishPart {
  return {
    type: "finish",
    usage: {
      inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
      outputTokens: { total: undefined, text: undefined, reasoning: undefined },
    },
    finishReason: { unified: "error", raw: undefined },
  };
}

function logprobOf({ id, logprob, top = [] }: Piece): JsonValue {
  return { id, logprob, top: top.map((each) => ({ ...each })) };
}
