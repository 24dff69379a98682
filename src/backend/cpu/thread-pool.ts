/**
 * The worker threads as one pool. piscina owns the threads: it starts them, reports their errors and ends them. Each thread has
 * a pool of its own: a pool of several starts the missing ones again from its event handlers, and where the system has no
 * room for them the exception ends the process; here it ends the load. While there is work each thread runs one long task that sleeps between ranges of commands; after IDLE_MS without work the tasks
 * return, so that an idle engine uses no processor and keeps no process alive.
 */
import { setTimeout } from "node:timers/promises";
import { Piscina } from "piscina";
import { isOutOfMemory, outOfMemory, TernionError } from "../../errors.js";
import { packageFile } from "../../platform/package.js";
import { mostProcessors } from "../../platform/processors.js";
import { CONTROL, NONE } from "./control.js";
import { LONGEST_NAP, OpBoard } from "./op-board.js";
import type { RunJob } from "./thread/context.js";
import type { LoadJob } from "./thread/load.js";
import type { JobResult } from "./thread/worker.js";

const IDLE_MS = 200;
/** How often a pool that ends looks whether threads that failed to start are gone, which nothing reports. */
const THREADS_POLL_MS = 20;

export type PoolSetup = Omit<RunJob, "kind" | "thread">;

export class ThreadPool {
  readonly #pools: readonly Piscina[];
  readonly #worker = packageFile("dist/src/backend/cpu/thread/worker.js").href;
  #tasks: Promise<void> | undefined;
  /** under way, by thread */
  readonly #jobs = new Map<number, Promise<JobResult>>();
  /** the memory that all threads share; nothing once the pool has ended */
  #setup: PoolSetup | undefined;
  #board: OpBoard | undefined;
  readonly #processors = mostProcessors();
  /** number of the last range that was begun */
  #range = 0;
  #idle: NodeJS.Timeout | undefined;
  #failure: TernionError | undefined;
  readonly #failed: Promise<never>;
  #rejectFailed: (reason: TernionError) => void = () => {};
  #closing: Promise<void> | undefined;

  readonly threads: number;

