/**
 * One answer that the backend goes on with by itself: its prompt is fed, then each step feeds the id that the step before
 * it chose. Ids arrive in order and wait here until they are asked for; asking is what allows more steps.
 */
import type { Draw } from "../backend/backend.js";

export interface FollowRequest {
  readonly slot: number;
  /** ids to feed, at least one, at positions `position`, `position + 1`, ... of the slot */
  readonly ids: readonly number[];
  readonly position: number;
  /** how many ids to choose at most, at least one; the slot must have room for all but the last */
  readonly count: number;
  /** how many of the best ids the draws look at */
  readonly best: number;
  /** how the id of a position of the slot is chosen */
  draw(position: number): Draw;
  /** called when a run has ended, with the number of `ids` fed so far: so much is in the cache */
  onFed(count: number): void;
  readonly signal?: AbortSignal | undefined;
}

export class Follower {
  /** rows in runs that were called: those of `ids`, then one for each id but the first */
  fed = 0;
  #asked = 0;
  readonly #ids: number[] = [];
  #waiting: { resolve(id: number): void; reject(reason: unknown): void } | undefined;
  #failure: { reason: unknown } | undefined;

  constructor(
    readonly request: FollowRequest,
    /** how many ids may be chosen before the first of them is delivered */
    readonly ahead: number,
  ) {}

  /** Rows that may go into the next run: what is left of the prompt, or one step. */
  get ready(): number {
    const { ids, count } = this.request;
    if (this.fed < ids.length) return ids.length - this.fed;
    const chosen = this.fed - ids.length + 1;
    return chosen < Math.min(count, this.#asked + this.ahead - 1) ? 1 : 0;
  }

  /** Whether row `index` chooses an id. */
  wants(index: number): boolean {
    return index >= this.request.ids.length - 1;
  }

  /** The next id. Rejects with what the answer was ended by, once all ids before that are delivered. */
  next(): Promise<number> {
    this.#asked++;
    const id = this.#ids.shift();
    if (id !== undefined) return Promise.resolve(id);
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) reject(this.#failure.reason);
      else this.#waiting = { resolve, reject };
    });
  }

  /** A run has ended, the last of those up to row `rows`. */
  ended(rows: number): void {
    const { ids, onFed } = this.request;
    if (rows <= ids.length) onFed(rows);
  }

  deliver(id: number): void {
    if (this.#waiting === undefined) this.#ids.push(id);
    else this.#waiting.resolve(id);
    this.#waiting = undefined;
  }

  reject(reason: unknown): void {
    this.#failure = { reason };
    this.#waiting?.reject(reason);
    this.#waiting = undefined;
  }
}
