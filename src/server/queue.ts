/**
 * Who waits for a place of a model. Bounded; clients have their turns one after the other, however many requests each has
 * here; whoever gives up leaves at once. An answer whose reader takes nothing of it for a while lends its place to whoever
 * waits: it goes on when it is read, whether a place is free or not, since the engine has a queue of its own.
 */
import { busy, unavailable } from "./errors.js";

export interface Entry {
  /** whose turn it takes */
  readonly client: string;
  /** Part of a request that was let in already: neither the bound nor the time limit is asked again. */
  readonly follows?: boolean | undefined;
  readonly signal: AbortSignal;
}

export interface QueueLimits {
  /** most that wait at the same time */
  readonly maxWaiting: number;
  /** most milliseconds that one waits */
  readonly timeoutMs: number;
}

/** One that was let in, until `leave`. */
export class Turn {
  /** when its last piece was offered; undefined while it computes the next */
  offeredAt: number | undefined;
  /** lends its place */
  lends = false;

  constructor(readonly queue: FairQueue) {}

  /** A piece is there, and nobody takes it yet. */
  offered(): void {
    this.offeredAt = performance.now();
  }

  /** The piece was taken. */
  taken(): void {
    this.offeredAt = undefined;
    if (this.lends) this.queue.resume(this);
  }

  leave(): void {
    this.queue.leave(this);
  }
}

/** What an entry rejects with where too many wait, or where it waited for too long. */
export class QueueFull extends Error {}
export class QueueTimeout extends Error {}

interface Waiter {
  let(turn: Turn): void;
  refuse(reason: unknown): void;
}

/** Milliseconds after which an answer that nobody takes lends its place, and between two looks for such. */
const UNREAD_MS = 500;
const LOOK_MS = 100;

export class FairQueue {
  /** those that were let in */
  readonly #turns = new Set<Turn>();
  #lent = 0;
  #looking: ReturnType<typeof setInterval> | undefined;
  /** a line for each client, the one whose turn is next first */
  readonly #lines = new Map<string, Set<Waiter>>();
  #places = 0;
  #waiting = 0;

  constructor(readonly limits: QueueLimits) {}

  /** Those that have a place. */
  get running(): number {
    return this.#turns.size - this.#lent;
  }
  /** Those that were let in and have not left. */
  get under(): number {
    return this.#turns.size;
  }
  get waiting(): number {
    return this.#waiting;
  }

  /** How many may run at the same time; 0 while the model is not there. */
  set places(count: number) {
    this.#places = count;
    this.#letIn();
  }

  /** Resolves when a place is taken, which `leave` gives back. */
  enter(entry: Entry): Promise<Turn> {
    entry.signal.throwIfAborted();
    const isFree = this.#waiting === 0 && this.running < this.#places;
    return isFree ? Promise.resolve(this.#take()) : this.#wait(entry);
  }

  leave(turn: Turn): void {
    if (turn.lends) this.#lent--;
    this.#turns.delete(turn);
    this.#letIn();
  }

  /** The place that was lent is in use again. */
  resume(turn: Turn): void {
    turn.lends = false;
    this.#lent--;
  }

  /** Sends away all that wait. */
  refuse(reason: unknown): void {
    for (const line of [...this.#lines.values()]) for (const waiter of [...line]) waiter.refuse(reason);
  }

  #take(): Turn {
    const turn = new Turn(this);
    this.#turns.add(turn);
    return turn;
  }

  async #wait({ client, follows, signal }: Entry): Promise<Turn> {
    const { maxWaiting, timeoutMs } = this.limits;
    if (!follows && this.#waiting >= maxWaiting) throw busy(new QueueFull());
    let end = () => {};
    try {
      return await new Promise<Turn>((resolve, refuse) => {
        const waiter = { let: resolve, refuse };
        const giveUp = () => refuse(signal.reason);
        const late = () => refuse(unavailable("The request waited too long for its turn.", new QueueTimeout()));
        const timer = follows ? undefined : setTimeout(late, timeoutMs);
        signal.addEventListener("abort", giveUp);
        this.#add(client, waiter);
        end = () => {
          clearTimeout(timer);
          signal.removeEventListener("abort", giveUp);
          this.#remove(client, waiter);
        };
      });
    } finally {
      end();
    }
  }

  #add(client: string, waiter: Waiter): void {
    const line = this.#lines.get(client) ?? new Set();
    this.#lines.set(client, line.add(waiter));
    this.#waiting++;
    this.#looking ??= setInterval(() => this.#lend(), LOOK_MS);
  }

  /** As many as may wait may lend their places: what each holds is bounded, and so are they. */
  #lend(): void {
    const before = performance.now() - UNREAD_MS;
    for (const turn of this.#turns) {
      if (turn.lends || (turn.offeredAt ?? before) >= before || this.#lent >= this.limits.maxWaiting) continue;
      turn.lends = true;
      this.#lent++;
    }
    this.#letIn();
  }

  #remove(client: string, waiter: Waiter): void {
    const line = this.#lines.get(client);
    if (!line?.delete(waiter)) return;
    this.#waiting--;
    if (line.size === 0) this.#lines.delete(client);
    if (this.#waiting > 0) return;
    clearInterval(this.#looking);
    this.#looking = undefined;
  }

  #letIn(): void {
    while (this.running < this.#places && this.#waiting > 0) {
      const [[client, line]] = this.#lines;
      const [waiter] = line;
      this.#remove(client, waiter);
      if (line.size > 0) {
        this.#lines.delete(client);
        this.#lines.set(client, line); // after the others
      }
      waiter.let(this.#take());
    }
  }
}
