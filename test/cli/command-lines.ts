/**
 * Runs several command lines in this process, one after the other: a JSON array of their arguments on stdin, a JSON array of
 * what each wrote and of its exit code on stdout. To start the program for each takes longer than all that it does.
 */
import { text } from "node:stream/consumers";
import { runCommandLine } from "../../src/cli/command-line.js";
import type { Outcome } from "./program.js";

const STREAMS = ["stdout", "stderr"] as const;

async function runOne(args: readonly string[]): Promise<Outcome> {
  const written = { stdout: "", stderr: "" };
  const before = STREAMS.map((name) => process[name].write);
  for (const name of STREAMS) {
    process[name].write = (chunk: string | Uint8Array) => {
      written[name] += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString();
      return true;
    };
  }
  try {
    return { code: await runCommandLine(["node", "ternion", ...args]), ...written };
  } finally {
    for (const [i, name] of STREAMS.entries()) process[name].write = before[i];
    process.exitCode = undefined;
    process.removeAllListeners("SIGINT");
  }
}

const outcomes: Outcome[] = [];
for (const args of JSON.parse(await text(process.stdin)) as string[][]) outcomes.push(await runOne(args));
process.stdout.write(JSON.stringify(outcomes));
