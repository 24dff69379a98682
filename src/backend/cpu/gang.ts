/**
 * The worker threads as a gang. piscina owns the threads: it starts them, reports their errors and ends them. While there
 * is work each thread runs one long task that sleeps between ranges of commands; after IDLE_MS without work the tasks
 * return, so that an idle engine uses no processor and keeps no process alive.
 */
import { Piscina } from "piscina";
import { TernionError } from "../../errors.js";
import { packageFile } from "../../package.js";
import { CONTROL, NONE } from "./commands.js";
import type { LoadJob } from "./loader.js";
import { OpBoard } from "./op-board.js";
import type { JobResult, RunJob } from "./worker.js";

const IDLE_MS = 200;

export type GangSetup = Omit<RunJob, "kind" | "thread">;

export class Gang {
  readonly #pool: Piscina;
  readonly #worker = packageFile("dist/src/backend/cpu/worker.js").href;
  #tasks: Promise<void> | undefined;
  readonly #posted = new Set<Promise<JobResult>>();
  #board: OpBoard;
  /** number of the last range that was begun */
  #range = 0;
  #idle: NodeJS.Timeout | undefined;
  #failure: TernionError | undefined;
  readonly #failed: Promise<never>;
  #rejectFailed: (reason: TernionError) => void = () => {};
  #closing: Promise<void> | undefined;

  constructor(readonly setup: GangSetup) {
    // threads start with their first job: where one cannot start, that job is rejected, and those that did start are ended
    this.#pool = new Piscina({ minThreads: 0, maxThreads: setup.threads, idleTimeout: Number.POSITIVE_INFINITY });
    this.#pool.on("error", (error) => this.#fail(error));
    this.#failed = new Promise((_, reject) => {
      this.#rejectFailed = reject;
    });
    this.#failed.catch(() => {}); // not every failure is waited for
    this.#board = new OpBoard(setup);
  }

  get threads(): number {
    return this.setup.threads;
  }

  /** Threads that do not nap, since they found no processor for a while (see member.ts). */
  get present(): number {
    const running = this.#tasks !== undefined && this.#board.load(CONTROL.park) === 0;
    return running ? Math.max(1, this.#board.load(CONTROL.present)) : this.threads;
  }

  /** One task a thread that takes pieces until none is left; rejects with the first error. */
  async load(job: Omit<LoadJob, "staging">, staging: number, stagingBytes: number): Promise<void> {
    this.throwIfEnded();
    const jobs = Array.from({ length: this.threads }, (_, i) => ({ ...job, staging: staging + i * stagingBytes }));
    try {
      await Promise.race([Promise.all(jobs.map((each) => this.#post(each))), this.#failed]);
    } catch (error) {
      this.#fail(error);
    }
    this.throwIfEnded();
  }

  /** Runs the commands in words [begin, end) of the record; `threads` are worth waking for them. */
  async execute(begin: number, end: number, options: { threads: number; measure: boolean }): Promise<void> {
    this.throwIfEnded();
    clearTimeout(this.#idle);
    await this.#start();
    this.#range = (this.#range + 1) | 0;
    this.#board.beginRange({ begin, end, number: this.#range, ...options }, this.setup.record / 4);
    await this.#finished();
    this.throwIfEnded();
    this.#idle = setTimeout(() => this.#park(), IDLE_MS).unref();
  }

  /** Ends all threads; a running `execute` rejects with CLOSED. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    clearTimeout(this.#idle);
    this.#release();
    // a thread that is ended while it loads the worker's module aborts the process (an assertion in Node.js 20): piscina
    // gets the module with each job, not at its start, and jobs are waited for; they leave as soon as they see `failed`.
    // Jobs that still wait for a thread, since it could not start, never begin.
    while (this.#posted.size > this.#pool.queueSize) await Promise.race(this.#posted).catch(() => {});
    await this.#pool.destroy();
  }

  /** Starts the long tasks if none is running; anew where the memory has grown since, which their views do not reach. */
  async #start(): Promise<void> {
    const parked = this.#board.load(CONTROL.park) !== 0;
    if (this.#tasks !== undefined && !parked) {
      if (this.setup.memory.buffer === this.#board.words.buffer) return;
      this.#park();
    }
    await this.#tasks;
    this.throwIfEnded(); // a failure is not to be overwritten by the words below
    const { setup, threads } = this;
    this.#board = new OpBoard(setup);
    const board = this.#board;
    board.set(CONTROL.park, 0);
    board.set(CONTROL.op, NONE);
    board.set(CONTROL.present, threads);
    const jobs = Array.from({ length: threads }, (_, thread): RunJob => ({ kind: "run", ...setup, thread }));
    this.#tasks = Promise.all(jobs.map((job) => this.#post(job))).then(
      () => {},
      (error) => this.#fail(error),
    );
  }

  #park(): void {
    this.#board.set(CONTROL.park, 1);
    this.#board.wakeAll();
  }

  /** Waits until the last range is computed, or the gang has ended. */
  async #finished(): Promise<void> {
    const { words } = this.#board;
    const done = this.#board.at(CONTROL.done);
    while (this.#failure === undefined && this.#closing === undefined) {
      const seen = Atomics.load(words, done);
      if (seen === this.#range) return;
      await Atomics.waitAsync(words, done, seen).value;
    }
  }

  async #post(job: LoadJob | RunJob): Promise<void> {
    const posted: Promise<JobResult> = this.#pool.run(job, { filename: this.#worker });
    this.#posted.add(posted);
    const result = await posted.finally(() => this.#posted.delete(posted));
    if (result.error !== undefined) throw new TernionError(result.error.code, result.error.message);
  }

  /** Keeps the first failure and frees whoever waits. */
  #fail(error: unknown): void {
    this.#failure ??= error instanceof TernionError ? error : failureOf(error);
    this.#rejectFailed(this.#failure);
    this.#release();
  }

  #release(): void {
    this.#board.set(CONTROL.failed, 1);
    this.#park();
    Atomics.notify(this.#board.words, this.#board.at(CONTROL.done));
  }

  /** Throws what ended the gang: its close, or the first failure. */
  throwIfEnded(): void {
    if (this.#closing !== undefined)
      throw new TernionError("CLOSED", "The CPU backend is closed. Load the model again.");
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** Errors of the system that mean that it has no room for a thread. */
const NO_ROOM = /EMFILE|ENFILE|EAGAIN|ENOMEM|ERR_WORKER_(?:INIT_FAILED|OUT_OF_MEMORY)/;

function failureOf(cause: unknown): TernionError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const code = (cause as { code?: unknown } | undefined)?.code ?? "";
  const advice = NO_ROOM.test(`${code} ${message}`)
    ? "Use fewer threads, or raise the limit of open files (ulimit -n), of processes (ulimit -u) or of memory."
    : "Load the model again.";
  return new TernionError("BACKEND_FAILED", `A worker thread of the CPU backend failed: ${message}. ${advice}`, {
    cause,
  });
}
