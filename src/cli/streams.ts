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

/** All of stdin, as it is. */
export async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

/** The lines of stdin. Only "\n" ends one: node:readline would also split at U+2028, which a JSON string may contain. */
export async function* stdinLines(): AsyncGenerator<string> {
  process.stdin.setEncoding("utf8");
  let rest = "";
  for await (const chunk of process.stdin) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() as string;
    yield* lines;
  }
  if (rest !== "") yield rest;
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
