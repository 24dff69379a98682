/**
 * Who computes, and who waits for that: first come, first served; but who begins with what another is computing lets it do
 * so first. Whoever computes has a place; `slots` may at the same time,
 * as far as the blocks of the cache do for what they begin with. One whose caller asks for nothing at the moment gives its
 * place up to whoever waits, and goes on when it is asked again. Where blocks run out in the middle, the one that came last
 * is interrupted, so that the one that came first always gets on: alone it has all blocks.
 */
import { TernionError } from "../errors.js";
import { type Holder, Place, type Pool, type Shared } from "./place.js";
import { type CacheCounts, PrefixCache } from "./prefix-cache.js";
import type { Scheduler } from "./scheduler.js";

/** Who asks for a place. */
export interface Asker extends Holder {
  /** has waited before, or had a place: is never refused with BUSY */
  readonly isKnown: boolean;
  /** what is to be computed */
  readonly ids: readonly number[];
  /** from an empty timeline, whatever the cache has */
  readonly anew?: boolean;
}

interface Waiter {
  readonly asker: Asker;
  give(place: Place): void;
  reject(reason: unknown): void;
}

/** What the cache is used for. Counts are since the engine was loaded. */
export interface CacheUse {
  /** positions of one block */
  readonly blockPositions: number;
  /** blocks in all */
  readonly blocks: number;
  /** blocks that answers under way have */
  readonly used: number;
  /** blocks that nobody has now, kept for later prompts until others need them */
  readonly cached: number;
  /** of `used`, those that several answers under way have */
  readonly shared: number;
  /** tokens of prompts so far */
  readonly promptTokens: number;
  /** of these found in the cache */
  readonly cachedTokens: number;
  /** cached blocks that were given up for others */
  readonly evicted: number;
  /** blocks copied where two timelines part in the middle of one */
  readonly copied: number;
  /** times that an answer gave its place up and had to wait for another */
  readonly preempted: number;
}

export class Places implements Shared {
  readonly #counts = { promptTokens: 0, cachedTokens: 0, preempted: 0 };
  /** the one that came first first */
  readonly #waiting: Waiter[] = [];
  readonly #held = new Set<Place>();
  readonly #free: number[];
  readonly #blockCounts: CacheCounts = { evicted: 0, copied: 0 };
  #pool: Pool;
  #tickets = 0;
  #closed: TernionError | undefined;

  /** At most `maxWaiting` wait. */
  constructor(
    readonly scheduler: Scheduler,
    readonly slots: number,
    readonly maxWaiting = 256,
  ) {
    this.#free = Array.from({ length: slots }, (_, i) => slots - 1 - i);
    this.#pool = this.#newPool();
    scheduler.onTurn = () => this.#relieve();
  }

  /** A prompt began, of whose tokens the cache had some. */
  count(promptTokens: number, cachedTokens: number): void {
    this.#counts.promptTokens += promptTokens;
    this.#counts.cachedTokens += cachedTokens;
  }

  /** A number for the next that comes. */
  ticket(): number {
    return this.#tickets++;
  }

