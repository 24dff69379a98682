/**
 * Continuous batching: sessions ask for tokens to be fed, and the rows of all who wait go through the forward pass
 * together, at most `maxRows` at a time. One run of the backend is under way at any moment; between two runs aborts are
 * honoured and new requests join. Whoever waits gets on: each run serves at least the one that was served longest ago.
 */
import type { Backend, Batch, Best } from "./backend/backend.js";
import type { TernionError } from "./errors.js";
import { forward, type Model } from "./model/forward.js";

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

interface Pending {
  readonly request: FeedRequest;
  fed: number;
  resolve(): void;
  reject(reason: unknown): void;
}

/** Rows `first` .. `first + count` of a request, within a batch. */
interface Part {
  readonly pending: Pending;
  readonly first: number;
  readonly count: number;
}

export class Scheduler {
  /** the one served longest ago first */
  #pending: Pending[] = [];
  #running: Promise<void> | undefined;
  /** ends when the backend is free for the next of `alone` */
  #turn: Promise<void> = Promise.resolve();
  #stopped: TernionError | undefined;

  constructor(
    readonly backend: Backend,
    readonly model: Model,
    readonly maxRows: number,
  ) {}

  /** Resolves when all ids are fed; rejects with the signal's reason, or with what the backend reports. */
  feed(request: FeedRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#stopped !== undefined) return reject(this.#stopped);
      this.#pending.push({ request, fed: 0, resolve, reject });
      this.#running ??= this.#loop();
    });
  }

  /** Runs `use` with the backend to itself: behind what was asked for before, and no batch runs until it ends. */
  alone<T>(use: () => Promise<T>): Promise<T> {
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
    for (const pending of this.#pending.splice(0)) pending.reject(reason);
  }

  async #loop(): Promise<void> {
    for (;;) {
      // one turn of the event loop: sessions that just got their logits sample, and join the next batch
      await new Promise((resolve) => setImmediate(resolve));
      this.#dropAborted();
      if (this.#pending.length === 0) break;
      try {
        await this.alone(() => this.#runBatch(this.#nextParts()));
      } catch (error) {
        for (const pending of this.#pending.splice(0)) pending.reject(error);
      }
    }
    this.#running = undefined;
  }

  #dropAborted(): void {
    this.#pending = this.#pending.filter(({ request: { signal }, reject }) => {
      if (signal?.aborted) reject(signal.reason);
      return !signal?.aborted;
    });
  }

  /**
   * Single tokens first, so that a long prompt delays nobody's answer; prompts share what is left. One row is kept for
   * the one served longest ago, so that a long prompt gets on however many answers are under way.
   */
  #nextParts(): Part[] {
    const left = (pending: Pending) => pending.request.ids.length - pending.fed;
    const parts: Part[] = [];
    let free = this.maxRows - 1;
    for (const pending of [...this.#pending].sort((a, b) => left(a) - left(b))) {
      const kept = pending === this.#pending[0] ? 1 : 0;
      const count = Math.min(free + kept, left(pending));
      if (count === 0) continue;
      parts.push({ pending, first: pending.fed, count });
      free += kept - count;
    }
    return parts;
  }

  async #runBatch(parts: readonly Part[]): Promise<void> {
    if (parts.length === 0) return; // all were stopped while another had the backend
    const rows = parts.flatMap(({ pending: { request }, first, count }) => {
      return Array.from({ length: count }, (_, i) => ({ request, index: first + i }));
    });
    const wanted = rows.flatMap(({ request, index }, row) => {
      return request.want === "all" || index === request.ids.length - 1 ? [row] : [];
    });
    // a chunk that ends no prompt wants nothing, and prevents nothing
    const bests = wanted.map((row) => rows[row].request.best);
    const full = this.model.head.kind === "full" || bests.includes(0);
    const best = full ? 0 : Math.max(0, ...bests);
    const batch: Batch = {
      tokens: Int32Array.from(rows, ({ request, index }) => request.ids[index]),
      slots: Int32Array.from(rows, ({ request }) => request.slot),
      positions: Int32Array.from(rows, ({ request, index }) => request.position + index),
      outputs: Int32Array.from(wanted),
      best,
    };
    forward(this.backend, this.model, batch);
    await this.backend.run();
    for (const [j, row] of wanted.entries()) {
      const { head, activations } = this.model;
      const scores = best > 0 ? this.backend.readBest(head, j) : this.backend.read(activations.logits, j, 1);
      rows[row].request.onScores(rows[row].index, await scores);
    }
    for (const { pending, count } of parts) this.#advance(pending, count);
  }

  #advance(pending: Pending, count: number): void {
    pending.fed += count;
    pending.request.onFed?.(pending.fed);
    const at = this.#pending.indexOf(pending);
    if (at < 0) return; // stopped during the run
    this.#pending.splice(at, 1);
    if (pending.fed < pending.request.ids.length) this.#pending.push(pending);
    else pending.resolve();
  }
}
