/**
 * The ids of one session, kept true through aborts, moves and the loss of its place: what is listed is what was computed,
 * and what of it the cache still has is found when it goes on. One use at a time.
 */
import { TernionError } from "../errors.js";
import { type Place, Preempted } from "./place.js";
import type { Places } from "./places.js";
import type { Request, Work } from "./request.js";
import type { Scheduler } from "./scheduler.js";

export interface TimelineSetup {
  readonly scheduler: Scheduler;
  readonly places: Places;
  /** most positions */
  readonly contextLength: number;
  /** beginnings are shared among sessions of the same salt; default: those without one */
  readonly cacheSalt?: string | undefined;
}

export interface Start {
  readonly ids: readonly number[];
  /** computes all of them, whatever the cache has; default false */
  readonly anew?: boolean;
}

export class Timeline {
  readonly #tokens: number[] = [];
  /** whose is what it computes */
  readonly #owner = {};
  /** of the use; the order of coming */
  #ticket: number | undefined;
  #isCounted = false;
  #place: Place | undefined;
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

  /** Waits for a place in the cache, which the timeline then has until `leave`, or until it goes to another. */
  async takePlace(start: Start, signal: AbortSignal | undefined): Promise<void> {
    if (this.#place?.isOpen) return;
    const { places, cacheSalt: salt } = this.setup;
    const isKnown = this.#ticket !== undefined;
    this.#ticket ??= places.ticket();
    const holder = { ticket: this.#ticket, owner: this.#owner, salt, tokens: this.#tokens };
    this.#place = await places.acquire({ ...holder, ...start, isKnown }, signal);
  }

  /** Gives the place up, before the end of the use. */
  leavePlace(): void {
    this.#place?.release();
    this.#place = undefined;
  }

  /** Ends the use. */
  leave(): void {
    this.leavePlace();
    this.#ticket = undefined;
    this.#isCounted = false;
    this.#busy = false;
  }

  /** Asks for what follows the ids, computing what of them the cache lacks; `cached` is what it has. */
  start({ ids, anew = false }: Start, work: Omit<Work, "room" | "ids" | "position" | "onFed">) {
    const place = this.#place;
    if (!place?.isOpen) throw new Preempted();
    const cached = place.begin(ids, anew);
    if (!anew && !this.#isCounted) this.setup.places.count(ids.length, cached);
    this.#isCounted = true;
    this.#tokens.length = 0;
    for (let i = 0; i < cached; i++) this.#tokens.push(ids[i]);
    const rest = ids.slice(cached);
    const onFed = (count: number) => {
      if (!place.isOpen) return;
      for (let i = this.#tokens.length - cached; i < count; i++) this.#tokens.push(rest[i]);
      place.fed();
    };
    const request: Request = this.setup.scheduler.start({ ...work, room: place, ids: rest, position: cached, onFed });
    place.request = request;
    return { request, cached };
  }

  /** `id` was fed after all that is listed. */
  append(id: number): void {
    this.#tokens.push(id);
    this.#place?.fed();
  }

  /** Forgets all, and frees what only this session computed. */
  reset(): void {
    this.#throwIfBusy();
    this.#tokens.length = 0;
    this.setup.places.forget(this.#owner);
  }

  /** What was computed stays in the cache. */
  close(): void {
    if (this.#closed) return;
    this.#throwIfBusy();
    this.#closed = true;
  }

  #throwIfBusy(): void {
    if (!this.#busy) return;
    const message = "The session is still answering. End that answer first, or use another session.";
    throw new TernionError("SESSION_BUSY", message);
  }
}