  constructor(setup: PoolSetup) {
    this.threads = setup.threads;
    this.#setup = setup;
    this.#pools = Array.from({ length: setup.threads }, () => {
      // the thread starts with its first job, and no other one if it fails
      const pool = new Piscina({ minThreads: 0, maxThreads: 1, idleTimeout: Number.POSITIVE_INFINITY });
      return pool.on("error", (error) => this.#fail(error));
    });
    this.#failed = new Promise((_, reject) => {
      this.#rejectFailed = reject;
    });
    this.#failed.catch(() => {}); // not every failure is waited for
    const board = new OpBoard(setup);
    this.#board = board;
    // threads beyond the processors begin with a nap, and see then whether they find one
    for (let thread = this.#processors; thread < this.threads; thread++) board.keepNap(thread, LONGEST_NAP);
  }

  /** Threads that can run at the same time: no more than processors, without those that nap (see member.ts). */
  get present(): number {
    const running = this.#tasks !== undefined && this.#board?.load(CONTROL.park) === 0;
    const present = running ? (this.#board?.load(CONTROL.present) ?? 1) : this.threads;
    return Math.max(1, Math.min(present, this.#processors));
  }

  /** One task a thread that takes pieces until none is left; rejects with the first error. */
  async load(job: Omit<LoadJob, "staging">, staging: number, stagingBytes: number): Promise<void> {
    this.throwIfEnded();
    const jobs = Array.from({ length: this.threads }, (_, i) => ({ ...job, staging: staging + i * stagingBytes }));
    try {
      await Promise.race([Promise.all(jobs.map((each, thread) => this.#post(thread, each))), this.#failed]);
    } catch (error) {
      this.#fail(error);
    }
    this.throwIfEnded();
  }

  /** Runs the commands in words [begin, end) of the record; `threads` are worth waking for them. */
  async execute(begin: number, end: number, options: { threads: number; measure: boolean }): Promise<void> {
    this.throwIfEnded();
    clearTimeout(this.#idle);
    const { board, setup } = await this.#start();
    this.#range = (this.#range + 1) | 0;
    board.beginRange({ begin, end, number: this.#range, ...options }, setup.record / 4);
    await this.#finished(board);
    this.throwIfEnded();
    this.#idle = globalThis.setTimeout(() => this.#park(), IDLE_MS).unref();
  }

  /** Ends all threads; a running `execute` rejects with CLOSED. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    clearTimeout(this.#idle);
    this.#release();
    await Promise.all(this.#pools.map((pool, thread) => this.#endThread(pool, thread)));
    this.#setup = this.#board = undefined;
  }

  /**
   * A thread that is ended while it loads the worker's module aborts the process (an assertion in Node.js 20): piscina gets the
   * module with each job, not at its start, and jobs are waited for; they leave as soon as they see `failed`. A job whose
   * thread could not start never ends, and a pool without a thread has nothing to end.
   */
  async #endThread(pool: Piscina, thread: number): Promise<void> {
    while (this.#jobs.has(thread) && pool.threads.length > 0) {
      // the failure is reported to whoever posted the job
      await Promise.race([this.#jobs.get(thread), setTimeout(THREADS_POLL_MS)]).catch(() => {});
    }
    if (pool.threads.length > 0) await pool.destroy();
  }

  /** Starts the long tasks if none is running; anew where the memory has grown since, which their views do not reach. */
  async #start(): Promise<{ board: OpBoard; setup: PoolSetup }> {
    const [running, setup] = [this.#board, this.#setup];
    if (running === undefined || setup === undefined) throw closed();
    if (this.#tasks !== undefined && running.load(CONTROL.park) === 0) {
      if (setup.memory.buffer === running.words.buffer) return { board: running, setup };
      this.#park();
    }
    await this.#tasks;
    this.throwIfEnded(); // a failure is not to be overwritten by the words below
    const { threads } = this;
    const board = new OpBoard(setup);
    this.#board = board;
    board.set(CONTROL.park, 0);
    board.set(CONTROL.op, NONE);
    board.set(CONTROL.present, threads);
    const jobs = Array.from({ length: threads }, (_, thread): RunJob => ({ kind: "run", ...setup, thread }));
    this.#tasks = Promise.all(jobs.map((job, thread) => this.#post(thread, job))).then(
      () => {},
      (error) => this.#fail(error),
    );
    return { board, setup };
  }

  #park(): void {
    this.#board?.set(CONTROL.park, 1);
    this.#board?.wakeAll();
  }

  /** Waits until the last range is computed, or the pool has ended. */
  async #finished(board: OpBoard): Promise<void> {
    const { words } = board;
    const done = board.at(CONTROL.done);
    while (this.#failure === undefined && this.#closing === undefined) {
      const seen = Atomics.load(words, done);
      if (seen === this.#range) return;
      await Atomics.waitAsync(words, done, seen).value;
    }
  }

  async #post(thread: number, job: LoadJob | RunJob): Promise<void> {
    const posted: Promise<JobResult> = this.#pools[thread].run(job, { filename: this.#worker });
    this.#jobs.set(thread, posted);
    const result = await posted.finally(() => this.#jobs.delete(thread));
    if (result.error !== undefined) throw new TernionError(result.error.code, result.error.message);
  }

  /** Keeps the first failure and frees whoever waits. */
  #fail(error: unknown): void {
    this.#failure ??= error instanceof TernionError ? error : failureOf(error);
    this.#rejectFailed(this.#failure);
    this.#release();
  }

  #release(): void {
    const board = this.#board;
    if (board === undefined) return;
    board.set(CONTROL.failed, 1);
    this.#park();
    Atomics.notify(board.words, board.at(CONTROL.done));
  }

  /** Throws what ended the pool: its close, or the first failure. */
  throwIfEnded(): void {
    if (this.#closing !== undefined) throw closed();
    if (this.#failure !== undefined) throw this.#failure;
  }
}

const closed = () => new TernionError("CLOSED", "The CPU backend is closed. Load the model again.");

/** Errors of the system that mean that it has no room for a thread. */
const NO_ROOM = /EMFILE|too many open files|ENFILE|EAGAIN|ENOMEM|ERR_WORKER_(?:INIT_FAILED|OUT_OF_MEMORY)/;

function failureOf(cause: unknown): TernionError {
  const message = (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, "");
  if (isOutOfMemory(cause)) return outOfMemory(cause);
  const code = (cause as { code?: unknown } | undefined)?.code ?? "";
  const advice = adviceFor(`${code} ${message}`);
  return new TernionError("BACKEND_FAILED", `A worker thread of the CPU backend failed: ${message}. ${advice}`, {
    cause,
  });
}

function adviceFor(failure: string): string {
  if (NO_ROOM.test(failure)) {
    return "Use fewer threads, or raise the limit of open files (ulimit -n), of processes (ulimit -u) or of memory.";
  }
  if (failure.includes("ERR_ACCESS_DENIED")) return "Start Node.js with --allow-worker, or use the reference backend.";
  return "Load the model again.";
}
