/**
 * The one way from a request to an engine: it finds the model, waits for a place, opens a session for the answer alone,
 * hands its pieces on as fast as they are taken, and ends it whatever happens. What becomes of it the observers learn.
 */
import { randomUUID } from "node:crypto";
import {
  type Embeddings,
  type Engine,
  type Finish,
  type GenerateOptions,
  type Piece,
  type Session,
  type SessionChatOptions,
  TernionError,
} from "../index.js";
import type { Ask, EmbedAsk, Prompt } from "./ask.js";
import { Drain } from "./drain.js";
import { ApiError, ClientGone, hasEnded, namedInBody } from "./errors.js";
import { LoadFailed, Models, type ServedModel } from "./models.js";
import { type Asked, Observers, type Outcome, type Rejection } from "./observer.js";
import { type ServiceOptions, type Settings, settingsOf } from "./options.js";
import { QueueFull, QueueTimeout, type Turn } from "./queue.js";

/** What a request that took too long ends with. */
class TimeLimit extends ApiError {
  constructor(ms: number) {
    super(504, `The request took longer than ${ms / 1000} s.`, { code: "timeout", shouldRetry: false });
  }
}

/** A place of a model, for one use. */
interface Use {
  readonly asked: Asked;
  readonly engine: Engine;
  /** in the queue */
  readonly turn: Turn;
  /** ends with the request, or when its time is up */
  readonly signal: AbortSignal;
  /** to be called with what the use fails with, before `end` */
  failed(error: unknown): void;
  /** gives the place back */
  end(): void;
}

/** Models, their queue and those who observe it: what all protocols of a server ask. */
export class Service {
  readonly settings: Settings;
  readonly models: Models;
  readonly observers = new Observers();
  readonly drain = new Drain();

  constructor(options: ServiceOptions = {}) {
    this.settings = settingsOf(options);
    this.models = new Models(this.settings);
    for (const observer of this.settings.observers) this.observers.add(observer);
  }

  /** The pieces of an answer. Iterate it to its end, or return it: its place is taken until then. */
  async *answer(ask: Ask): AsyncGenerator<Piece, void, undefined> {
    const use = await this.#begin(ask);
    try {
      for await (const piece of this.#observed(use.asked, use.engine, { ...ask, signal: use.signal })) {
        use.turn.offered();
        yield piece;
        use.turn.taken();
      }
    } catch (error) {
      use.failed(error);
      throw namedInBody(error, ask.fields);
    } finally {
      use.end();
    }
  }

  /** The vectors of texts or lists of ids, computed in a turn as an answer is. */
  async embed({ texts, dimensions, ...ask }: EmbedAsk): Promise<Embeddings> {
    const use = await this.#begin({ ...ask, prompt: { ids: [] }, options: {} });
    const { asked, engine, signal } = use;
    let outcome: Outcome = { reason: "aborted", completionTokens: 0 };
    this.observers.started(asked);
    try {
      const embeddings = await engine.embed(texts, { dimensions, signal });
      const usage = { promptTokens: embeddings.promptTokens, cachedTokens: 0 };
      outcome = { reason: "stop", completionTokens: 0, usage };
      return embeddings;
    } catch (error) {
      outcome = { reason: reasonOf(error), completionTokens: 0, error };
      use.failed(error);
      throw error;
    } finally {
      this.observers.ended(asked, outcome);
      use.end();
    }
  }

  /** Lets `use` have the engine of a model without a place in it, for what is not computed there. */
  withEngine<T>(model: string | undefined, signal: AbortSignal, use: (engine: Engine) => Promise<T> | T): Promise<T> {
    return this.models.withEngine(this.models.find(model), signal, use);
  }

  /** Whether a request would not have to wait for a model. */
  get isReady(): boolean {
    return !this.drain.begun && this.models.all.some(({ state }) => state === "loaded");
  }

  /** Ends the answers under way and closes the models. */
  close(): Promise<void> {
    return this.models.close();
  }

