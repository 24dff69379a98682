/**
 * Where the model is computed, and its one move to another place when a run fails there: a GPU may be lost in the middle
 * of an answer. The cache does not move along, so requests under way end with `Moved`, and their ids are fed anew.
 */
import type { Backend } from "../backend/backend.js";
import type { TernionError } from "../errors.js";
import type { Model } from "../model/forward.js";
import { Interrupted } from "./request.js";

/** A model on a backend. */
export interface Placed {
  readonly backend: Backend;
  readonly model: Model;
}

/** Finds another place for the model, since a run failed for `reason`. */
export type Recover = (reason: unknown) => Promise<Placed>;

/** Ends requests that were under way when the model moved. */
export class Moved extends Interrupted {}

export class Failover {
  #placed: Placed | undefined;
  #recover: Recover | undefined;
  #moving: Promise<void> | undefined;
  #stopped: TernionError | undefined;

  constructor(
    placed: Placed,
    recover: Recover | undefined,
    /** called with what ends all that is under way: `Moved`, or the error */
    readonly onEnd: (reason: unknown) => void,
  ) {
    this.#placed = placed;
    this.#recover = recover;
  }

  /** The present one: caches of another do not count any more. */
  get placed(): Placed {
    if (this.#placed === undefined) throw this.#stopped;
    return this.#placed;
  }

  /** What all later requests end with, if anything. */
  get stopped(): TernionError | undefined {
    return this.#stopped;
  }

  /** Ends whatever is under way, and all that comes later. */
  stop(reason: TernionError): void {
    this.#stopped = reason;
    this.onEnd(reason);
  }

  /** Stops, and when the backend has ended lets go of it and of the model's weights. */
  async close(reason: TernionError): Promise<void> {
    this.stop(reason);
    await this.placed.backend.close();
    this.#placed = undefined;
  }

  /** Resolves when the model is not moving. */
  async settled(): Promise<void> {
    await this.#moving;
  }

  /** A run on `backend` failed: the model moves where it can, and else everything under way ends with the reason. */
  async failed(reason: unknown, backend: Backend): Promise<void> {
    if (this.#stopped !== undefined) return; // all that was under way has ended
    if (backend !== this.placed.backend) return; // moved since
    this.#moving ??= this.#move(reason).finally(() => {
      this.#moving = undefined;
    });
    await this.#moving;
  }

  async #move(reason: unknown): Promise<void> {
    const recover = this.#recover;
    this.#recover = undefined;
    try {
      if (recover === undefined) throw reason;
      this.#placed = await recover(reason);
      if (this.#stopped !== undefined) await this.#placed.backend.close();
      this.onEnd(new Moved());
    } catch (error) {
      this.onEnd(error);
    }
  }
}
