/**
 * One request to the scheduler, of one kind for all: its ids are fed, and then one id after the other is chosen, by the
 * backend (`draw`) or here from scores (`choose`). Samples arrive in order and are kept until they are asked for; asking
 * is what allows more steps.
 */
import { type Best, type Draw, NO_DISTRIBUTION, SAMPLED } from "../backend/backend.js";
import { badLogits } from "../sampling/draw.js";
import type { Sample } from "../sampling/sampler.js";

/** One row of logits (vocabularySize), its best ids, or where the choice says so the row itself (width). */
export type Scores = Float32Array | Best;

/** How the id of a position is chosen: the same by both ways. */
export interface Choice {
  /** how many of the best ids `choose` needs, see `Batch.best`; 0: whole logits */
  readonly best: number;
  /** no scores: `choose` receives the normalised row that would reach the head; `best` is 0 then */
  readonly isHidden?: boolean;
  /** `scores` are at least what `best` says */
  choose(scores: Scores, position: number): Sample;
  /** how the backend chooses; absent where it cannot */
  readonly draw?: ((position: number) => Draw) | undefined;
  /** `draw` depends on the ids before the position, so that these have to be known first */
  readonly stepwise?: boolean;
}

/** Where the rows of a request are stored. Called before the record of a run begins, between runs where it must be. */
export interface Room {
  /** the backend's, once a position has a place */
  readonly slot: number;
  /** Makes places for positions before `end` where that costs nobody else's; gives how many positions have one. */
  reach(end: number): number;
  /** The same at the cost of others; whether all have one. */
  claim(end: number): boolean;
}

/** Ends a request that may be started again, with the ids that it has given. */
export class Interrupted extends Error {}

export interface Work extends Choice {
  readonly room: Room;
  /** ids to feed, at least one, at positions `position`, `position + 1`, ... of the slot */
  readonly ids: readonly number[];
  readonly position: number;
  /** how many ids to choose at most, at least one; the context must have room for all but the last */
  readonly count: number;
  /** `choose` receives the scores of every row of `ids`, to look at, and not only those of the last; default false */
  readonly every?: boolean;
  /** called when a run has ended, with the number of `ids` fed so far: so much is in the cache */
  onFed(count: number): void;
  readonly signal?: AbortSignal | undefined;
}

/** What a request asks of the scheduler. */
export interface Served {
  /** there may be rows for the next run */
  wake(): void;
  /** takes no more of its rows; resolves when none is in a run */
  leave(request: Request): Promise<void>;
}

/** How a backend computes a request. */
export interface Way {
  /** how many ids may be chosen before the first of them is delivered; 1 if the backend does not choose them */
  readonly ahead: number;
  /** whether the backend chooses */
  readonly drawn: boolean;
  /** how many of the best ids of a row are needed; 0: whole logits */
  readonly best: number;
}

export class Request implements Way {
  readonly ahead: number;
  readonly drawn: boolean;
  readonly best: number;
  /** rows in runs that were called: those of `ids`, then one for each id but the first */
  fed = 0;
  #asked = 0;
  #last = SAMPLED;
  readonly #samples: Sample[] = [];
  #waiting: { resolve(sample: Sample): void; reject(reason: unknown): void } | undefined;
  #failure: { reason: unknown } | undefined;
  #isClosed = false;

  constructor(
    readonly work: Work,
    way: Way,
    readonly served: Served,
  ) {
    this.ahead = way.ahead;
    this.drawn = way.drawn;
    this.best = way.best;
  }

  /** Rows that may go into the next run: what is left of the ids, or one step. */
  get ready(): number {
    const { ids, count } = this.work;
    if (this.#failure !== undefined) return 0;
    if (this.fed < ids.length) return ids.length - this.fed;
    const chosen = this.fed - ids.length + 1;
    return chosen < Math.min(count, this.#asked + this.ahead - 1) ? 1 : 0;
  }

  /** Whether whoever asked does not ask for more at the moment. */
  get isStalled(): boolean {
    return this.#waiting === undefined && !this.#isClosed;
  }

  /** Makes a place for the next row, at the cost of others where it must be. */
  claim(): void {
    if (this.ready > 0) this.work.room.claim(this.work.position + this.fed + 1);
  }

  /** Rows, at most `most`, that are ready and have a place. */
  placed(most: number): number {
    const { position, room } = this.work;
    const next = position + this.fed;
    const wanted = Math.min(most, this.ready);
    return wanted === 0 ? 0 : Math.max(0, Math.min(wanted, room.reach(next + wanted) - next));
  }

  /** The token of row `index`: one of `ids`, or the one chosen last. */
  token(index: number): number {
    return this.work.ids[index] ?? (this.ahead > 1 ? SAMPLED : this.#last);
  }

  /** Whether row `index` is an output of its batch. */
  isOutput(index: number): boolean {
    return this.work.every === true || index >= this.work.ids.length - 1;
  }

  /** The draw of the id after row `index`. */
  draw(index: number): Draw | undefined {
    return this.drawn ? this.work.draw?.(this.work.position + index + 1) : undefined;
  }

  /** The next sample. Rejects with what the request was ended by, once all samples before that are delivered. */
  next(): Promise<Sample> {
    this.#asked++;
    this.served.wake();
    const sample = this.#samples.shift();
    if (sample !== undefined) return Promise.resolve(sample);
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) reject(this.#failure.reason);
      else this.#waiting = { resolve, reject };
    });
  }

  /** Ends the request, in the middle too; resolves when no run writes to its slot any more. */
  close(): Promise<void> {
    this.#isClosed = true;
    return this.served.leave(this);
  }

  /** A run has ended, the last of those up to row `rows`. */
  ended(rows: number): void {
    const { ids, onFed } = this.work;
    if (rows <= ids.length) onFed(rows);
  }

  /** The scores of row `index` have come. */
  score(index: number, scores: Scores): void {
    if (this.#failure !== undefined) return;
    const { work } = this;
    try {
      const sample = work.choose(scores, work.position + index + 1);
      if (index >= work.ids.length - 1) this.deliver(sample);
    } catch (error) {
      this.reject(error); // such logits end this request only
    }
  }

  /** The backend chose an id, or found that the logits are no distribution, which ends this request only. */
  chosen(id: number): void {
    if (this.#failure !== undefined) return; // of a run that was ahead
    if (id === NO_DISTRIBUTION) this.reject(badLogits("NaN or Infinity"));
    else this.deliver({ id });
  }

  deliver(sample: Sample): void {
    this.#last = sample.id;
    if (this.#waiting === undefined) this.#samples.push(sample);
    else this.#waiting.resolve(sample);
    this.#waiting = undefined;
  }

  reject(reason: unknown): void {
    this.#failure ??= { reason };
    this.#waiting?.reject(reason);
    this.#waiting = undefined;
  }
}
