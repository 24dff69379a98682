/**
 * The decode loop: take samples, stop where the answer ends, and stream text as it becomes certain. It knows ids and text;
 * how they are computed is the business of the answer.
 */
import * as check from "../check.js";
import { takeForced } from "../grammar/forced.js";
import type { Guide } from "../grammar/guide.js";
import { SHAPE_CHECKS, type Shape } from "../grammar/shape.js";
import type { TokenLogprob } from "../sampling/logprobs.js";
import { checkedMasks } from "../sampling/mask.js";
import { createSampler, SAMPLING_CHECKS, type Sample, type SamplingOptions } from "../sampling/sampler.js";
import type { ToolCallPart } from "../text/calls/tool.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { Answer, type AnswerOptions } from "./answer.js";
import { AnswerText, type Heard } from "./answer-text.js";
import type { Calls } from "./calls.js";
import { type PromptLogprob, promptLogprobs } from "./score.js";
import type { Timeline } from "./timeline.js";

/** Of `session.generate`. */
export interface GenerateOptions extends SamplingOptions, Shape {
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
   * same way with "shift", whatever turn of a chat the cut falls into. Default "stop".
   */
  readonly overflow?: "stop" | "shift" | undefined;
  /** tokens at the beginning that a shift keeps; default: the one that begins a text, if the prompt begins with it */
  readonly keepTokens?: number | undefined;
  /**
   * the prompt's own tokens are reported with their log probabilities, and with so many of the likeliest: all of the prompt
   * is computed, whatever the cache has
   */
  readonly promptLogprobs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export const GENERATE_CHECKS: check.OptionChecks<GenerateOptions> = {
  ...SAMPLING_CHECKS,
  maxTokens: check.limit(0),
  stop: check.strings,
  ignoreEnd: check.boolean,
  parseSpecial: check.boolean,
  overflow: check.choice(["stop", "shift"]),
  keepTokens: check.integer(0),
  promptLogprobs: check.integer(0, 100),
  signal: check.signal,
  ...SHAPE_CHECKS,
};

/** Why an answer ended: an end token or stop string, the same after calls of tools, `maxTokens`, or a full context. */
export type FinishReason = "stop" | "tool_calls" | "length" | "context";

/** How an answer ended, and what it took. */
export interface Finish {
  readonly reason: FinishReason;
  /** the stop string that ended the answer */
  readonly stop?: string;
  readonly usage: {
    readonly promptTokens: number;
    /** of them found in the cache, whichever session computed them */
    readonly cachedTokens: number;
    readonly completionTokens: number;
  };
  readonly timings: {
    /** from when the session has its place in the cache to the logits after the prompt */
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
  /** the token of this step; absent from the last pieces, and where a step has several parts from all but the first */
  readonly id?: number;
  /** natural-log probability, with option `logprobs` */
  readonly logprob?: number;
  /** the likeliest tokens of this step, with option `logprobs` */
  readonly top?: readonly TokenLogprob[];
  /** a part of a call, which follows the text of this piece */
  readonly toolCall?: ToolCallPart;
  /** in the first piece only, unless it is the last: what the prompt took */
  readonly prompt?: Pick<Finish["usage"], "promptTokens" | "cachedTokens">;
  /** in the first piece only, with option `promptLogprobs`: of each token of the prompt */
  readonly promptLogprobs?: readonly PromptLogprob[];
  /** in the last piece only */
  readonly finish?: Finish;
}

/** An answer as its session asks for it. */
export interface Generation extends GenerateOptions, Pick<AnswerOptions, "mask"> {
  /** what the answer keeps to */
  readonly guide?: (() => Promise<Guide>) | undefined;
  /** the prompt's ids, at least one, at most the context's length, and how many of them a shift keeps */
  prepare(): Promise<{ prompt: readonly number[]; keepTokens: number }>;
  /** of tools; their guide is given too */
  readonly calls?: Calls | undefined;
}

/** Streams the continuation of a prompt. The timeline is in use until the stream ends, and has a place as it computes. */
export async function* generate(
  timeline: Timeline,
  tokenizer: Tokenizer,
  options: Generation,
): AsyncGenerator<Piece, void, undefined> {
  const { maxTokens = Number.POSITIVE_INFINITY, ignoreEnd = false, signal } = options;
  const sampler = createSampler(options);
  const text = new AnswerText(tokenizer, options);
  const endBefore = (sample: Sample | undefined): FinishReason | undefined => {
    if (sample === undefined) return "context";
    if (maxTokens === 0) return "length";
    return !ignoreEnd && tokenizer.stopIds.has(sample.id) ? "stop" : undefined;
  };
  let answer: Answer | undefined;
  timeline.enter();
  try {
    signal?.throwIfAborted();
    const guide = await options.guide?.();
    const { prompt, keepTokens } = await options.prepare();
    await timeline.takePlace({ ids: prompt }, signal);
    const clock = new Clock();
    const count = options.promptLogprobs;
    let scored = count === undefined ? undefined : await promptLogprobs(timeline, prompt, count, signal);
    const cached = () => (count === undefined ? (answer?.cached ?? 0) : 0);
    const ofPrompt = () => {
      const taken = scored === undefined ? {} : { promptLogprobs: scored };
      scored = undefined;
      return taken;
    };
    answer = new Answer(timeline, sampler, prompt, {
      ...options,
      maxTokens,
      keepTokens,
      ...guidedBy(guide, tokenizer, options),
    });
    let completionTokens = 0;
    let reason: FinishReason | undefined;
    while (reason === undefined) {
      const sample = await answer.next();
      signal?.throwIfAborted(); // it may have come in the last run of a prompt: no piece follows an abort
      if (completionTokens === 0) clock.promptDone();
      reason = endBefore(sample);
      if (sample === undefined || reason !== undefined) break;
      completionTokens++;
      const used = { promptTokens: prompt.length, cachedTokens: cached() };
      yield* piecesOf(text.push(sample.id), sample, completionTokens === 1 ? { prompt: used, ...ofPrompt() } : {});
      if (text.ended || (guide?.done && !answer.isForced)) reason = "stop";
      else if (completionTokens === maxTokens) reason = "length";
    }
    const usage = { promptTokens: prompt.length, cachedTokens: cached(), completionTokens };
    const timings = clock.timings(prompt.length - cached(), completionTokens);
    await answer.close();
    timeline.leavePlace(); // nothing is left to compute, however late the last pieces are taken
    const rest = text.rest();
    yield* rest.slice(0, -1);
    if (reason === "stop" && text.calls > 0) reason = "tool_calls";
    const ended = { reason: reason ?? "context", ...(text.stop !== undefined && { stop: text.stop }) };
    yield { ...rest[rest.length - 1], ...ofPrompt(), finish: { ...ended, usage, timings, seed: sampler.seed } };
  } finally {
    await answer?.close();
    timeline.leave();
  }
}

/** How an answer keeps to its grammar. With log probabilities every id is computed. */
function guidedBy(guide: Guide | undefined, tokenizer: Tokenizer, { mask, logprobs }: Generation) {
  if (guide === undefined) return { mask: mask && checkedMasks(mask, tokenizer.size) };
  const forced = (history: readonly number[]) => takeForced(guide, tokenizer, history);
  return {
    mask: checkedMasks(() => guide.mask(), tokenizer.size),
    isFree: () => guide.isFree === true,
    onId: (id: number) => guide.accept(id),
    forced: logprobs === undefined ? forced : undefined,
  };
}

/** A whole call of a tool. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON text; cut off where the answer was */
  readonly arguments: string;
}

/** A whole answer. */
export interface Collected {
  readonly text: string;
  readonly ids: number[];
  readonly toolCalls: ToolCall[];
  readonly finish: Finish;
}

/** Collects a whole answer. */
export async function collect(pieces: AsyncIterable<Piece>): Promise<Collected> {
  if (!(Symbol.asyncIterator in Object(pieces))) throw check.wrongType("pieces", "what generate or chat gives", pieces);
  let text = "";
  const ids: number[] = [];
  const toolCalls: ToolCall[] = [];
  for await (const piece of pieces) {
    text += piece.text;
    if (piece.id !== undefined) ids.push(piece.id);
    if (piece.toolCall !== undefined) joinToolCall(toolCalls, piece.toolCall);
    if (piece.finish !== undefined) return { text, ids, toolCalls, finish: piece.finish };
  }
  throw new Error("the answer ended without a last piece");
}

/** Puts a part to the calls that came before it. */
export function joinToolCall(calls: ToolCall[], part: ToolCallPart): void {
  const { index, id = "", name = "", arguments: text = "" } = part;
  const before = calls[index] ?? { id, name, arguments: "" };
  calls[index] = { ...before, arguments: before.arguments + text };
}

function piecesOf(
  [first, ...others]: readonly Heard[],
  { id, logprob, top }: Sample,
  start: Pick<Piece, "prompt" | "promptLogprobs">,
): Piece[] {
  const chosen = { id, ...(logprob !== undefined && { logprob }), ...(top !== undefined && { top }) };
  return [{ ...first, ...chosen, ...start }, ...others];
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
