/**
 * Who waits for a place of a model. Bounded; clients have their turns one after the other, however many requests each has
 * here; whoever gives up leaves at once.
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

/** What an entry rejects with where too many wait, or where it waited for too long. */
export class QueueFull extends Error {}
export class QueueTimeout extends Error {}

interface Waiter {
  let(): void;
  refuse(reason: unknown): void;
}

export class FairQueue {
  /** a line for each client, the one whose turn is next first */
  readonly #lines = new Map<string, Set<Waiter>>();
  #places = 0;
  #running = 0;
  #waiting = 0;

  constructor(readonly limits: QueueLimits) {}

  get running(): number {
    return this.#running;
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
  enter(entry: Entry): Promise<void> {
    entry.signal.throwIfAborted();
    return this.#waiting === 0 && this.#running < this.#places ? this.#take() : this.#wait(entry);
  }

  leave(): void {
    this.#running--;
    this.#letIn();
  }

  /** Sends away all that wait. */
  refuse(reason: unknown): void {
    for (const line of [...this.#lines.values()]) for (const waiter of [...line]) waiter.refuse(reason);
  }

  async #take(): Promise<void> {
    this.#running++;
  }

  async #wait({ client, follows, signal }: Entry): Promise<void> {
    const { maxWaiting, timeoutMs } = this.limits;
    if (!follows && this.#waiting >= maxWaiting) throw busy(new QueueFull());
    let end = () => {};
    try {
      await new Promise<void>((resolve, refuse) => {
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
  }

  #remove(client: string, waiter: Waiter): void {
    const line = this.#lines.get(client);
    if (!line?.delete(waiter)) return;
    this.#waiting--;
    if (line.size === 0) this.#lines.delete(client);
  }

  #letIn(): void {
    while (this.#running < this.#places && this.#waiting > 0) {
      const [[client, line]] = this.#lines;
      const [waiter] = line;
      this.#remove(client, waiter);
      if (line.size > 0) {
        this.#lines.delete(client);
        this.#lines.set(client, line); // after the others
      }
      this.#running++;
      waiter.let();
    }
  }
}
