/**
 * Threads that call kernels over one memory, started and awaited by the kernels' own barrier, so that a run of two threads
 * costs what it costs in the engine. The main thread is one of them.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { instantiate } from "../../src/backend/cpu/kernels.js";

/** A kernel by its export's name, and its arguments. */
export interface Call {
  readonly kernel: string;
  readonly args: readonly number[];
}
type Exports = Readonly<Record<string, (...args: readonly number[]) => unknown>>;

export interface PoolMemory {
  readonly memory: WebAssembly.Memory;
  /** the kernels, then others; exports of all are called by name */
  readonly modules: readonly WebAssembly.Module[];
  /** byte address of CONTROL_BYTES that nothing else uses */
  readonly control: number;
}

export interface WorkerSetup extends PoolMemory {
  readonly threads: number;
}
/** What a worker is given to do until `ended` reaches `number`. */
export interface Task {
  readonly number: number;
  readonly calls: readonly Call[];
}

/** Byte addresses relative to the control area, each on a cache line of its own. */
const CONTROL = { count: 0, generation: 64, sleepers: 128, failed: 192, ended: 256 } as const;
export const CONTROL_BYTES = 320;
const SPINS = 1 << 24;

/** One thread's side: its exports and the meeting point. */
export class Member {
  readonly #exports: Exports;
  readonly #ended: number;
  readonly #words: Int32Array;
  readonly #meet: () => void;

  constructor({ memory, modules, control, threads }: WorkerSetup) {
    const [kernels, ...others] = modules.map((module) => instantiate(module, memory));
    this.#exports = Object.assign({}, kernels, ...others);
    this.#words = new Int32Array(memory.buffer);
    this.#ended = (control + CONTROL.ended) / 4;
    const at = (offset: number) => control + offset;
    const [count, generation, sleepers, failed] = [CONTROL.count, CONTROL.generation, CONTROL.sleepers, CONTROL.failed];
    this.#meet = () => void kernels.barrier(at(count), at(generation), at(sleepers), at(failed), threads, SPINS);
  }

  /** Makes what is called ready, so that a run is nothing but calls. */
  bind(calls: readonly Call[]): () => void {
    const bound = calls.map(({ kernel, args }) => [this.#exports[kernel], args] as const);
    return () => {
      for (const [kernel, args] of bound) kernel(...args);
    };
  }
  meet(): void {
    this.#meet();
  }
  end(task: number): void {
    Atomics.store(this.#words, this.#ended, task);
  }
  hasEnded(task: number): boolean {
    return Atomics.load(this.#words, this.#ended) >= task;
  }
}

export class KernelPool {
  readonly #workers: readonly Worker[];
  readonly #member: Member;
  #task = 0;
  #own: () => void = () => {};

  static async start(memory: PoolMemory, threads: number): Promise<KernelPool> {
    new Uint8Array(memory.memory.buffer, memory.control, CONTROL_BYTES).fill(0);
    const setup: WorkerSetup = { ...memory, threads };
    const workers = Array.from({ length: threads - 1 }, () => {
      return new Worker(new URL("worker.js", import.meta.url), { workerData: setup });
    });
    await Promise.all(workers.map((worker) => once(worker, "online")));
    return new KernelPool(setup, workers);
  }
  private constructor(
    readonly setup: WorkerSetup,
    workers: readonly Worker[],
  ) {
    this.#workers = workers;
    this.#member = new Member(setup);
  }

  get threads(): number {
    return this.setup.threads;
  }

  /** Hands each thread its calls; inside `use`, `run` makes all threads do them once. */
  with<T>(calls: readonly (readonly Call[])[], use: () => T): T {
    const number = ++this.#task;
    for (const [i, worker] of this.#workers.entries()) {
      worker.postMessage({ number, calls: calls[i + 1] } satisfies Task);
    }
    this.#own = this.#member.bind(calls[0]);
    try {
      return use();
    } finally {
      this.#member.end(number);
      this.#member.meet();
    }
  }

  run(): void {
    this.#member.meet();
    this.#own();
    this.#member.meet();
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
