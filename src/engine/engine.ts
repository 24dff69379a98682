/**
 * An Engine: a loaded model on a backend. The one place where file, model, text and backend are put together.
 */
import type { Backend, OpTime, TernaryLayout } from "../backend/backend.js";
import * as check from "../check.js";
import { isOutOfMemory, outOfMemory, TernionError } from "../errors.js";
import type { GgufValue } from "../gguf/file.js";
import { textOf } from "../gguf/metadata.js";
import { Grammars } from "../grammar/grammar.js";
import type { ModelConfig, Pooling } from "../model/config.js";
import { guessLayout, type LayoutGuess } from "../model/layout-evidence.js";
import type { OpenModel } from "../model/open.js";
import { withLayout } from "../model/weights.js";
import { collectGarbage } from "../platform/garbage.js";
import { node } from "../platform/node.js";
import { boxModel } from "../platform/package.js";
import { CHAT_PROMPT_CHECKS, type ChatPromptOptions, chatOf } from "../run/chat.js";
import type { Placed } from "../run/failover.js";
import { type CacheUse, Places } from "../run/places.js";
import { Scheduler } from "../run/scheduler.js";
import { Session } from "../run/session.js";
import { type ChatMessage, ChatTemplate } from "../text/chat.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { type Embeddings, type EmbedOptions, type EmbedParts, embed } from "./embed.js";
import type { ModelInput } from "./input.js";
import { LoadClock, type LoadReport, type ProgressEvent } from "./load-report.js";
import { type HeldModel, located, openModel } from "./open.js";
import {
  cacheLimits,
  ENGINE_CHECKS,
  type EngineOptions,
  type Limits,
  limitsOf,
  SESSION_CHECKS,
  type SessionOptions,
} from "./options.js";
import { choicesOf, createBackend, mayGoOn, type PlainBackend, placeModel } from "./placing.js";
import { SELF_CHECK_CHECKS, type SelfCheck, type SelfCheckOptions, selfCheck } from "./self-check.js";
import { createTokenizer } from "./text.js";
import { TRACE_CHECKS, type TracedTensor, type TraceOptions, traced } from "./trace.js";

/** A loaded model on a backend; `Engine.load` makes one. Close it to end its threads and give its memory back. */
export class Engine implements AsyncDisposable {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  /** positions of one session */
  readonly contextLength: number;
  /** most rows of one pass */
  readonly batchSize: number;
  readonly loadReport: LoadReport;
  readonly #scheduler: Scheduler;
  readonly #chatTemplate: ChatTemplate | undefined;
  readonly #places: Places;
  readonly #grammars: Grammars;
  readonly #mayMove: boolean;
  readonly #embedding: Pick<EmbedParts, "pooling" | "addEos">;
  #closing: Promise<void> | undefined;
  /** open as long as the model may move to another backend */
  #source: HeldModel | undefined;
  /** of a backend that has ended */
  #lastDescription: string | undefined;

  /**
   * Loads a model from a path, a file: URL, an http(s) URL (downloaded once, then kept), or from bytes: a Blob, an array, any
   * ByteSource. Without one, or with undefined, the model in the box, which is too small for real work.
   */
  static async load(model: string | URL | ModelInput = boxModel(), given: EngineOptions = {}): Promise<Engine> {
    try {
      return await Engine.#load(model, check.options(given, ENGINE_CHECKS));
    } catch (error) {
      throw isOutOfMemory(error) ? outOfMemory(error) : error;
    }
  }

  static async #load(given: string | URL | ModelInput, options: EngineOptions): Promise<Engine> {
    const guard = guarded(options);
    const { signal, onProgress } = guard;
    signal.throwIfAborted();
    const source = await located(given, {
      signal,
      onProgress: (loadedBytes, totalBytes) => onProgress({ phase: "download", loadedBytes, totalBytes }),
    });
    const clock = new LoadClock();
    const model = await openModel(source, { strict: options.strict, signal });
    try {
      const engine = await Engine.#loadOpen(model, options, { ...guard, clock });
      // what may move to another backend is read again then
      if (engine.#mayMove) engine.#source = model;
      else await model.close();
      return engine;
    } catch (error) {
      await model.close();
      throw error;
    }
  }

