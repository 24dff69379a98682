/**
 * Entry of a worker thread of the CPU backend: loads pieces of the file, or walks the recorded commands until the gang is
 * parked. A barrier ends each op; how an op is shared out among the threads (ops.ts) never changes a result.
 */
import { TernionError } from "../../errors.js";
import { CONTROL, OPS } from "./commands.js";
import type { DotForm } from "./forms.js";
import { instantiate } from "./kernels.js";
import { type LoadJob, loadPieces } from "./loader.js";
import { OpContext } from "./op-context.js";
import { EXECUTE } from "./ops.js";

export interface RunJob {
  readonly kind: "run";
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly dot: DotForm;
  readonly control: number;
  readonly record: number;
  /** addresses of the batch's arrays */
  readonly batch: { tokens: number; slots: number; positions: number; outputs: number };
  readonly thread: number;
  readonly threads: number;
  /** polls of a barrier before it sleeps */
  readonly spins: number;
  /** number of the last range of commands that was handed out before this job */
  readonly ticket: number;
}

/** What a job answers: errors travel as data, since a class does not survive the way between threads. */
export interface JobResult {
  readonly error?: { readonly code: TernionError["code"]; readonly message: string };
}

export default function work(job: LoadJob | RunJob): JobResult {
  const words = new Int32Array(job.memory.buffer);
  try {
    const kernels = instantiate(job.module, job.memory);
    if (job.kind === "load") loadPieces(job, kernels);
    else runLoop(job, new OpContext(job, kernels));
    return {};
  } catch (error) {
    Atomics.store(words, (job.control + CONTROL.failed) / 4, 1); // frees the threads that wait in a barrier
    if (error instanceof TernionError) return { error: { code: error.code, message: error.message } };
    throw error;
  }
}

/** Sleeps until commands are handed out, runs them, and so on until the gang is parked or has failed. */
function runLoop(job: RunJob, context: OpContext): void {
  const words = new Int32Array(job.memory.buffer);
  const at = (address: number) => (job.control + address) / 4;
  let done = job.ticket;
  for (;;) {
    Atomics.wait(words, at(CONTROL.ticket), done);
    if (Atomics.load(words, at(CONTROL.ticket)) === done) continue;
    if (Atomics.load(words, at(CONTROL.failed)) !== 0 || Atomics.load(words, at(CONTROL.park)) !== 0) return;
    if (!runRange(job, context, words)) return;
    done = (done + 1) | 0;
    if (job.thread === 0) {
      Atomics.store(words, at(CONTROL.done), done);
      Atomics.notify(words, at(CONTROL.done));
    }
  }
}

/** Runs the commands that were handed out; false if the gang failed on the way. */
function runRange(job: RunJob, context: OpContext, words: Int32Array): boolean {
  const { control, thread, threads, spins } = job;
  const { barrier } = context.kernels;
  const base = job.record / 4;
  const range = (control + CONTROL.range) / 4;
  const measure = words[range + 2] !== 0 && thread === 0;
  const end = base + words[range + 1];
  context.begin();
  for (let at = base + words[range]; at < end; ) {
    // all is read before the barrier: behind the last one the main thread may write the next commands
    const [op, length] = [words[at], words[at + 1]];
    const start = measure ? performance.now() : 0;
    EXECUTE[OPS[op]](context, at + 2);
    const failed = barrier(
      control + CONTROL.count,
      control + CONTROL.generation,
      control + CONTROL.sleepers,
      control + CONTROL.failed,
      threads,
      spins,
    );
    if (failed !== 0) return false;
    if (measure) context.addTime(op, performance.now() - start);
    at += length;
  }
  return true;
}
