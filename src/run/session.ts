/**
 * A Session: one timeline of tokens with its own part of the key-value cache. Each call gives a whole prompt; the longest
 * prefix that the cache already holds is not computed again. One answer at a time.
 */
import * as check from "../check.js";
import { TernionError } from "../errors.js";
import {
  type ChatMessage,
  type ChatTemplate,
  checkMessages,
  TEMPLATE_CHECKS,
  type TemplateOptions,
} from "../text/chat.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { GENERATE_CHECKS, type GenerateOptions, generate, type Piece } from "./generate.js";
import { type FeedRequest, Moved, type Scheduler, type Scores } from "./scheduler.js";
import { type Draws, shiftContext, type Timeline } from "./source.js";

export interface ScoreOptions {
  readonly signal?: AbortSignal | undefined;
}

const SCORE_CHECKS: check.OptionChecks<ScoreOptions> = { signal: check.signal };

/** What a session needs of its engine. */
export interface SessionSetup {
  readonly scheduler: Scheduler;
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate | undefined;
  readonly vocabularySize: number;
  /** positions of this session */
  readonly contextLength: number;
  readonly slot: number;
  /** gives the slot back */
  onClose(): void;
}

export interface SessionChatOptions extends GenerateOptions, TemplateOptions {}

const CHAT_CHECKS: check.OptionChecks<SessionChatOptions> = { ...GENERATE_CHECKS, ...TEMPLATE_CHECKS };

export class Session implements AsyncDisposable {
  readonly #setup: SessionSetup;
  readonly #timeline: CachedTimeline;
  #busy = false;
  #closed = false;

  /** Made by `engine.session()`. */
  constructor(setup: SessionSetup) {
    this.#setup = setup;
    this.#timeline = new CachedTimeline(setup);
  }

  /** Ids whose keys and values are in the cache, oldest first. */
  get tokens(): readonly number[] {
    return this.#timeline.tokens;
  }

