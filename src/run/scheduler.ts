/**
 * Continuous batching: sessions ask for tokens to be fed, and the rows of all who wait go through the forward pass
 * together, at most `maxRows` at a time. Between two runs aborts are honoured and new requests join. Whoever waits gets
 * on: each run serves at least the one that was served longest ago.
 *
 * There are two kinds of batch. One gives scores back to who feeds, and then no other run is under way. The other chooses
 * the ids on the backend and goes on with them (`follow`); of these up to `runsAhead` are under way at the same time.
 */
import { type Backend, type Batch, type Best, SAMPLED } from "../backend/backend.js";
import type { TernionError } from "../errors.js";
import { forward, type Model } from "../model/forward.js";
import type { NextTurn } from "../platform/platform.js";
import { Follower, type FollowRequest } from "./follower.js";

export type { FollowRequest } from "./follower.js";

/** One row of logits (vocabularySize), or its best ids. */
export type Scores = Float32Array | Best;

export interface FeedRequest {
  readonly slot: number;
  /** ids to feed, at least one, at positions `position`, `position + 1`, ... of the slot */
  readonly ids: readonly number[];
  readonly position: number;
  /** rows whose logits are wanted: the last one, or all */
  readonly want: "last" | "all";
  /** how many of the best ids suffice (see `Batch.best`); 0: whole logits */
  readonly best: number;
  /**
   * Receives each wanted row: index into `ids`, and a copy of the scores. They are whole logits where any request of the
   * batch wants them, and may be more of the best than asked for.
   */
  onScores(index: number, scores: Scores): void;
  /** called after each run with the number of ids fed so far: so much is in the cache */
  onFed?(count: number): void;
  readonly signal?: AbortSignal | undefined;
}

class Feeder {
  fed = 0;
  constructor(
    readonly request: FeedRequest,
    readonly resolve: () => void,
    readonly reject: (reason: unknown) => void,
  ) {}
  /** ids that may go into the next run */
  get ready(): number {
    return this.request.ids.length - this.fed;
  }
}

/** Finds another place for the model, since a run failed for `reason`. */
export type Recover = (reason: unknown) => Promise<Placed>;

/** A model on a backend, as the scheduler uses it. */
export interface Placed {
  readonly backend: Backend;
  readonly model: Model;
}

/** Rejects what was under way when the model moved to another backend: the cache is empty there, all has to be fed anew. */
export class Moved extends Error {}

/** Rows `first` .. `first + count` of a request, within a batch. */
interface Part<Pending> {
  readonly pending: Pending;
  readonly first: number;
  readonly count: number;
}

export class Scheduler {
  /** the one served longest ago first */
  #pending: (Feeder | Follower)[] = [];
  #running: Promise<void> | undefined;
  /** runs under way of `follow`, in the order of their calls; each resolves when it has ended, one way or the other */
  readonly #flights: Promise<void>[] = [];
  /** ends when the backend is free for the next of `alone` */
  #turn: Promise<void> = Promise.resolve();
  #stopped: TernionError | undefined;
  #placed: Placed | undefined;
  #recover: Recover | undefined;
  /** while the model moves to another backend */
  #moving: Promise<void> | undefined;
  readonly #nextTurn: NextTurn;

  /** `recover`, where given, is asked once for another place when a run fails. */
  constructor(
    backend: Backend,
    model: Model,
    readonly maxRows: number,
    nextTurn: NextTurn,
    recover?: Recover,
  ) {
    this.#placed = { backend, model };
    this.#nextTurn = nextTurn;
    this.#recover = recover;
  }

  /** The present one: caches of another do not count any more. */
  get backend(): Backend {
    return this.#present.backend;
  }
  get model(): Model {
    return this.#present.model;
  }
  get #present(): Placed {
    if (this.#placed === undefined) throw this.#stopped;
    return this.#placed;
  }

  /** Stops, and when the backend has ended lets go of it and of the model's weights. */
  async close(reason: TernionError): Promise<void> {
    this.stop(reason);
    await this.backend.close();
    this.#placed = undefined;
  }

  /** How many ids of an answer `follow` has under way; 1 where it gains nothing. */
  get runsAhead(): number {
    return this.model.head.kind === "full" ? 1 : this.backend.runsAhead; // whole logits are not drawn from
  }

