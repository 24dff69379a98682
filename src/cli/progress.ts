/**
 * What a long command is doing, on stderr: on a terminal a bar or a line that is written over, elsewhere a plain line every
 * few seconds, so that a log shows that it goes on.
 */
import cliProgress from "cli-progress";
import { note } from "./streams.js";

/** milliseconds */
const EVERY = { terminal: 500, log: 5000 } as const;

export type ShowBytes = (phase: string, done: number, total: number) => void;

/** Shows how many bytes of all `use` has come through, until it ends. */
export async function withBar<T>(use: (show: ShowBytes) => Promise<T>): Promise<T> {
  const bar = new LoadingBar();
  try {
    return await use((phase, done, total) => bar.show(phase, done, total));
  } finally {
    bar.stop();
  }
}

/** Bytes of all bytes. */
class LoadingBar {
  #bar: cliProgress.SingleBar | undefined;
  #noted = performance.now();

  show(phase: string, loaded: number, total: number): void {
    if (!process.stderr.isTTY) this.#note(phase, loaded, total);
    else if (total > 0) this.#draw(phase, loaded, total);
  }

  #draw(phase: string, loaded: number, total: number): void {
    if (this.#bar === undefined) {
      this.#bar = new cliProgress.SingleBar({
        format: "{phase} [{bar}] {percentage} %  {value} of {total} MB",
        formatValue: (value, _, type) => (type === "percentage" ? String(value) : megabytes(value)),
        stream: process.stderr,
        clearOnComplete: true,
        hideCursor: true,
        gracefulExit: false, // Ctrl-C is handled by the commands, which stop the bar
      });
      this.#bar.start(total, loaded, { phase });
    }
    this.#bar.update(loaded, { phase });
  }

  stop(): void {
    this.#bar?.stop();
  }

  #note(phase: string, loaded: number, total: number): void {
    if (performance.now() - this.#noted < EVERY.log) return;
    this.#noted = performance.now();
    note(`${phase}: ${megabytes(loaded)}${total > 0 ? ` of ${megabytes(total)}` : ""} MB`);
  }
}

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);

/** Shows what `use` is doing, first `stage`, until it ends. */
export async function withStatus<T>(stage: string, use: (show: (stage: string) => void) => Promise<T>): Promise<T> {
  const status = new StatusLine(stage);
  try {
    return await use((next) => status.show(next));
  } finally {
    status.stop();
  }
}

/** A stage by its name and the time since the beginning. It is written on by itself where this thread is free. */
class StatusLine {
  readonly #start = performance.now();
  readonly #every = process.stderr.isTTY ? EVERY.terminal : EVERY.log;
  readonly #timer = setInterval(() => this.#write(), this.#every).unref();
  #stage: string;
  #last = this.#start;

  constructor(stage: string) {
    this.#stage = stage;
    if (process.stderr.isTTY) this.#write();
  }

  show(stage: string): void {
    this.#stage = stage;
    if (process.stderr.isTTY || performance.now() - this.#last >= this.#every) this.#write();
  }

  stop(): void {
    clearInterval(this.#timer);
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  }

  #write(): void {
    this.#last = performance.now();
    const line = `${this.#stage}, ${((this.#last - this.#start) / 1000).toFixed(0)} s`;
    // a line that wraps could not be written over
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`);
    else note(line);
  }
}
