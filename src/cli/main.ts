#!/usr/bin/env node
/**
 * The program `ternion`: runs a command, and turns whatever goes wrong into one line and an exit code.
 */
import { EXIT, exitCodeOf, reportOf } from "./exit.js";

async function main(argv: readonly string[]): Promise<number> {
  // failed writes are reported to whoever wrote; without a listener they would end the process with a stack trace
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
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

process.exitCode = await main(process.argv);