  /** Resolves when all ids are fed; rejects with the signal's reason, or with what the backend reports. */
  feed(request: FeedRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#stopped !== undefined) return reject(this.#stopped);
      this.#pending.push(new Feeder(request, resolve, reject));
      this.#running ??= this.#loop();
    });
  }

  /**
   * Feeds `ids` and gives the ids that follow, `count` at most. Up to `runsAhead` of them are computed before they are
   * asked for. Throws the signal's reason, or what the backend reports. However it is left, it ends when no run writes to
   * the slot any more.
   */
  async *follow(request: FollowRequest): AsyncGenerator<number, void, undefined> {
    if (this.#stopped !== undefined) throw this.#stopped;
    const follower = new Follower(request, this.runsAhead);
    this.#pending.push(follower);
    try {
      for (let i = 0; i < request.count; i++) {
        request.signal?.throwIfAborted(); // nothing more is taken of what has come already
        const id = follower.next();
        this.#running ??= this.#loop();
        yield await id;
      }
    } finally {
      this.#pending = this.#pending.filter((pending) => pending !== follower);
      await this.#landed();
    }
  }

  /** Runs `use` with the backend to itself: behind what was asked for before, and no batch runs until it ends. */
  alone<T>(use: () => Promise<T>): Promise<T> {
    return this.#inTurn(async () => {
      await this.#landed();
      return use();
    });
  }

  #inTurn<T>(use: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(use);
    this.#turn = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  /** Rejects whatever still waits, and all that comes later. */
  stop(reason: TernionError): void {
    this.#stopped = reason;
    this.#fail(reason);
  }

  /** A run on `backend` failed: the model moves where it can, and else everything that waits hears of it. */
  async #failed(reason: unknown, backend: Backend): Promise<void> {
    if (this.#stopped !== undefined) return; // all that waited has been rejected
    if (backend !== this.backend) return; // moved since, and who waited knows
    this.#moving ??= this.#move(reason).finally(() => {
      this.#moving = undefined;
    });
    await this.#moving;
  }

  async #move(reason: unknown): Promise<void> {
    const recover = this.#recover;
    this.#recover = undefined;
    try {
      if (recover === undefined || this.#stopped !== undefined) throw reason;
      this.#placed = await recover(reason);
      if (this.#stopped !== undefined) await this.backend.close();
      this.#fail(new Moved());
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(reason: unknown): void {
    for (const pending of this.#pending.splice(0)) pending.reject(reason);
  }

  async #landed(): Promise<void> {
    await Promise.all(this.#flights);
  }

  async #loop(): Promise<void> {
    for (;;) {
      // one turn of the event loop: sessions that just got their logits sample, and join the next batch
      await this.#nextTurn();
      this.#dropAborted();
      if (!this.#pending.some(({ ready }) => ready > 0)) break;
      await this.#inTurn(async () => {
        await this.#moving;
        if (this.#stopped !== undefined) return;
        const { backend } = this;
        try {
          await this.#nextBatch();
        } catch (error) {
          await this.#failed(error, backend);
        }
      });
    }
    this.#running = undefined;
  }

  #dropAborted(): void {
    this.#pending = this.#pending.filter((pending) => {
      const { signal } = pending.request;
      if (signal?.aborted) pending.reject(signal.reason);
      return !signal?.aborted;
    });
  }

  async #nextBatch(): Promise<void> {
    if (this.#flights.length >= this.runsAhead) await this.#flights[0];
    const [first] = this.#pending.filter(({ ready }) => ready > 0);
    if (first === undefined) return; // all were stopped while another had the backend
    if (first instanceof Follower) return this.#launch(this.#partsOf(Follower));
    await this.#landed();
    await this.#runBatch(this.#partsOf(Feeder));
  }

  /**
   * Single tokens first, so that a long prompt delays nobody's answer; prompts share what is left. One row is kept for
   * the one served longest ago, so that a long prompt gets on however many answers are under way.
   */
  #partsOf<P extends Feeder | Follower>(kind: new (...args: never[]) => P): Part<P>[] {
    const ready = this.#pending.filter((pending): pending is P => pending instanceof kind && pending.ready > 0);
    const parts: Part<P>[] = [];
    let free = this.maxRows - 1;
    for (const pending of [...ready].sort((a, b) => a.ready - b.ready)) {
      const kept = pending === ready[0] ? 1 : 0;
      const count = Math.min(free + kept, pending.ready);
      if (count === 0) continue;
      parts.push({ pending, first: pending.fed, count });
      free += kept - count;
    }
    return parts;
  }

  async #runBatch(parts: readonly Part<Feeder>[]): Promise<void> {
    if (parts.length === 0) return; // stopped while runs ended
    const rows = rowsOf(parts);
    const wanted = rows.flatMap(({ pending: { request }, index }, row) => {
      return request.want === "all" || index === request.ids.length - 1 ? [row] : [];
    });
    // a chunk that ends no prompt wants nothing, and prevents nothing
    const bests = wanted.map((row) => rows[row].pending.request.best);
    const full = this.model.head.kind === "full" || bests.includes(0);
    const best = full ? 0 : Math.max(0, ...bests);
    forward(this.backend, this.model, batchOf(rows, wanted, best));
    await this.backend.run();
    for (const [j, row] of wanted.entries()) {
      const { head, activations } = this.model;
      const scores = best > 0 ? this.backend.readBest(head, j) : this.backend.read(activations.logits, j, 1);
      rows[row].pending.request.onScores(rows[row].index, await scores);
    }
    for (const { pending, count } of parts) this.#advance(pending, count);
  }

  #advance(pending: Feeder, count: number): void {
    pending.fed += count;
    pending.request.onFed?.(pending.fed);
    if (this.#toEnd(pending) && pending.ready === 0) {
      this.#pending.pop();
      pending.resolve();
    }
  }

  /** Calls a run that chooses ids, and does not wait for it. */
  #launch(parts: readonly Part<Follower>[]): void {
    const rows = rowsOf(parts);
    const wanted = rows.flatMap(({ pending, index }, row) => (pending.wants(index) ? [row] : []));
    const best = Math.max(0, ...wanted.map((row) => rows[row].pending.request.best));
    const draws = wanted.map((row) => {
      const { pending, index } = rows[row];
      return pending.request.draw(pending.request.position + index + 1);
    });
    forward(this.backend, this.model, { ...batchOf(rows, wanted, best), draws });
    const run = this.backend.run();
    for (const { pending, count } of parts) {
      pending.fed += count;
      this.#toEnd(pending);
    }
    const chosen = wanted.map((row) => rows[row].pending);
    this.#flights.push(this.#land({ run, backend: this.backend }, this.#flights.at(-1), { parts, chosen }));
  }

  /** Hands out what a run chose, behind the run before it. */
  async #land(
    { run, backend }: { run: Promise<Int32Array>; backend: Backend },
    before: Promise<void> | undefined,
    { parts, chosen }: { parts: readonly Part<Follower>[]; chosen: readonly Follower[] },
  ): Promise<void> {
    const [result] = await Promise.allSettled([run, before]);
    if (result.status === "rejected") {
      await this.#failed(result.reason, backend);
    } else {
      for (const { pending, first, count } of parts) pending.ended(first + count);
      for (const [j, follower] of chosen.entries()) follower.deliver(result.value[j]);
    }
    this.#flights.shift();
  }

  /** Behind all others, as the one served last; false: it was stopped meanwhile. */
  #toEnd(pending: Feeder | Follower): boolean {
    const at = this.#pending.indexOf(pending);
    if (at < 0) return false;
    this.#pending.push(...this.#pending.splice(at, 1));
    return true;
  }
}

/** One row of a batch: `index` counts from the first of the request's ids, and on into the ids that follow them. */
interface Row<Pending> {
  readonly pending: Pending;
  readonly index: number;
}

function rowsOf<Pending>(parts: readonly Part<Pending>[]): Row<Pending>[] {
  return parts.flatMap(({ pending, first, count }) => {
    return Array.from({ length: count }, (_, i) => ({ pending, index: first + i }));
  });
}

function batchOf(rows: readonly Row<Feeder | Follower>[], wanted: readonly number[], best: number): Batch {
  return {
    tokens: Int32Array.from(rows, ({ pending: { request }, index }) => request.ids[index] ?? SAMPLED),
    slots: Int32Array.from(rows, ({ pending: { request } }) => request.slot),
    positions: Int32Array.from(rows, ({ pending: { request }, index }) => request.position + index),
    outputs: Int32Array.from(wanted),
    best,
  };
}