  /** Waits for a place of the model that is asked for. */
  async #begin(ask: Ask): Promise<Use> {
    const model = this.models.find(ask.model);
    const asked = askedOf(ask, model.name);
    const limit = new Limit(ask.signal, this.settings.requestTimeoutMs);
    const { signal } = limit;
    this.observers.queued(asked);
    try {
      const { engine, turn } = await this.#enter(model, asked, signal);
      const failed = (error: unknown) => {
        if (hasEnded(error)) this.models.renew(model, engine);
      };
      const end = () => {
        this.models.leave(model, turn);
        limit.end();
      };
      return { asked, engine, turn, signal, failed, end };
    } catch (error) {
      limit.end();
      throw error;
    }
  }

  async #enter(model: ServedModel, asked: Asked, signal: AbortSignal) {
    try {
      return await this.models.enter(model, { ...asked, signal });
    } catch (error) {
      this.observers.rejected(asked, rejectionOf(error), error);
      throw error;
    }
  }

  async *#observed(asked: Asked, engine: Engine, ask: Ask): AsyncGenerator<Piece, void, undefined> {
    let outcome: Outcome = { reason: "aborted", completionTokens: 0 };
    this.observers.started(asked);
    try {
      for await (const piece of this.#pieces(engine, ask)) {
        const tokens = outcome.completionTokens + (piece.id === undefined ? 0 : 1);
        outcome = { ...outcome, completionTokens: tokens, ...(piece.finish && ended(piece.finish)) };
        if (piece.id !== undefined) this.#tokenCame(asked, tokens);
        yield piece;
      }
    } catch (error) {
      outcome = { ...outcome, reason: reasonOf(error), error };
      throw error;
    } finally {
      this.observers.ended(asked, outcome);
    }
  }

  #tokenCame(asked: Asked, tokens: number): void {
    if (tokens === 1) this.observers.firstToken(asked);
    this.observers.token(asked);
  }

  async *#pieces(engine: Engine, { prompt, options, signal }: Ask): AsyncGenerator<Piece, void, undefined> {
    const maxTokens = Math.min(options.maxTokens ?? Number.POSITIVE_INFINITY, this.settings.maxTokens);
    const session = engine.session();
    try {
      yield* piecesOf(session, prompt, { ...options, maxTokens, signal });
    } finally {
      await session.close();
    }
  }
}

function piecesOf(session: Session, prompt: Prompt, options: SessionChatOptions): AsyncGenerator<Piece> {
  if ("messages" in prompt) return session.chat(prompt.messages, options);
  return session.generate("text" in prompt ? prompt.text : prompt.ids, options as GenerateOptions);
}

function askedOf({ signal: _, prompt: _prompt, fields: _fields, ...ask }: Ask, model: string): Asked {
  return { ...ask, id: randomUUID(), model, queuedAt: performance.now() };
}

const ended = (finish: Finish): Pick<Outcome, "reason" | "usage" | "finish"> => {
  return { reason: finish.reason, usage: finish.usage, finish };
};

function reasonOf(error: unknown): Outcome["reason"] {
  if (error instanceof ClientGone) return "aborted";
  return error instanceof TimeLimit ? "timeout" : "error";
}

function rejectionOf(error: unknown): Rejection {
  if (error instanceof ClientGone) return "aborted";
  if (error instanceof TimeLimit) return "timeout";
  if (error instanceof TernionError) return "closed";
  const { cause } = Object(error) as Partial<Error>;
  if (cause instanceof QueueFull) return "queue_full";
  if (cause instanceof QueueTimeout) return "queue_timeout";
  return cause instanceof LoadFailed ? "load_failed" : "aborted";
}

/** Aborts with `outer`, or when time is up. */
class Limit {
  readonly #controller = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #follow = () => this.#controller.abort(this.outer.reason);

  constructor(
    readonly outer: AbortSignal,
    ms: number,
  ) {
    this.#timer = setTimeout(() => this.#controller.abort(new TimeLimit(ms)), ms);
    if (outer.aborted) this.#follow();
    outer.addEventListener("abort", this.#follow);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.outer.removeEventListener("abort", this.#follow);
  }
}
