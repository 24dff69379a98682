/**
 * Responses that can be gone on with: for an hour, the thousand used last, of at most 64 Mi characters in all. Each belongs to
 * the client that asked for it, and is not there for anybody else.
 */
import type { ChatMessage } from "../../../index.js";

export interface Stored {
  readonly client: string;
  readonly response: { readonly id: string };
  /** the whole conversation up to the end of the answer, without instructions */
  readonly messages: readonly ChatMessage[];
  /** characters of the conversation */
  readonly size: number;
}

export interface StoreLimits {
  readonly count: number;
  readonly characters: number;
  readonly lifetimeMs: number;
}

const LIMITS: StoreLimits = { count: 1000, characters: 64 << 20, lifetimeMs: 3_600_000 };

export class ResponseStore {
  /** the one used longest ago first */
  readonly #kept = new Map<string, Stored & { readonly until: number }>();
  readonly #limits: StoreLimits;
  readonly #now: () => number;
  #characters = 0;

  constructor(limits: Partial<StoreLimits> = {}, now = () => performance.now()) {
    this.#limits = { ...LIMITS, ...limits };
    this.#now = now;
  }

  get size(): number {
    return this.#kept.size;
  }

  add(stored: Stored): void {
    this.#put(stored, this.#now() + this.#limits.lifetimeMs);
    for (const [id, { until }] of this.#kept) {
      const over = this.#kept.size > this.#limits.count || this.#characters > this.#limits.characters;
      if (over || until <= this.#now()) this.#drop(id);
    }
  }

  /** A use of it. */
  get(id: string, client: string): Stored | undefined {
    const found = this.#kept.get(id);
    if (found?.client !== client) return undefined;
    this.#drop(id);
    if (found.until <= this.#now()) return undefined;
    this.#put(found, found.until);
    return found;
  }

  /** Whether it was there. */
  delete(id: string, client: string): boolean {
    const there = this.get(id, client) !== undefined;
    if (there) this.#drop(id);
    return there;
  }

  #put(stored: Stored, until: number): void {
    this.#kept.set(stored.response.id, { ...stored, until });
    this.#characters += stored.size;
  }

  #drop(id: string): void {
    this.#characters -= this.#kept.get(id)?.size ?? 0;
    this.#kept.delete(id);
  }
}
