/** The program at a pseudo terminal, by `script` of util-linux, which every Debian has. */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process";
import { MAIN } from "./program.js";

/** Why there is no pseudo terminal here, or false. */
export const NO_TERMINAL: string | false = (() => {
  try {
    return execFileSync("script", ["--version"], { encoding: "utf8" }).includes("util-linux")
      ? false
      : "script is not that of util-linux";
  } catch {
    return "there is no script (util-linux) to make a pseudo terminal with";
  }
})();

const PATIENCE = 60_000; // milliseconds

export class Terminal {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #code: Promise<number | null>;
  #changed: (() => void) | undefined;
  /** all that came so far */
  output = "";
  /** where in it `until` goes on */
  #at = 0;

  constructor(args: readonly string[], { columns = 80 }: { readonly columns?: number } = {}) {
    const command = [process.execPath, MAIN, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const line = `stty cols ${columns} rows 24; exec ${command}`;
    const env = { ...process.env, TERM: "xterm", SHELL: "/bin/sh" };
    this.#child = spawn("script", ["-qefc", line, "/dev/null"], { env });
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.output += text;
      this.#changed?.();
    });
    this.#code = new Promise((resolve) => this.#child.on("close", resolve));
    this.#code.then(() => this.#changed?.());
    // a test that waits for what never comes ends with what came instead
    setTimeout(() => this.#child.kill(), PATIENCE).unref();
  }

  type(keys: string): void {
    this.#child.stdin.write(keys);
  }

  /** Waits for what follows the last thing that was waited for; gives what came up to its end. */
  async until(pattern: RegExp): Promise<string> {
    let ended = false;
    this.#code.then(() => {
      ended = true;
    });
    for (;;) {
      const rest = this.output.slice(this.#at);
      const found = pattern.exec(rest);
      if (found !== null) {
        const end = found.index + found[0].length;
        this.#at += end;
        return rest.slice(0, end);
      }
      if (ended) throw new Error(`expected ${pattern}, got the end of the program after ${JSON.stringify(rest)}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** The exit code. */
  ended(): Promise<number | null> {
    return this.#code;
  }
}
