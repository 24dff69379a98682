/**
 * The worker threads as a gang. piscina owns the threads: it starts them, reports their errors and ends them. While there
 * is work each thread runs one long task that sleeps between ranges of commands; after IDLE_MS without work the tasks
 * return, so that an idle engine uses no processor and keeps no process alive.
 */
import { Piscina } from "piscina";
import { TernionError } from "../../errors.js";
import { packageFile } from "../../package.js";
import { CONTROL } from "./commands.js";
import type { LoadJob } from "./loader.js";
import type { JobResult, RunJob } from "./worker.js";

const IDLE_MS = 200;

/** Polls of a barrier before a thread sleeps: about a millisecond. */
const SPINS = 200_000;

export type GangSetup = Omit<RunJob, "kind" | "thread" | "threads" | "spins" | "ticket">;

export class Gang {
  readonly #pool: Piscina;
  readonly #worker = packageFile("dist/src/backend/cpu/worker.js").href;
  #tasks: Promise<void> | undefined;
  readonly #posted = new Set<Promise<JobResult>>();
  /** bytes of memory that the threads' views reach */
  #reach = 0;
  #ticket = 0;
  #idle: NodeJS.Timeout | undefined;
  #failure: TernionError | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    readonly setup: GangSetup,
    readonly threads: number,
  ) {
    this.#pool = new Piscina({
      minThreads: threads,
      maxThreads: threads,
      idleTimeout: Number.POSITIVE_INFINITY,
    });
  }

  /** One task a thread that takes pieces until none is left; rejects with the first error. */
  async load(job: Omit<LoadJob, "staging">, staging: number, stagingBytes: number): Promise<void> {
    this.throwIfEnded();
    const jobs = Array.from({ length: this.threads }, (_, i) => ({ ...job, staging: staging + i * stagingBytes }));
    try {
      await Promise.all(jobs.map((each) => this.#post(each)));
    } catch (error) {
      this.#fail(error);
    }
    this.throwIfEnded();
  }

  /** Runs the commands in words [begin, end) of the record on all threads. */
  async execute(begin: number, end: number, measure: boolean): Promise<void> {
    this.throwIfEnded();
    clearTimeout(this.#idle);
    const words = this.#words;
    await this.#start();
    words.set([begin, end, measure ? 1 : 0], this.#at(CONTROL.range));
    this.#wake();
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
    await this.#tasks?.catch(() => {});
    // a thread that is ended while it loads the worker's module aborts the process (an assertion in Node.js 20): the pool is
    // told the module with each job, not at its start, and jobs are waited for; they leave as soon as they see `failed`
    await Promise.allSettled(this.#posted);
    await this.#pool.destroy();
  }

  get #words(): Int32Array {
    return new Int32Array(this.setup.memory.buffer);
  }
  #at(address: number): number {
    return (this.setup.control + address) / 4;
  }

  /** Starts the long tasks if none is running; anew where the memory has grown since, which their views do not reach. */
  async #start(): Promise<void> {
    const { byteLength } = this.setup.memory.buffer;
    const parked = Atomics.load(this.#words, this.#at(CONTROL.park)) !== 0;
    if (this.#tasks !== undefined && !parked) {
      if (byteLength === this.#reach) return;
      this.#park();
    }
    await this.#tasks;
    this.#reach = byteLength;
    Atomics.store(this.#words, this.#at(CONTROL.park), 0);
    const { setup, threads } = this;
    const jobs = Array.from({ length: threads }, (_, thread): RunJob => {
      return { kind: "run", ...setup, thread, threads, spins: SPINS, ticket: this.#ticket };
    });
    this.#tasks = Promise.all(jobs.map((job) => this.#post(job))).then(
      () => {},
      (error) => this.#fail(error),
    );
  }

  #park(): void {
    Atomics.store(this.#words, this.#at(CONTROL.park), 1);
    this.#wake();
  }

  /** A new number, and not only a notification: a thread on its way to sleep sees it too. */
  #wake(): void {
    this.#ticket = (this.#ticket + 1) | 0;
    Atomics.store(this.#words, this.#at(CONTROL.ticket), this.#ticket);
    Atomics.notify(this.#words, this.#at(CONTROL.ticket));
  }

  /** Waits until all threads have finished the last range, or the gang has ended. */
  async #finished(): Promise<void> {
    const [words, done] = [this.#words, this.#at(CONTROL.done)];
    while (this.#failure === undefined && this.#closing === undefined) {
      const seen = Atomics.load(words, done);
      if (seen === this.#ticket) return;
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
    const message = error instanceof Error ? error.message : String(error);
    this.#failure ??=
      error instanceof TernionError
        ? error
        : new TernionError(
            "BACKEND_FAILED",
            `A worker thread of the CPU backend failed: ${message}. Load the model again.`,
            {
              cause: error,
            },
          );
    this.#release();
  }

  #release(): void {
    const words = this.#words;
    Atomics.store(words, this.#at(CONTROL.failed), 1);
    this.#wake();
    for (const address of [CONTROL.done, CONTROL.generation]) Atomics.notify(words, this.#at(address));
  }

  /** Throws what ended the gang: its close, or the first failure. */
  throwIfEnded(): void {
    if (this.#closing !== undefined)
      throw new TernionError("CLOSED", "The CPU backend is closed. Load the model again.");
    if (this.#failure !== undefined) throw this.#failure;
  }
}