  static async #loadOpen(
    model: OpenModel,
    options: EngineOptions,
    { clock, signal, onProgress }: Pick<Opening, "clock" | "signal" | "onProgress">,
  ): Promise<Engine> {
    const limits = limitsOf(options, "cpu", model.config);
    clock.done("metadata", model.file.dataOffset);
    const { layouts, certain } = await layoutsToTry(limits, model);
    clock.done("layout", 0);

    const found: string[] = [];
    for (const layout of layouts) {
      const engine = await Engine.#open(layout, { ...model, options, clock, signal, onProgress });
      if (certain || limits.contextLength < FEWEST_CHECKED) return engine;
      const check = await engine.selfCheck({ signal }).catch(closing(engine));
      if (check.ok) return engine;
      await engine.close();
      found.push(`${check.perplexity.toFixed(0)} as ${layout} (expected below ${check.limit.toFixed(0)})`);
    }
    throw looksCorrupt(model.file.name, found);
  }

  /** Loads the weights, which are in `layout`, into the first backend of those allowed that can take them. */
  static async #open(layout: TernaryLayout, opening: Opening): Promise<Engine> {
    const { options, clock } = opening;
    const choices = choicesOf(options);
    for (const name of choices.slice(0, -1)) {
      try {
        return await Engine.#openOn(name, layout, opening);
      } catch (error) {
        if (!mayGoOn(error)) throw error;
        // that there is no GPU is nothing to report
        if (!(error instanceof TernionError && error.code === "BACKEND_UNAVAILABLE")) options.onFallback?.(error);
        clock.restart();
      }
    }
    return Engine.#openOn(choices[choices.length - 1], layout, opening);
  }

  static async #openOn(
    name: PlainBackend,
    layout: TernaryLayout,
    { options, config, metadata, repairs, clock, signal, onProgress, ...opening }: Opening,
  ): Promise<Engine> {
    const sources = withLayout(opening.sources, layout);
    const sizes = limitsOf(options, name, config);
    clock.mark();
    const backend = await createBackend(name, options, sizes.maxRows);
    try {
      const positionBytes = backend.positionBytes({ ...config, type: sizes.kv });
      const { blockPositions } = backend;
      const limits = { ...sizes, ...cacheLimits(options, { kind: name, positionBytes, blockPositions }, sizes) };
      clock.done("backend", 0);
      const placing = placeModel(
        backend,
        { config, sources, limits },
        {
          clock,
          signal,
          onProgress: (loadedBytes, totalBytes) => onProgress({ phase: "weights", loadedBytes, totalBytes }),
        },
      );
      // the tokenizer keeps this thread busy while the backend's threads load; a failure of either ends both
      const [{ model }, tokenizer] = await Promise.all([
        placing,
        afterTurn(() => clock.measure("tokenizer", 0, () => createTokenizer(metadata))),
      ]);
      signal.throwIfAborted();
      checkVocabulary(tokenizer, config);
      const loadReport = clock.report(repairs, layout);
      // a GPU may be lost in the middle of an answer: then the CPU goes on with it
      const recover = async (reason: unknown): Promise<Placed> => {
        options.onFallback?.(reason);
        await backend.close();
        const cpu = await createBackend("cpu", options, limits.maxRows);
        return placeModel(cpu, { config, sources, limits }, {});
      };
      const mayMove = name === "gpu" && choicesOf(options).includes("cpu");
      return new Engine({
        scheduler: new Scheduler({ backend, model }, limits.maxRows, node.nextTurn, mayMove ? recover : undefined),
        tokenizer,
        metadata,
        limits,
        maxWaiting: options.maxWaiting,
        pooling: options.pooling ?? config.pooling,
        loadReport,
        mayMove,
      });
    } catch (error) {
      await backend.close();
      throw error;
    }
  }

  private constructor(parts: {
    scheduler: Scheduler;
    tokenizer: Tokenizer;
    metadata: ReadonlyMap<string, GgufValue>;
    limits: Limits;
    maxWaiting: number | undefined;
    pooling: Pooling | undefined;
    loadReport: LoadReport;
    mayMove: boolean;
  }) {
    const { scheduler, limits } = parts;
    this.config = scheduler.model.config;
    this.tokenizer = parts.tokenizer;
    this.contextLength = limits.contextLength;
    this.batchSize = limits.maxRows;
    this.loadReport = parts.loadReport;
    this.#mayMove = parts.mayMove;
    const addEos = parts.metadata.get("tokenizer.ggml.add_eos_token") === true;
    this.#embedding = { pooling: parts.pooling, addEos };
    this.#scheduler = scheduler;
    const template = textOf(parts.metadata, "tokenizer.chat_template");
    this.#chatTemplate =
      template === undefined ? undefined : new ChatTemplate(parts.tokenizer, template, node.templateRunner());
    this.#places = new Places(scheduler, limits.maxSessions, parts.maxWaiting);
    this.#grammars = new Grammars(parts.tokenizer, node.nextTurn);
  }

  /** the present one: see option `onFallback` */
  get #backend(): Backend {
    return this.#scheduler.backend;
  }

  /** sessions that compute at the same time */
  get maxSessions(): number {
    return this.#places.slots;
  }
  /** "cpu: 2 threads, relaxed SIMD, int16 dot" */
  get description(): string {
    return this.#lastDescription ?? `${this.#backend.kind}: ${this.#backend.description}`;
  }
  /** Bytes that the backend holds; pages of a cache that were never used take none of the machine's memory. */
  get memoryBytes(): number {
    return this.#closing === undefined ? this.#backend.memoryBytes : 0;
  }

  /** How many calls compute, and how many wait for a place in the cache. */
  get activity(): { readonly running: number; readonly waiting: number } {
    return this.#places.activity;
  }
  /** What the cache is used for, and what it has saved. */
  get cacheUse(): CacheUse {
    return this.#places.use;
  }

  /**
   * A new timeline. Sessions may answer at the same time; those beyond `maxSessions` wait for a place in the cache, first
   * come, first served. An answer has its place until it ends; one whose caller takes no more of it gives the place to
   * whoever waits, and goes on later. A beginning that any session has computed is found in the cache by all.
   */
  session(options: SessionOptions = {}): Session {
    this.#throwIfClosed();
    const { cacheSalt } = check.options(options, SESSION_CHECKS);
    return new Session({
      scheduler: this.#scheduler,
      places: this.#places,
      cacheSalt,
      tokenizer: this.tokenizer,
      chatTemplate: this.#chatTemplate,
      vocabularySize: this.config.vocabularySize,
      contextLength: this.contextLength,
      grammars: this.#grammars,
    });
  }

  /** Ids of the prompt that `session.chat` feeds: to count them, or to look at their text. */
  async encodeChat(messages: readonly ChatMessage[], options: ChatPromptOptions = {}): Promise<readonly number[]> {
    this.#throwIfClosed();
    return chatOf(this.#chatTemplate, messages, check.options(options, CHAT_PROMPT_CHECKS)).encode();
  }

  /**
   * A vector for each text, or for each list of ids: the mean of the normalised hidden states, the last or the first, as the
   * model's metadata or the option `pooling` of the load says, of length 1. Texts are computed side by side. Rejects with
   * MODEL_KEY where neither says how, and with CONTEXT_OVERFLOW where a text is longer than `contextLength`.
   */
  async embed(texts: readonly (string | check.TokenIds)[], options: EmbedOptions = {}): Promise<Embeddings> {
    this.#throwIfClosed();
    const { config, tokenizer, contextLength } = this;
    const [scheduler, places] = [this.#scheduler, this.#places];
    return embed({ config, tokenizer, contextLength, scheduler, places, ...this.#embedding }, texts, options);
  }

  /**
   * Every named intermediate of the forward pass over `ids`, in the order of computation. Waits for a place in the cache as
   * sessions do, and has it until it ends; answers under way wait.
   */
  async trace(ids: check.TokenIds, options: TraceOptions = {}): Promise<Map<string, TracedTensor>> {
    const own = check.ids(this.config.vocabularySize)("ids", ids);
    const { promptLength = own.length } = check.options(options, TRACE_CHECKS);
    this.#throwIfClosed();
    if (own.length === 0 || own.length > this.contextLength) {
      throw new RangeError(`ids: expected 1 to ${this.contextLength} tokens, got ${own.length}`);
    }
    const holder = { ticket: this.#places.ticket(), owner: {}, tokens: [] };
    const place = await this.#places.acquire({ ...holder, ids: own, anew: true, isKnown: false });
    try {
      return await this.#scheduler.alone(() => {
        place.begin(own, true);
        place.claim(own.length);
        return traced(this.#scheduler, { ids: own, promptLength, slot: place.slot });
      });
    } finally {
      place.release();
    }
  }

  /**
   * Whether the model makes sense: its perplexity on a short built-in English text, against a limit that follows from the
   * size of its vocabulary. Takes a place in the cache as a session does, and about the time of a prompt of 45 tokens. A model
   * of random weights does not pass.
   */
  async selfCheck(options: SelfCheckOptions = {}): Promise<SelfCheck> {
    const { signal } = check.options(options, SELF_CHECK_CHECKS);
    return selfCheck(this, this.config.vocabularySize, signal);
  }

  /** Time by op since the last call; needs option `profile`. A GPU reports its host time in any case. */
  takeProfile(): OpTime[] {
    return this.#closing === undefined ? this.#backend.takeProfile() : [];
  }

  /** Ends answers under way (they reject with CLOSED), threads and memory; safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { kind, memoryBytes } = this.#backend;
    this.#lastDescription = this.description;
    this.#chatTemplate?.close();
    this.#places.close(closed());
    await this.#scheduler.close(closed());
    await this.#source?.close();
    if (kind !== "gpu" && memoryBytes > COLLECTED_BYTES) await collectGarbage();
  }
  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) throw closed();
  }
}

/** What all attempts to open a file share. */
interface Opening extends OpenModel, ReturnType<typeof guarded> {
  readonly options: EngineOptions;
  readonly clock: LoadClock;
}

/** From so much memory on it is worth looking for what a closed engine has left. */
const COLLECTED_BYTES = 32 << 20;

/** Positions that a text needs to tell sense from nonsense. */
const FEWEST_CHECKED = 16;

async function layoutsToTry(
  { i2sLayout }: Pick<Limits, "i2sLayout">,
  { sources, metadata, config }: OpenModel,
): Promise<LayoutGuess> {
  // what gives vectors predicts no text, by which another layout would be found
  if (i2sLayout === "auto" && config.pooling !== undefined) return { layouts: ["block128"], certain: true };
  return i2sLayout === "auto" ? guessLayout(sources, metadata) : { layouts: [i2sLayout], certain: true };
}

function closing(engine: Engine) {
  return async (error: unknown): Promise<never> => {
    await engine.close();
    throw error;
  };
}

function looksCorrupt(name: string, found: readonly string[]): TernionError {
  return new TernionError(
    "MODEL_CODES",
    `${name}: this file looks corrupt: plain English has a perplexity of ${found.join(", ")}. ` +
      "Download it again, or name its layout with i2sLayout to load it all the same.",
  );
}

const closed = () => new TernionError("CLOSED", "The engine is closed. Load the model again.");

/** Backends call `onProgress` from timers too: what it throws ends the load as an abort does, and not the process. */
function guarded({ signal, onProgress }: EngineOptions) {
  const thrown = new AbortController();
  return {
    signal: signal === undefined ? thrown.signal : AbortSignal.any([signal, thrown.signal]),
    onProgress(event: ProgressEvent): void {
      try {
        const returned: unknown = onProgress?.(event);
        if (returned instanceof Promise) returned.catch((error) => thrown.abort(error)); // an async function
      } catch (error) {
        thrown.abort(error);
      }
    },
  };
}

/** An id that text can become must have a row in the embedding, and an id that is sampled must have a text. */
function checkVocabulary({ size }: Tokenizer, { vocabularySize }: ModelConfig): void {
  if (size === vocabularySize) return;
  throw new TernionError(
    "TOKENIZER",
    `tokenizer.ggml.tokens: expected ${vocabularySize} tokens, one for each row of token_embd.weight, got ${size}. ` +
      "The file was converted wrongly.",
  );
}

/** Lets work that was just started reach its threads before `use` blocks this one. */
async function afterTurn<T>(use: () => T): Promise<T> {
  await node.nextTurn();
  return use();
}
