/** Command-line options that the benchmarks share. */
import { availableProcessors } from "../src/platform/processors.js";
import { machineName, ROOT } from "./results.js";

export const COMMON = {
  machine: { type: "string", default: machineName() },
  model: { type: "string" },
  threads: { type: "string", default: [...new Set([1, availableProcessors()])].join() },
  repetitions: { type: "string", default: "5" },
  quick: { type: "boolean", default: false },
} as const;

/** What the caller of a benchmark got wrong. */
class UsageError extends Error {}

/** "1,2" as [1, 2]. */
export function integers(name: string, text: string): number[] {
  const values = text.split(",").map(Number);
  if (values.every((value) => Number.isInteger(value) && value >= 1)) return values;
  throw new UsageError(`--${name}: expected integers from 1 on, separated by commas, got "${text}"`);
}

export function integer(name: string, text: string, least = 1): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  throw new UsageError(`--${name}: expected an integer from ${least} on, got "${text}"`);
}

/** One of `choices`, or undefined where the option was not given. */
export function choice<T extends string>(name: string, text: string | undefined, choices: readonly T[]): T | undefined {
  if (text === undefined) return undefined;
  const found = choices.find((value) => value === text);
  if (found !== undefined) return found;
  throw new UsageError(`--${name}: expected ${choices.join(" or ")}, got "${text}"`);
}

/** Runs a benchmark: what the caller got wrong ends it with one line. */
export async function main(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof UsageError) && !isArgumentError(error)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  }
}

const isArgumentError = (error: unknown): error is Error =>
  error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");

export const CACHE = `${ROOT}models/cache/`;
