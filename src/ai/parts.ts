/** Pieces of an answer → parts of a stream of the AI SDK, in its order; and the whole of them as one result. */
import type { Finish, FinishReason, Piece } from "../index.js";
import type { FinishPart, JsonObject, JsonValue, ResultFinishReason, StreamPart, Usage } from "./specification.js";

/** One text from its start to its end, then "finish". What the pieces throw is thrown. */
export async function* partsOf(
  pieces: AsyncIterable<Piece>,
  { raw = false }: { readonly raw?: boolean },
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

/** The text that is open. */
class Blocks {
  #texts = 0;
  #open = false;

  *push({ text }: Piece): Generator<StreamPart, void, undefined> {
    if (text === "") return;
    const id = `text-${this.#texts}`;
    if (!this.#open) yield { type: "text-start", id };
    this.#open = true;
    yield { type: "text-delta", id, delta: text };
  }

  *end(): Generator<StreamPart, void, undefined> {
    if (this.#open) yield { type: "text-end", id: `text-${this.#texts++}` };
    this.#open = false;
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
