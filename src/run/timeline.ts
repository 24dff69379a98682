/**
 * The ids in one place of the cache, kept true through aborts, moves and the loss of the place: what is listed is what was
 * computed, and counts only while the cache there still has it. One use at a time.
 */
import type { Backend } from "../backend/backend.js";
import { TernionError } from "../errors.js";
import type { Request, Work } from "./request.js";
import type { Scheduler } from "./scheduler.js";
import type { Slots } from "./slots.js";

export interface TimelineSetup {
  readonly scheduler: Scheduler;
  readonly slots: Slots;
  /** positions of a place */
  readonly contextLength: number;
}

export class Timeline {
  readonly #tokens: number[] = [];
  /** whose cache holds the tokens */
  #backend: Backend | undefined;
  #slot = 0;
  #busy = false;
  #closed = false;

  constructor(readonly setup: TimelineSetup) {}

  get tokens(): readonly number[] {
    return this.#tokens;
  }
  get contextLength(): number {
    return this.setup.contextLength;
  }

  /** Begins a use of the timeline. */
  enter(): void {
    if (this.#closed) throw new TernionError("CLOSED", "The session is closed. Ask the engine for a new one.");
    this.#throwIfBusy();
    this.#busy = true;
  }

  /** Waits for a place in the cache, which the timeline then has until `leave`. */
  async takePlace(signal: AbortSignal | undefined): Promise<void> {
    const { slot, kept } = await this.setup.slots.acquire(this, signal);
    this.#slot = slot;
    if (!kept) this.clear();
  }

  /** Ends the use. */
  leave(): void {
    this.setup.slots.release(this);
    this.#busy = false;
  }

  /** Asks for what follows `ids`, computing what of them the cache lacks; `cached` is what it has. */
  start(ids: readonly number[], work: Omit<Work, "slot" | "ids" | "position" | "onFed">) {
    const { scheduler } = this.setup;
    const { backend } = scheduler;
    if (this.#backend !== backend) this.clear(); // the model moved: the cache there is empty
    this.#backend = backend;
    // the last id is always fed: what follows it is asked for
    const cached = Math.min(commonPrefix(this.#tokens, ids), ids.length - 1);
    this.#tokens.length = cached;
    const rest = ids.slice(cached);
    const onFed = (count: number) => {
      for (let i = this.#tokens.length - cached; i < count; i++) this.#tokens.push(rest[i]);
    };
    const request: Request = scheduler.start({ ...work, slot: this.#slot, ids: rest, position: cached, onFed });
    return { request, cached };
  }

  /** `id` was fed after all that is listed. */
  append(id: number): void {
    this.#tokens.push(id);
  }

  /** Forgets all. */
  clear(): void {
    this.#tokens.length = 0;
  }

  /** The same from outside of a use. */
  reset(): void {
    this.#throwIfBusy();
    this.clear();
  }

  /** Gives the place up for good. */
  close(): void {
    if (this.#closed) return;
    this.#throwIfBusy();
    this.#closed = true;
    this.setup.slots.drop(this);
  }

  #throwIfBusy(): void {
    if (!this.#busy) return;
    const message = "The session is still answering. End that answer first, or use another session.";
    throw new TernionError("SESSION_BUSY", message);
  }
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return length;
}
