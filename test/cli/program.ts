/** The program as its users run it: the built `dist/src/cli/main.js` as a child process. */
import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

// this file runs as dist/test/cli/program.js
export const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
export const repositoryFile = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

export const TINY = repositoryFile("test/golden/tiny/model.gguf");

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | null;
}

export function start(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env } });
}

/** Runs to the end with `input` on stdin. */
export function ternion(
  args: readonly string[],
  input = "",
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const child = start(args, env);
  child.stdin.on("error", () => {}); // it may end without reading
  child.stdin.end(input);
  return outcome(child);
}

/** The same for several, none of which reads stdin, in one process. */
export async function ternions(all: readonly (readonly string[])[]): Promise<Outcome[]> {
  const child = spawn(process.execPath, [fileURLToPath(new URL("command-lines.js", import.meta.url))]);
  child.stdin.end(JSON.stringify(all));
  const { stdout, stderr } = await outcome(child);
  assert.equal(stderr, "");
  return JSON.parse(stdout) as Outcome[];
}

export async function outcome(child: ChildProcessWithoutNullStreams): Promise<Outcome> {
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  return { stdout, stderr: stderr.replace(PROGRESS, ""), code };
}

/** Lines of a load that takes 5 seconds or more, as on a busy machine. */
const PROGRESS = /^(?:weights|download): [\d.]+(?: of [\d.]+)? MB\n/gm;

/** Resolves at the next output on a stream; it flows on afterwards. */
export function nextOutput(stream: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve) => stream.once("data", (data) => resolve(String(data))));
}
