/** One command line from beginning to end: whatever goes wrong is one line on stderr and an exit code. */
import { EXIT, exitCodeOf, reportOf } from "./exit.js";

/** `argv` is that of a process, program and script first. Resolves with the exit code; a listener of Ctrl-C may be left. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  try {
    // not above: a process that may open few files fails while it loads the commands, and says so in a line
    const { createProgram } = await import("./program.js");
    await createProgram().parseAsync(argv);
    return Number(process.exitCode ?? EXIT.ok); // a command may have set one that is its verdict
  } catch (error) {
    process.stderr.write(reportOf(error, argv.includes("--debug")));
    return exitCodeOf(error);
  }
}
