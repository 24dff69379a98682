/**
 * The process in which chat templates of model files are compiled and rendered, so that one that never ends, or takes all
 * memory, ends nobody else. Started with the first job, kept for the next, one job at a time; a job that is too long or
 * is given up ends the process, and the jobs that wait go on in a new one. While idle it keeps no process alive.
 *
 * A thread would not do: on the way to its memory limit (`resourceLimits`) a worker thread of Node.js 20, 24 and 26 aborts
 * the whole process, for an array that grows as for one large string.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { printable, TernionError } from "../errors.js";
import { packageFile } from "./package.js";
import type { TemplateAnswer, TemplateJob, TemplateRunner } from "./platform.js";

const MEMORY_MB = 256;
const START_MS = 30_000;
/** Without a job for so long the process ends. */
const IDLE_MS = 60_000;
const ENTRY = "dist/src/platform/template-child.js";

export class TemplateProcess implements TemplateRunner {
  #child: Promise<ChildProcess> | undefined;
  /** the job before the next one */
  #last: Promise<unknown> = Promise.resolve();
  readonly #closing = new AbortController();
  #idle: NodeJS.Timeout | undefined;

  /** Rejects with CHAT_TEMPLATE where there is no answer in time, and with the reason of `signal`. */
  run(job: TemplateJob, signal?: AbortSignal): Promise<TemplateAnswer> {
    const end = AbortSignal.any([this.#closing.signal, ...(signal === undefined ? [] : [signal])]);
    const turn = this.#last.then(() => this.#answer(job, end));
    this.#last = turn.catch(() => {});
    return unlessAborted(turn, end);
  }

  /** Ends the process; jobs that wait reject with CLOSED. */
  close(): void {
    this.#closing.abort(new TernionError("CLOSED", "The engine is closed. Load the model again."));
    this.#end();
  }

  async #answer(job: TemplateJob, signal: AbortSignal): Promise<TemplateAnswer> {
    signal.throwIfAborted();
    clearTimeout(this.#idle);
    try {
      const child = await unlessAborted(this.#start(), signal);
      child.ref();
      child.channel?.ref();
      const answer = await unlessAborted(reply<TemplateAnswer>(child, job.timeoutMs, job), signal);
      child.unref();
      child.channel?.unref();
      this.#idle = setTimeout(() => this.#end(), IDLE_MS).unref();
      return answer;
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  #start(): Promise<ChildProcess> {
    if (this.#child !== undefined) return this.#child;
    const starting = startChild().then((child) => {
      child.once("exit", () => {
        if (this.#child === starting) this.#child = undefined;
      });
      return child;
    });
    this.#child = starting;
    return starting;
  }

  #end(): void {
    clearTimeout(this.#idle);
    this.#child?.then(
      (child) => child.kill("SIGKILL"),
      () => {},
    );
    this.#child = undefined;
  }
}

async function startChild(): Promise<ChildProcess> {
  const entry = fileURLToPath(packageFile(ENTRY));
  let child: ChildProcess | undefined;
  try {
    // other engines have no such flag, and a parent's own flags are not the child's business
    const execArgv = process.versions.bun || process.versions.deno ? [] : [`--max-old-space-size=${MEMORY_MB}`];
    const { NODE_OPTIONS: _, ...env } = process.env;
    child = fork(entry, { execArgv, env, stdio: ["ignore", "ignore", "ignore", "ipc"] });
    child.on("error", () => {}); // as of a kill that comes too late
    await reply(child, START_MS);
    return child;
  } catch (cause) {
    child?.kill("SIGKILL");
    const reason = printable((cause as Error).message, 200);
    const message = `chat template: the process that renders it cannot start: ${reason}. `;
    throw new TernionError("CHAT_TEMPLATE", `${message}Use generate() with a prompt of your own form.`, { cause });
  }
}

/** Sends `job`, if any, and waits for one message. */
async function reply<T>(child: ChildProcess, timeoutMs: number, job?: TemplateJob): Promise<T> {
  let settle: () => void = () => {};
  try {
    return await new Promise<T>((resolve, reject) => {
      const onExit = (code: number | null, signal: string | null) => reject(ended(signal ?? `exit code ${code}`));
      const timer = setTimeout(() => reject(tooLong(timeoutMs)), timeoutMs);
      const listeners = { message: resolve as (message: unknown) => void, error: reject, exit: onExit };
      for (const [event, listener] of Object.entries(listeners)) child.on(event, listener);
      settle = () => {
        clearTimeout(timer);
        for (const [event, listener] of Object.entries(listeners)) child.off(event, listener);
      };
      if (child.exitCode !== null || child.signalCode !== null) onExit(child.exitCode, child.signalCode);
      else if (job !== undefined) child.send(job, (error) => error && reject(error));
    });
  } finally {
    settle();
  }
}

function tooLong(timeoutMs: number): TernionError {
  const message = `chat template: expected it to end within ${timeoutMs / 1000} s, and it was ended. `;
  return new TernionError("CHAT_TEMPLATE", `${message}Give more time (templateTimeoutMs) or another template.`);
}

function ended(how: string): TernionError {
  const message = `chat template: its process ended (${how}), as it does when it needs more than ${MEMORY_MB} MB. `;
  return new TernionError("CHAT_TEMPLATE", `${message}Give shorter messages or another template.`);
}

/** `promise`, or the reason of `signal` as soon as there is one. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop: () => void = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  promise.catch(() => {}); // it may come after the abort
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