  /** Continues `prompt`, text or ids. A wrong argument or option throws at the call. */
  generate(prompt: string | check.TokenIds, options: GenerateOptions = {}): AsyncGenerator<Piece, void, undefined> {
    const own = this.#checked(options, GENERATE_CHECKS);
    const given = check.textOrIds(this.#setup.vocabularySize)("prompt", prompt);
    return this.#answer(() => this.#encode(given, own), own);
  }

  /** Answers the last of `messages`, by the chat template of the model. A wrong argument or option throws at the call. */
  chat(messages: readonly ChatMessage[], options: SessionChatOptions = {}): AsyncGenerator<Piece, void, undefined> {
    const own = this.#checked(options, CHAT_CHECKS);
    const given = checkMessages(messages);
    return this.#answer(async () => {
      const { chatTemplate } = this.#setup;
      if (chatTemplate !== undefined) return chatTemplate.encode(given, check.values(own, TEMPLATE_CHECKS));
      const message = "The model file has no chat template: expected metadata key tokenizer.chat_template. ";
      throw new TernionError("CHAT_TEMPLATE", `${message}Use generate() with a prompt of your own form.`);
    }, own);
  }

  /**
   * Natural-log probabilities of ids[1..] given the ids before them (teacher forcing): for perplexity and comparisons.
   */
  async score(ids: check.TokenIds, options: ScoreOptions = {}): Promise<Float64Array> {
    const { signal } = check.options(options, SCORE_CHECKS);
    const own = check.ids(this.#setup.vocabularySize)("ids", ids);
    return this.#exclusive(async () => {
      if (own.length === 0) return new Float64Array();
      const logprobs = new Float64Array(own.length - 1);
      await this.#timeline.feedAll(own, signal, (index, logits) => {
        if (index + 1 < own.length) logprobs[index] = logSoftmaxAt(logits, own[index + 1]);
      });
      const bad = logprobs.findIndex((logprob) => !Number.isFinite(logprob));
      if (bad >= 0) throw new NoDistribution(`ids[${bad + 1}]`, logprobs[bad]);
      return logprobs;
    });
  }

  /** Forgets all tokens. An answer under way must be ended first. */
  reset(): void {
    if (this.#busy) throw busy();
    this.#timeline.truncate(0);
  }

  /** Gives the session's place in the engine back. An answer under way must be ended first. */
  async close(): Promise<void> {
    if (this.#closed) return;
    if (this.#busy) throw busy();
    this.#closed = true;
    this.#setup.onClose();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *#answer(
    encode: () => Promise<readonly number[]>,
    options: GenerateOptions,
  ): AsyncGenerator<Piece, void, undefined> {
    this.#enter();
    try {
      options.signal?.throwIfAborted();
      const ids = await encode();
      const keepTokens = options.keepTokens ?? this.#beginning(ids);
      const fitting = this.#fit(ids, { ...options, keepTokens });
      yield* generate(this.#timeline, this.#setup.tokenizer, fitting, { ...options, keepTokens });
    } finally {
      this.#busy = false;
    }
  }

  #checked<T extends GenerateOptions>(options: T, checks: check.OptionChecks<T>): T {
    const own = check.options(options, checks);
    const { keepTokens } = own;
    if (keepTokens !== undefined) check.integer(0, this.#mostKept)("keepTokens", keepTokens);
    return own;
  }

  /** A shift must leave room for the last token and the one that follows it. */
  get #mostKept(): number {
    return Math.max(0, this.#setup.contextLength - 2);
  }

  async #encode(
    prompt: string | readonly number[],
    { parseSpecial = false, signal }: GenerateOptions,
  ): Promise<readonly number[]> {
    return typeof prompt === "string" ? this.#setup.tokenizer.encodeAsync(prompt, { parseSpecial, signal }) : prompt;
  }

  /**
   * How many tokens at the beginning of `ids` a shift keeps by itself: the one that begins a text. Attention rests on it,
   * and without it every later token is predicted worse.
   */
  #beginning(ids: readonly number[]): number {
    const { bos } = this.#setup.tokenizer;
    return bos !== undefined && ids[0] === bos ? Math.min(1, this.#mostKept) : 0;
  }

  /** The prompt as it fits into the context, with room for one token. */
  #fit(ids: readonly number[], { overflow = "stop", keepTokens = 0 }: GenerateOptions): readonly number[] {
    const { contextLength } = this.#setup;
    if (ids.length === 0) throw new RangeError("prompt: expected at least one token, got none");
    if (ids.length <= contextLength) return ids;
    if (overflow === "shift") {
      const cut = [...ids];
      shiftContext(cut, keepTokens, contextLength);
      return cut;
    }
    throw new TernionError(
      "CONTEXT_OVERFLOW",
      `prompt: expected at most ${contextLength} tokens, got ${ids.length}. ` +
        'Shorten it, load the model with a larger contextLength, or set overflow to "shift".',
    );
  }

  #enter(): void {
    if (this.#closed) throw new TernionError("CLOSED", "The session is closed. Ask the engine for a new one.");
    if (this.#busy) throw busy();
    this.#busy = true;
  }

  async #exclusive<T>(use: () => Promise<T>): Promise<T> {
    this.#enter();
    try {
      return await use();
    } finally {
      this.#busy = false;
    }
  }
}

function busy(): TernionError {
  return new TernionError(
    "SESSION_BUSY",
    "The session is still answering. End that answer first, or use another session.",
  );
}

/** The ids in one slot of the cache, kept true through aborts: what is listed is what was computed. */
class CachedTimeline implements Timeline {
  #tokens: number[] = [];
  /** whose cache holds the tokens */
  #backend: Scheduler["backend"];
  constructor(readonly setup: SessionSetup) {
    this.#backend = setup.scheduler.backend;
  }

  get tokens(): readonly number[] {
    return this.#tokens;
  }
  get contextLength(): number {
    return this.setup.contextLength;
  }
  get runsAhead(): number {
    return this.setup.scheduler.runsAhead;
  }

  truncate(length: number): void {
    this.#tokens.length = length;
  }

  async extendTo(
    ids: readonly number[],
    best: number,
    signal?: AbortSignal,
  ): Promise<{ scores: Scores; cached: number }> {
    const cached = this.#cached(ids);
    let last: Scores | undefined;
    const onScores = (_: number, scores: Scores) => {
      last = scores;
    };
    await this.#feed(ids, { want: "last", best, onScores, signal });
    if (last === undefined)
      throw new TernionError("BACKEND_FAILED", "The backend gave no logits. Load the model again.");
    return { scores: last, cached };
  }

  follow(ids: readonly number[], draws: Draws): { chosen: AsyncIterable<number>; cached: number } {
    return { chosen: this.#followAll(ids, draws), cached: this.#cached(ids) };
  }

  /** The model may move to another backend meanwhile: then all so far is fed there, and the answer goes on. */
  async *#followAll(ids: readonly number[], draws: Draws): AsyncGenerator<number, void, undefined> {
    const all = [...ids];
    for (;;) {
      const count = draws.count - (all.length - ids.length);
      try {
        for await (const id of this.#follow(all.slice(), this.#cached(all), { ...draws, count })) {
          all.push(id);
          yield id;
        }
        return;
      } catch (error) {
        if (!(error instanceof Moved)) throw error;
      }
    }
  }

  async *#follow(ids: readonly number[], first: number, draws: Draws): AsyncGenerator<number, void, undefined> {
    this.truncate(first);
    const rest = ids.slice(first);
    const { scheduler, slot } = this.setup;
    const onFed = (count: number) => this.#append(rest, first, count);
    let fed: number | undefined;
    for await (const id of scheduler.follow({ slot, ids: rest, position: first, onFed, ...draws })) {
      // what was computed beyond the ids that were taken is never listed
      if (fed !== undefined) this.#tokens.push(fed);
      fed = id;
      yield id;
    }
  }

  /** How much of `ids` need not be fed; the last one always is: what comes behind it is wanted. */
  #cached(ids: readonly number[]): number {
    const { backend } = this.setup.scheduler;
    if (this.#backend !== backend) this.truncate(0); // the model moved: the cache there is empty
    this.#backend = backend;
    return Math.min(commonPrefix(this.#tokens, ids), ids.length - 1);
  }

  #append(rest: readonly number[], first: number, count: number): void {
    for (let i = this.#tokens.length - first; i < count; i++) this.#tokens.push(rest[i]);
  }

  /** Computes all of `ids` anew and hands out the logits behind each. */
  async feedAll(
    ids: readonly number[],
    signal: AbortSignal | undefined,
    onLogits: (index: number, logits: Float32Array) => void,
  ): Promise<void> {
    if (ids.length > this.contextLength) {
      throw new TernionError(
        "CONTEXT_OVERFLOW",
        `ids: expected at most ${this.contextLength} tokens, got ${ids.length}. Load with a larger contextLength.`,
      );
    }
    const onScores = (index: number, scores: Scores) => onLogits(index, scores as Float32Array); // best is 0
    this.truncate(0);
    await this.#feed(ids, { want: "all", best: 0, onScores, signal });
  }

  /** Feeds what of `ids` is not in the cache; once more where the model moved to another backend meanwhile. */
  async #feed(
    ids: readonly number[],
    wanted: Pick<FeedRequest, "want" | "best" | "onScores" | "signal">,
  ): Promise<void> {
    for (;;) {
      const first = this.#cached(ids);
      this.truncate(first);
      const rest = ids.slice(first);
      const onFed = (count: number) => this.#append(rest, first, count);
      try {
        return await this.setup.scheduler.feed({ slot: this.setup.slot, ids: rest, position: first, onFed, ...wanted });
      } catch (error) {
        if (!(error instanceof Moved)) throw error;
      }
    }
  }
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return length;
}

/** Logits that are NaN or infinite: what comes of them would be no probability. */
export class NoDistribution extends TernionError {
  constructor(of: string, got: number) {
    super(
      "BACKEND_FAILED",
      `log probability of ${of}: expected a finite number, got ${got}. ` +
        "The model file or the backend is at fault: try the reference backend.",
    );
  }
}

/** log softmax(logits)[id], in float64; not finite where the logits are no distribution */
export function logSoftmaxAt(logits: Float32Array, id: number): number {
  let max = Number.NEGATIVE_INFINITY;
  for (const logit of logits) max = Math.max(max, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return logits[id] - max - Math.log(sum);
}
