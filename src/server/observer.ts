/**
 * What happens to answers, for those who count, log or trace it. Called synchronously, in this order: `queued`, then
 * `rejected` or `started`, `firstToken`, `token` for every token, `ended`. An observer that throws ends nothing.
 */
import type { Finish, FinishReason } from "../index.js";
import type { Ask } from "./ask.js";

/** One answer that was asked for; the same object in every call, fit as a key. */
export interface Asked extends Omit<Ask, "signal" | "prompt" | "fields"> {
  readonly id: string;
  /** the name of the model that is to answer */
  readonly model: string;
  /** performance.now() when it came */
  readonly queuedAt: number;
}

/** Why an answer never got a place. */
export type Rejection = "queue_full" | "queue_timeout" | "closed" | "load_failed" | "aborted" | "timeout";

/** How an answer ended. */
export interface Outcome {
  readonly reason: FinishReason | "aborted" | "timeout" | "error";
  readonly completionTokens: number;
  /** of what came to its end */
  readonly usage?: Pick<Finish["usage"], "promptTokens" | "cachedTokens"> | undefined;
  /** of an answer that did */
  readonly finish?: Finish | undefined;
  readonly error?: unknown;
}

/** Is called as answers go on; every method may be left out. */
export interface Observer {
  /** It waits for a place; in the asynchronous context of its request. */
  queued?(asked: Asked): void;
  /** It has its place, and its prompt begins. */
  started?(asked: Asked): void;
  /** The first token is there. */
  firstToken?(asked: Asked): void;
  /** A token is there, be it the first. */
  token?(asked: Asked): void;
  /** It has ended, well or not. */
  ended?(asked: Asked, outcome: Outcome): void;
  /** It never got a place. */
  rejected?(asked: Asked, reason: Rejection, error: unknown): void;
}

/** All of them as one. */
export class Observers implements Required<Observer> {
  readonly #all = new Set<Observer>();

  add(observer: Observer): void {
    this.#all.add(observer);
  }

  queued = (asked: Asked) => this.#each((observer) => observer.queued?.(asked));
  started = (asked: Asked) => this.#each((observer) => observer.started?.(asked));
  firstToken = (asked: Asked) => this.#each((observer) => observer.firstToken?.(asked));
  token = (asked: Asked) => this.#each((observer) => observer.token?.(asked));
  ended = (asked: Asked, outcome: Outcome) => this.#each((observer) => observer.ended?.(asked, outcome));
  rejected = (asked: Asked, reason: Rejection, error: unknown) =>
    this.#each((observer) => observer.rejected?.(asked, reason, error));

  #each(call: (observer: Observer) => void): void {
    for (const observer of this.#all) {
      try {
        call(observer);
      } catch {
        // what watches an answer must not end it
      }
    }
  }
}
