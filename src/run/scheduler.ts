/**
 * Continuous batching: the rows of all requests that are ready go through the forward pass together, at most `maxRows` at
 * a time. Between two runs aborts are honoured and new requests join. Whoever waits gets on: each run serves at least the
 * one that was served longest ago.
 *
 * Up to `runsAhead` runs are under way at the same time, of requests whose ids the backend chooses without having to know
 * them. A run from which another request's next row follows is waited for first, so that the next one serves all: a mixed
 * company takes as many runs as a like one.
 */
import type { Backend, Batch, Draw } from "../backend/backend.js";
import type { TernionError } from "../errors.js";
import { forward, type Model } from "../model/forward.js";
import type { NextTurn } from "../platform/platform.js";
import { Failover, type Placed, type Recover } from "./failover.js";
import { Request, type Scores, type Work } from "./request.js";

/** Rows `first` .. `first + count` of a request, within a batch. */
interface Part {
  readonly request: Request;
  readonly first: number;
  readonly count: number;
  /** of the id after its last row, where the backend chooses it */
  readonly draw: Draw | undefined;
}

/** A run that was called. */
interface Flight {
  readonly parts: readonly Part[];
  /** rows of requests that cannot go on before it has ended are in it, or scores to be read */
  readonly awaited: boolean;
  /** resolves when it has ended, one way or the other, and its results are handed out */
  readonly landed: Promise<void>;
}

export class Scheduler {
  /** called between runs, when those that got a sample have had a turn to ask for the next */
  onTurn = () => {};
  /** the one served longest ago first */
  #requests: Request[] = [];
  /** in the order of their calls, in which they end */
  readonly #flights: Flight[] = [];
  #running: Promise<void> | undefined;
  /** ends when the backend is free for the next of `alone` */
  #turn: Promise<void> = Promise.resolve();
  readonly #failover: Failover;
  readonly #nextTurn: NextTurn;

  /** `recover`, where given, is asked once for another place when a run fails. */
  constructor(
    placed: Placed,
    readonly maxRows: number,
    nextTurn: NextTurn,
    recover?: Recover,
  ) {
    this.#failover = new Failover(placed, recover, (reason) => this.#end(reason));
    this.#nextTurn = nextTurn;
  }

  /** The present one: caches of another do not count any more. */
  get backend(): Backend {
    return this.#failover.placed.backend;
  }
  get model(): Model {
    return this.#failover.placed.model;
  }

  /** Takes a request on; its rows run once it is asked for a sample. Throws when the scheduler was stopped. */
  start(work: Work): Request {
    const { stopped } = this.#failover;
    if (stopped !== undefined) throw stopped;
    const request = this.#requestOf(work);
    this.#requests.push(request);
    return request;
  }

  /** Calls `onTurn` after a turn of the event loop, also where nothing is to be computed. */
  wake(): void {
    this.#running ??= this.#loop();
  }

  /** Runs `use` with the backend to itself: after what was asked for before, and no batch runs until it ends. */
  alone<T>(use: () => Promise<T>): Promise<T> {
    return this.#inTurn(async () => {
      await Promise.all(this.#flights.map(({ landed }) => landed));
      return use();
    });
  }

  /** Rejects whatever still waits, and all that comes later. */
  stop(reason: TernionError): void {
    this.#failover.stop(reason);
  }

  /** Stops, and when the backend has ended lets go of it and of the model's weights. */
  close(reason: TernionError): Promise<void> {
    return this.#failover.close(reason);
  }

  /**
   * The backend chooses where that lets runs be ahead, or where its scores do not do. Whole logits are not drawn from.
   */
  #requestOf(work: Work): Request {
    const { head } = this.model;
    const { runsAhead } = this.backend;
    const drawn = work.draw !== undefined && head.kind !== "full" && (runsAhead > 1 || work.stepwise === true);
    const ahead = drawn && !work.stepwise ? runsAhead : 1;
    return new Request(work, { ahead, drawn, best: head.kind === "full" ? 0 : work.best }, this.#served);
  }

  readonly #served = {
    wake: () => this.wake(),
    leave: async (request: Request) => {
      this.#requests = this.#requests.filter((each) => each !== request);
      const mine = this.#flights.filter(({ parts }) => parts.some((part) => part.request === request));
      await Promise.all(mine.map(({ landed }) => landed));
    },
  };

  #inTurn<T>(use: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(use);
    this.#turn = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  #end(reason: unknown): void {
    for (const request of this.#requests.splice(0)) request.reject(reason);
  }

  async #loop(): Promise<void> {
    for (;;) {
      while (this.#isFull) await this.#flights[0].landed;
      // one turn of the event loop: those that just got a sample ask for the next, and join the batch
      await this.#nextTurn();
      this.#dropAborted();
      this.onTurn();
      if (!this.#requests.some(({ ready }) => ready > 0)) break;
      await this.#inTurn(() => this.#launch());
    }
    this.#running = undefined;
  }

  get #isFull(): boolean {
    if (this.#failover.stopped !== undefined) return false;
    return this.#flights.length >= this.backend.runsAhead || this.#flights.some(({ awaited }) => awaited);
  }

  #dropAborted(): void {
    this.#requests = this.#requests.filter((request) => {
      const { signal } = request.work;
      if (signal?.aborted) request.reject(signal.reason);
      return !signal?.aborted;
    });
  }

  /** Calls a run, and does not wait for it. */
  async #launch(): Promise<void> {
    await this.#failover.settled();
    const { placed } = this.#failover;
    const parts = await this.#partsOn(placed);
    // all were stopped while another had the backend, or wait for the blocks of those under way
    if (parts.length === 0) return this.#flights[0]?.landed;
    const { batch, outputs } = batchOf(parts);
    const run = compute(placed, batch);
    for (const { request, count } of parts) {
      request.fed += count;
      this.#toEnd(request);
    }
    const awaited = outputs.some(({ request }) => request.ahead === 1);
    const landed = this.#land({ run, placed, batch }, { parts, outputs }, this.#flights.at(-1)?.landed);
    this.#flights.push({ parts, awaited, landed });
  }

  /** Makes places for the rows of the next run; none where the backend has ended. */
  async #partsOn({ backend }: Placed): Promise<Part[]> {
    try {
      for (const request of this.#requests) request.claim();
      return this.#parts();
    } catch (error) {
      await this.#failover.failed(error, backend);
      return [];
    }
  }

  /**
   * Single tokens first, so that a long prompt delays nobody's answer; prompts share what is left. One row is kept for
   * the one served longest ago, so that a long prompt gets on however many answers are under way.
   */
  #parts(): Part[] {
    const ready = this.#requests.filter((request) => request.ready > 0);
    const parts: Part[] = [];
    let free = this.maxRows - 1;
    for (const request of [...ready].sort((a, b) => a.ready - b.ready)) {
      const kept = request === ready[0] ? 1 : 0;
      const count = request.placed(free + kept);
      const part = count === 0 ? undefined : partOf(request, count);
      free += kept - (part?.count ?? 0);
      if (part !== undefined) parts.push(part);
    }
    return parts;
  }

  /** Hands out what a run gave, after the run before it. */
  async #land(
    { run, placed, batch }: { run: Promise<Int32Array>; placed: Placed; batch: Sorted },
    { parts, outputs }: { parts: readonly Part[]; outputs: readonly Row[] },
    before: Promise<void> | undefined,
  ): Promise<void> {
    const [result] = await Promise.allSettled([run, before]);
    try {
      if (result.status === "rejected") throw result.reason;
      for (const { request, first, count } of parts) request.ended(first + count);
      const states = await statesOf(placed, batch);
      for (const [j, { request, index }] of outputs.entries()) {
        if (request.drawn) request.chosen(result.value[j]);
        else request.score(index, states(j) ?? (await scoresOf(placed, j, batch.ranked)));
      }
    } catch (error) {
      await this.#failover.failed(error, placed.backend);
    }
    this.#flights.shift();
  }

  /** After all others, as the one served last. */
  #toEnd(request: Request): void {
    const at = this.#requests.indexOf(request);
    if (at >= 0) this.#requests.push(...this.#requests.splice(at, 1));
  }
}