  /** Of the present backend: when the model has moved, nothing is cached. */
  get pool(): Pool {
    if (this.#closed === undefined && this.#pool.cache !== this.scheduler.model.cache) this.#pool = this.#newPool();
    return this.#pool;
  }

  get activity(): { readonly running: number; readonly waiting: number } {
    return { running: this.#held.size, waiting: this.#waiting.length };
  }
  get use(): CacheUse {
    const { books } = this.pool;
    const { blocks, blockPositions, available, cached, shared } = books;
    const now = { blockPositions, blocks, used: blocks - available, cached, shared };
    return { ...now, ...this.#counts, ...this.#blockCounts };
  }

  /** A place until its `release`. Rejects with BUSY where too many wait. */
  async acquire(asker: Asker, signal?: AbortSignal): Promise<Place> {
    if (this.#closed !== undefined) throw this.#closed;
    signal?.throwIfAborted();
    const isFull = this.#waiting.length >= this.maxWaiting;
    const mayPass = this.#waiting.length === 0 && (isFull || !this.#follows(asker));
    if (mayPass && this.#fits(asker)) return this.#seat(asker);
    if (!asker.isKnown && isFull) throw busy(this.slots, this.#waiting.length);
    return this.#wait(asker, signal);
  }

  /** Forgets what only `owner` computed. */
  forget(owner: object): void {
    this.pool.books.forget(owner);
  }

  /** Rejects whoever waits, and all that come later. */
  close(reason: TernionError): void {
    this.#closed = reason;
    for (const waiter of this.#waiting.splice(0)) waiter.reject(reason);
  }

  preemptFor(place: Place): boolean {
    const later = (other: Place) => other.holder.ticket > place.holder.ticket;
    return this.#interrupt((other) => other !== place && (other.isStalled || later(other)));
  }

  publish(ids: readonly number[], salt: string | undefined): void {
    for (const place of this.#held) if (place.holder.salt === salt) place.publish(ids);
  }

  left(place: Place): void {
    this.#held.delete(place);
    this.#free.push(place.slot);
    this.#serve();
  }

  #newPool(): Pool {
    const { backend, model } = this.scheduler;
    const { cache } = model;
    return { backend, cache, books: new PrefixCache(cache.blocks, cache.blockPositions, this.#blockCounts) };
  }

  /** Whether there is a slot, and blocks for the ids and what follows them. One alone always fits. */
  #fits({ ids, salt, anew }: Asker): boolean {
    if (this.#held.size >= this.slots) return false;
    if (this.#held.size === 0) return true;
    const { books } = this.pool;
    const { path } = anew ? { path: [] } : books.find(salt, ids, ids.length - 1);
    let needed = Math.ceil((ids.length + 1) / books.blockPositions);
    for (const { users } of path) if (users > 0) needed--;
    for (const { promised } of this.#held) needed += promised;
    return needed <= books.available;
  }

  #seat(asker: Asker): Place {
    const slot = this.#free.pop() ?? 0; // fits: there is one
    const place = new Place(asker, this, slot, asker.ids);
    this.#held.add(place);
    return place;
  }

  /** Whether another computes whole blocks of the same beginning at the moment, which are found when it has. */
  #follows({ ids, salt, anew }: Asker): boolean {
    if (anew) return false;
    let promised = 0;
    for (const place of this.#held) {
      if (place.holder.salt === salt) promised = Math.max(promised, place.promisedOf(ids));
    }
    return promised > 0 && promised > this.pool.books.find(salt, ids, ids.length).length;
  }

  /** Lets those in who wait and fit, but not past one that does not fit; whether there is one. */
  #serve(): boolean {
    if (this.#closed !== undefined) return false;
    for (let i = 0; i < this.#waiting.length; ) {
      const { asker, give } = this.#waiting[i];
      if (this.#follows(asker)) i++;
      else if (!this.#fits(asker)) return true;
      else {
        this.#waiting.splice(i, 1);
        give(this.#seat(asker));
      }
    }
    return false;
  }

  /** The same, and for the first that does not fit those are interrupted whose callers ask for nothing. */
  #relieve(): void {
    while (this.#serve() && this.#interrupt(({ isStalled }) => isStalled));
  }

  /** Of the holders that `may` be interrupted one whose caller asks for nothing, or else the one that came last. */
  #interrupt(may: (place: Place) => boolean): boolean {
    const worse = (a: Place, b: Place) =>
      Number(a.isStalled) - Number(b.isStalled) || a.holder.ticket - b.holder.ticket;
    let victim: Place | undefined;
    for (const place of this.#held) {
      if (place.request !== undefined && may(place) && (victim === undefined || worse(place, victim) > 0))
        victim = place;
    }
    if (victim === undefined) return false;
    this.#counts.preempted++;
    victim.interrupt();
    return true;
  }

  async #wait(asker: Asker, signal: AbortSignal | undefined): Promise<Place> {
    let leave = () => {};
    try {
      return await new Promise<Place>((give, reject) => {
        const waiter = { asker, give, reject };
        const after = this.#waiting.findIndex((other) => other.asker.ticket > asker.ticket);
        this.#waiting.splice(after < 0 ? this.#waiting.length : after, 0, waiter);
        leave = () => {
          const at = this.#waiting.indexOf(waiter);
          if (at >= 0) this.#waiting.splice(at, 1);
          reject(signal?.reason);
          this.#serve();
        };
        signal?.addEventListener("abort", leave);
        this.scheduler.wake(); // after a turn those who have a place and ask for nothing give it up
      });
    } finally {
      signal?.removeEventListener("abort", leave);
    }
  }
}

function busy(count: number, waiting: number): TernionError {
  return new TernionError(
    "BUSY",
    `All places of this engine compute (maxSessions: ${count}), and ${waiting} calls wait for one already. ` +
      "Try again later, or load the model with a larger maxSessions or maxWaiting.",
  );
}
