/**
 * How the program ends: which error means which exit code, and the one line that is said about it.
 */
import { CommanderError } from "commander";
import { printable, TernionError } from "../errors.js";
import { withFlags } from "./flags.js";

export const EXIT = { ok: 0, failure: 1, usage: 2, interrupted: 130 } as const;

export const EXIT_CODES_HELP = "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted by Ctrl-C.";

/** of a report: a message may hold text of a server or a library */
const MOST_CHARACTERS = 2000;

/** The command line is wrong: the message names the option, what was expected, and what came. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Ctrl-C; the reason of the signals that it aborts. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  constructor() {
    super("interrupted");
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return EXIT.interrupted;
  if (isClosedPipe(error)) return EXIT.ok; // as with `| head`: the reader had enough
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  // the library's RangeErrors are about option values, and its TypeErrors where they name one
  const isShape = error instanceof TernionError && error.code === "GRAMMAR";
  const isValue =
    error instanceof RangeError || (error instanceof TypeError && messageOf(error).startsWith("--")) || isShape;
  return error instanceof UsageError || isValue ? EXIT.usage : EXIT.failure;
}

/** What to say on stderr, or "" where nothing needs saying. */
export function reportOf(error: unknown, debug: boolean): string {
  if (error instanceof Interrupted || isClosedPipe(error)) return "";
  if (error instanceof CommanderError) return commandLineReport(error);
  if (debug && error instanceof Error && error.stack !== undefined) return `ternion: ${error.stack}\n`;
  return `ternion: ${messageOf(error)}\n`;
}

/** One line, in the words of the command line. */
export function messageOf(error: unknown): string {
  const message = withFlags(error instanceof Error ? error.message : String(error));
  // of the loader of modules, which has no advice
  const advice = (error as NodeJS.ErrnoException | undefined)?.code === "EMFILE" ? ". Raise the limit: ulimit -n" : "";
  return oneLine(message + advice);
}

/** Help and version are no errors, and were printed already. */
function commandLineReport({ code, message }: CommanderError): string {
  if (code.startsWith("commander.help") || code === "commander.version") return "";
  return `ternion: ${oneLine(message.replace(/^error: |\.$/g, ""))}; see --help\n`;
}

function oneLine(message: string): string {
  return printable(message.trim().replace(/\s*\n\s*/g, " "), MOST_CHARACTERS);
}

function isClosedPipe(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === "EPIPE";
}
