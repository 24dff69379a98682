/** Entry of a worker thread of the CPU backend: loads pieces of the file, or computes recorded ops (member.ts). */
import { TernionError } from "../../../errors.js";
import { CONTROL } from "../control.js";
import { instantiate } from "../kernels.js";
import { OpContext, type RunJob } from "./context.js";
import { type LoadJob, loadPieces } from "./load.js";
import { Member } from "./member.js";

/** What a job answers: errors travel as data, since a class does not survive the way between threads. */
export interface JobResult {
  readonly error?: { readonly code: TernionError["code"]; readonly message: string };
}

export default function work(job: LoadJob | RunJob): JobResult {
  const words = new Int32Array(job.memory.buffer);
  try {
    const kernels = instantiate(job.module, job.memory);
    if (job.kind === "load") loadPieces(job, kernels);
    else new Member(new OpContext(job, kernels)).work();
    return {};
  } catch (error) {
    Atomics.store(words, (job.control + CONTROL.failed) / 4, 1); // frees the threads that wait
    if (error instanceof TernionError) return { error: { code: error.code, message: error.message } };
    throw error;
  }
}