/** Undefined where the draw throws, which ends the request. */
function partOf(request: Request, count: number): Part | undefined {
  const first = request.fed;
  const last = first + count - 1;
  try {
    return { request, first, count, draw: request.isOutput(last) ? request.draw(last) : undefined };
  } catch (error) {
    request.reject(error);
    return undefined;
  }
}

async function compute({ backend, model }: Placed, batch: Batch): Promise<Int32Array> {
  forward(backend, model, batch);
  return backend.run();
}

/** The hidden states of a batch, by output: read at once, since there may be one for each row. */
async function statesOf(
  { backend, model }: Placed,
  { outputs, hidden }: Sorted,
): Promise<(output: number) => Float32Array | undefined> {
  if (hidden === 0) return () => undefined;
  const { last } = model.activations;
  const first = outputs.length - hidden;
  const rows = await backend.read(last, first, hidden);
  return (j) => (j < first ? undefined : rows.subarray((j - first) * last.width, (j - first + 1) * last.width));
}

function scoresOf({ backend, model }: Placed, output: number, ranked: number): Promise<Scores> {
  if (output < ranked) return backend.readBest(model.head, output);
  return backend.read(model.activations.logits, output - ranked, 1);
}

/** One row of a batch: `index` counts from the first of the request's ids, and on into the ids that follow them. */
interface Row extends Pick<Part, "request" | "draw"> {
  readonly index: number;
}

/** A batch that says of which kinds its outputs are. */
type Sorted = Batch & Required<Pick<Batch, "ranked" | "hidden">>;

/** The batch of some parts, and the rows of its outputs in their order: those ranked, those whole, hidden states. */
function batchOf(parts: readonly Part[]): { batch: Sorted; outputs: readonly Row[] } {
  const rows = parts.flatMap(({ request, draw, first, count }) => {
    return Array.from({ length: count }, (_, i): Row => ({ request, draw, index: first + i }));
  });
  const outputs = rows.flatMap(({ request, index }, row) => (request.isOutput(index) ? [row] : []));
  const isHidden = (row: number) => rows[row].request.work.isHidden === true;
  const isRanked = (row: number) => rows[row].request.best > 0;
  const ranked = outputs.filter(isRanked);
  const hidden = outputs.filter(isHidden);
  const ordered = [...ranked, ...outputs.filter((row) => !isRanked(row) && !isHidden(row)), ...hidden];
  const draws = ranked.map((row) => rows[row].draw);
  const batch = {
    tokens: Int32Array.from(rows, ({ request, index }) => request.token(index)),
    slots: Int32Array.from(rows, ({ request }) => request.work.room.slot),
    positions: Int32Array.from(rows, ({ request, index }) => request.work.position + index),
    outputs: Int32Array.from(ordered),
    ranked: ranked.length,
    hidden: hidden.length,
    best: Math.max(0, ...ranked.map((row) => rows[row].request.best)),
    draws: draws.some((draw) => draw !== undefined) ? draws : undefined,
  };
  return { batch, outputs: ordered.map((row) => rows[row]) };
}
