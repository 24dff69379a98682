/**
 * The places in the cache. Who computes holds one; who computes nothing keeps it until somebody else needs it, and then
 * the one that was used longest ago goes. Where all compute, whoever comes waits: first come, first served.
 */
import { TernionError } from "../errors.js";

/** A place, and whether the cache there still has what its holder put into it. */
export interface Place {
  readonly slot: number;
  readonly kept: boolean;
}

/** A timeline, or whatever else computes; compared by identity. */
type Holder = object;

interface Waiter {
  readonly holder: Holder;
  give(slot: number): void;
  reject(reason: unknown): void;
}

export class Slots {
  readonly #free: number[];
  readonly #busy = new Map<Holder, number>();
  /** the one used longest ago first */
  readonly #idle = new Map<Holder, number>();
  #waiting: Waiter[] = [];
  #closed: TernionError | undefined;

  /** At most `maxWaiting` wait. */
  constructor(
    readonly count: number,
    readonly maxWaiting = 256,
  ) {
    this.#free = Array.from({ length: count }, (_, slot) => slot);
  }

  /** A place until `release`: the holder's own where it still has one. Rejects with BUSY where too many wait. */
  async acquire(holder: Holder, signal?: AbortSignal): Promise<Place> {
    if (this.#closed !== undefined) throw this.#closed;
    signal?.throwIfAborted();
    const own = this.#idle.get(holder);
    const slot = own ?? this.#free.shift() ?? this.#evicted();
    if (slot === undefined) return { slot: await this.#wait(holder, signal), kept: false };
    this.#idle.delete(holder);
    this.#busy.set(holder, slot);
    return { slot, kept: own !== undefined };
  }

  /** The holder computes nothing now; it keeps its place while nobody waits. */
  release(holder: Holder): void {
    const slot = this.#busy.get(holder);
    if (slot === undefined) return;
    this.#busy.delete(holder);
    if (!this.#pass(slot)) this.#idle.set(holder, slot);
  }

  /** The holder needs no place any more. */
  drop(holder: Holder): void {
    this.release(holder);
    const slot = this.#idle.get(holder);
    if (slot === undefined) return;
    this.#idle.delete(holder);
    this.#free.unshift(slot);
  }

  /** Rejects whoever waits, and all that come later. */
  close(reason: TernionError): void {
    this.#closed = reason;
    for (const waiter of this.#waiting.splice(0)) waiter.reject(reason);
  }

  #evicted(): number | undefined {
    const [oldest] = this.#idle;
    if (oldest === undefined) return undefined;
    const [holder, slot] = oldest;
    this.#idle.delete(holder);
    return slot;
  }

  #pass(slot: number): boolean {
    const waiter = this.#waiting.shift();
    if (waiter === undefined) return false;
    this.#busy.set(waiter.holder, slot);
    waiter.give(slot);
    return true;
  }

  async #wait(holder: Holder, signal: AbortSignal | undefined): Promise<number> {
    if (this.#waiting.length >= this.maxWaiting) throw busy(this.count, this.#waiting.length);
    let leave = () => {};
    try {
      return await new Promise<number>((give, reject) => {
        const waiter = { holder, give, reject };
        this.#waiting.push(waiter);
        leave = () => {
          this.#waiting = this.#waiting.filter((each) => each !== waiter);
          reject(signal?.reason);
        };
        signal?.addEventListener("abort", leave);
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
