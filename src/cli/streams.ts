/**
 * stdin, stdout, stderr and Ctrl-C. Text goes to stdout, everything else to stderr.
 */
import { EXIT, Interrupted } from "./exit.js";

/** Writes to stdout and waits until it is taken, so that a slow reader slows the writer. Rejects if nobody reads. */
export function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

/** One line for the user on stderr. */
export function note(line: string): void {
  process.stderr.write(`ternion: ${line}\n`);
}

/** A signal that the first Ctrl-C aborts, so that the command can close what it opened. The second one ends at once. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  process.once("SIGINT", () => {
    process.once("SIGINT", () => process.exit(EXIT.interrupted));
    controller.abort(new Interrupted());
  });
  return controller.signal;
}
