/**
 * The decode loop: feed the prompt, then sample, stop or feed the sampled token, and stream text as it becomes certain.
 * It knows ids and text; where they are computed is the timeline's business.
 */

import { createSampler, type Sample, type SamplingOptions, type TokenLogprob } from "./sampler.js";
import type { Scores } from "./scheduler.js";
import { StopStrings, TextStream } from "./text/stream.js";
import type { Tokenizer } from "./text/tokenizer.js";

export interface GenerateOptions extends SamplingOptions {
  /** most tokens to generate; default: until the context is full */
  readonly maxTokens?: number | undefined;
  /** text that ends the answer; it is left out of it */
  readonly stop?: string | readonly string[] | undefined;
  /** go on past the end-of-text and end-of-turn tokens (for measurements); default false */
  readonly ignoreEnd?: boolean | undefined;
  /** special tokens in a text prompt become their ids; default false: they are plain characters */
  readonly parseSpecial?: boolean | undefined;
  /**
   * When the context is full: "stop" ends the answer with finish reason "context"; "shift" drops the older half of what
   * follows the first `keepTokens` tokens and goes on. A prompt that does not fit is an error with "stop", and cut the
   * same way with "shift". Default "stop".
   */
  readonly overflow?: "stop" | "shift" | undefined;
  /** tokens at the beginning that a shift keeps; default 0 */
  readonly keepTokens?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Why an answer ended: an end token or stop string, `maxTokens`, or a full context. */
export type FinishReason = "stop" | "length" | "context";

export interface Finish {
  readonly reason: FinishReason;
  /** the stop string that ended the answer */
  readonly stop?: string;
  readonly usage: {
    readonly promptTokens: number;
    /** of them found in the session's cache */
    readonly cachedTokens: number;
    readonly completionTokens: number;
  };
  readonly timings: {
    /** from the call to the logits behind the prompt */
    readonly promptMs: number;
    /** from there to the end */
    readonly generationMs: number;
    /** prompt tokens computed, a second */
    readonly promptPerSecond: number;
    readonly tokensPerSecond: number;
  };
  /** gives the same text again as option `seed` */
  readonly seed: number;
}

/** One step of an answer. The text of all pieces is the answer. */
export interface Piece {
  /** whole characters; may be empty while one is incomplete or a stop string may be beginning */
  readonly text: string;
  /** the token of this step; absent from the last piece */
  readonly id?: number;
  /** natural-log probability, with option `logprobs` */
  readonly logprob?: number;
  /** the likeliest tokens of this step, with option `logprobs` */
  readonly top?: readonly TokenLogprob[];
  /** in the last piece only */
  readonly finish?: Finish;
}

/** What the loop needs of a session. */
export interface Timeline {
  readonly contextLength: number;
  /** ids whose keys and values are in the cache */
  readonly tokens: readonly number[];
  /** Makes the timeline `ids`, computing what the cache lacks; gives the scores behind the last id, at least `best`. */
  extendTo(ids: readonly number[], best: number, signal?: AbortSignal): Promise<{ scores: Scores; cached: number }>;
}

/** Streams the continuation of `prompt` (at least one id, at most the context's length). */
export async function* generate(
  timeline: Timeline,
  tokenizer: Tokenizer,
  prompt: readonly number[],
  options: GenerateOptions,
): AsyncGenerator<Piece, void, undefined> {
  const {
    maxTokens = Number.POSITIVE_INFINITY,
    ignoreEnd = false,
    overflow = "stop",
    keepTokens = 0,
    signal,
  } = options;
  const sampler = createSampler(options);
  const stream = new TextStream();
  const stops = new StopStrings(typeof options.stop === "string" ? [options.stop] : (options.stop ?? []));
  const ids = [...prompt];
  const history = [...prompt]; // what penalties look at: not cut by a shift
  const clock = new Clock();
  let { scores, cached } = await timeline.extendTo(ids, sampler.candidates, signal);
  clock.promptDone();

  let reason: FinishReason = "length";
  let stop: string | undefined;
  let completionTokens = 0;
  while (completionTokens < maxTokens) {
    signal?.throwIfAborted(); // it may have come in the last run of a prompt: no piece follows an abort
    const sample = sampler.sample(scores, history, history.length);
    if (!ignoreEnd && tokenizer.stopIds.has(sample.id)) {
      reason = "stop";
      break;
    }
    completionTokens++;
    history.push(sample.id);
    const bytes = tokenizer.isSpecial(sample.id) ? new Uint8Array() : tokenizer.bytes(sample.id);
    const stopped = stops.push(stream.push(bytes));
    yield pieceOf(stopped.text, sample);
    if (stopped.stop !== undefined) {
      reason = "stop";
      stop = stopped.stop;
      break;
    }
    if (completionTokens === maxTokens) break;
    ids.push(sample.id);
    if (ids.length > timeline.contextLength) {
      if (overflow === "stop") {
        reason = "context";
        break;
      }
      shiftContext(ids, keepTokens, timeline.contextLength);
    }
    ({ scores } = await timeline.extendTo(ids, sampler.candidates, signal));
  }
  // an unfinished character at the end completes no stop string
  const rest = stop === undefined ? stops.push(stream.flush()).text + stops.flush() : "";
  const usage = { promptTokens: prompt.length, cachedTokens: cached, completionTokens };
  const timings = clock.timings(prompt.length - cached, completionTokens);
  yield { text: rest, finish: { reason, ...(stop !== undefined && { stop }), usage, timings, seed: sampler.seed } };
}

/** Collects a whole answer. */
export async function collect(pieces: AsyncIterable<Piece>): Promise<{ text: string; ids: number[]; finish: Finish }> {
  let text = "";
  const ids: number[] = [];
  for await (const piece of pieces) {
    text += piece.text;
    if (piece.id !== undefined) ids.push(piece.id);
    if (piece.finish !== undefined) return { text, ids, finish: piece.finish };
  }
  throw new Error("the answer ended without a last piece");
}

/** Keeps the first `keep` ids and the younger half of the rest; a rest that is too long anyway is cut to half. */
export function shiftContext(ids: number[], keep: number, contextLength: number): void {
  const room = contextLength - keep;
  const stays = Math.max(1, Math.floor(room / 2));
  ids.splice(keep, ids.length - keep - stays);
}

function pieceOf(text: string, { id, logprob, top }: Sample): Piece {
  return { text, id, ...(logprob !== undefined && { logprob }), ...(top !== undefined && { top }) };
}

class Clock {
  readonly #start = performance.now();
  #prompt = 0;

  promptDone(): void {
    this.#prompt = performance.now();
  }

  timings(promptTokens: number, tokens: number): Finish["timings"] {
    const promptMs = this.#prompt - this.#start;
    const generationMs = performance.now() - this.#prompt;
    // the first token costs no pass of its own: its logits came with the prompt
    const perSecond = (count: number, ms: number) => (ms > 0 ? (1000 * Math.max(0, count)) / ms : 0);
    return {
      promptMs,
      generationMs,
      promptPerSecond: perSecond(promptTokens, promptMs),
      tokensPerSecond: perSecond(tokens - 1, generationMs),
    };
  }
}
