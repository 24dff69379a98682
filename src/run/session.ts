/**
 * A Session: one timeline of tokens. Each call gives a whole prompt; the longest prefix that the cache already holds, from
 * whichever session, is not computed again. One answer at a time.
 */
import * as check from "../check.js";
import { TernionError } from "../errors.js";
import type { Grammars } from "../grammar/grammar.js";
import { shapeOf } from "../grammar/shape.js";
import { logSoftmaxAt, NoDistribution } from "../sampling/logprobs.js";
import type { ChatMessage, ChatTemplate } from "../text/chat.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { shiftContext } from "./answer.js";
import type { Calls } from "./calls.js";
import { CHAT_PROMPT_CHECKS, type ChatPromptOptions, chatOf } from "./chat.js";
import { GENERATE_CHECKS, type GenerateOptions, generate, type Piece } from "./generate.js";
import { lookAt } from "./score.js";
import { Timeline, type TimelineSetup } from "./timeline.js";

/** Of `session.score`. */
export interface ScoreOptions {
  readonly signal?: AbortSignal | undefined;
}

const SCORE_CHECKS: check.OptionChecks<ScoreOptions> = { signal: check.signal };

/** What a session needs of its engine. */
export interface SessionSetup extends TimelineSetup {
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate | undefined;
  readonly vocabularySize: number;
  readonly grammars: Grammars;
}

/** Of `session.chat`. */
export interface SessionChatOptions extends GenerateOptions, ChatPromptOptions {}

const CHAT_CHECKS: check.OptionChecks<SessionChatOptions> = { ...GENERATE_CHECKS, ...CHAT_PROMPT_CHECKS };

/** A timeline of tokens, with one answer at a time; `engine.session()` makes one. */
export class Session implements AsyncDisposable {
  readonly #setup: SessionSetup;
  readonly #timeline: Timeline;

  /** Made by `engine.session()`. */
  constructor(setup: SessionSetup) {
    this.#setup = setup;
    this.#timeline = new Timeline(setup);
  }

  /**
   * Ids of this session's last call that were computed or found in the cache, oldest first. What of a prompt begins with
   * them need not be computed again, as far as the cache still has it.
   */
  get tokens(): readonly number[] {
    return this.#timeline.tokens;
  }

  /** Continues `prompt`, text or ids. A wrong argument or option throws at the call. */
  generate(prompt: string | check.TokenIds, options: GenerateOptions = {}): AsyncGenerator<Piece, void, undefined> {
    const own = this.#checked(options, GENERATE_CHECKS);
    const given = check.textOrIds(this.#setup.vocabularySize)("prompt", prompt);
    return this.#answer(() => this.#encode(given, own), own);
  }

  /**
   * Answers the last of `messages`, by the chat template of the model. A wrong argument or option throws at the call. Calls of
   * `tools` come as parts in `Piece.toolCall`; what becomes of them is the caller's business: give the next call of `chat` the
   * message with its `tool_calls`, and messages of role "tool" with the results, in OpenAI's form.
   */
  chat(messages: readonly ChatMessage[], options: SessionChatOptions = {}): AsyncGenerator<Piece, void, undefined> {
    const own = this.#checked(options, CHAT_CHECKS);
    const { encode, calls } = chatOf(this.#setup.chatTemplate, messages, own);
    return this.#answer(encode, own, calls);
  }

  /**
   * Natural-log probabilities of ids[1..] given the ids before them (teacher forcing): for perplexity and comparisons.
   */
  async score(ids: check.TokenIds, options: ScoreOptions = {}): Promise<Float64Array> {
    const { signal } = check.options(options, SCORE_CHECKS);
    const own = check.ids(this.#setup.vocabularySize)("ids", ids);
    const logprobs = new Float64Array(Math.max(0, own.length - 1));
    await lookAt(this.#timeline, own, { every: true, signal }, (index, logits) => {
      if (index < logprobs.length) logprobs[index] = logSoftmaxAt(logits, own[index + 1]);
    });
    const bad = logprobs.findIndex((logprob) => !Number.isFinite(logprob));
    if (bad >= 0) throw new NoDistribution(`ids[${bad + 1}]`, logprobs[bad]);
    return logprobs;
  }

  /**
   * Forgets all tokens, and what only this session has computed goes from the cache. An answer under way must be ended first.
   */
  reset(): void {
    this.#timeline.reset();
  }

  /** Ends the session; the cache keeps what it computed for others. An answer under way must be ended first. */
  async close(): Promise<void> {
    this.#timeline.close();
  }
  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #answer(
    encode: () => Promise<readonly number[]>,
    options: GenerateOptions,
    calls?: Calls,
  ): AsyncGenerator<Piece, void, undefined> {
    const prepare = async () => {
      const ids = await encode();
      const keepTokens = options.keepTokens ?? this.#beginning(ids);
      return { prompt: this.#fit(ids, { ...options, keepTokens }), keepTokens };
    };
    const shape = shapeOf(options);
    const { grammars } = this.#setup;
    const shaped = shape && (() => grammars.matcher(shape));
    const guide = calls === undefined ? shaped : () => calls.guide(grammars);
    return generate(this.#timeline, this.#setup.tokenizer, { ...options, prepare, calls, guide });
  }

  #checked<T extends GenerateOptions>(options: T, checks: check.OptionChecks<T>): T {
    const own = check.options(options, checks);
    const { keepTokens } = own;
    if (keepTokens !== undefined) check.integer(0, this.#mostKept)("keepTokens", keepTokens);
    shapeOf(own);
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
}
