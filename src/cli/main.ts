#!/usr/bin/env node
/**
 * The program `ternion`: puts the commands together, and turns whatever goes wrong into one line and an exit code.
 */
import { Command } from "commander";
import { packageVersion } from "../platform/package.js";
import { registerBench } from "./bench.js";
import { registerChat } from "./chat.js";
import { registerDoctor } from "./doctor.js";
import { EXIT, EXIT_CODES_HELP, exitCodeOf, reportOf } from "./exit.js";
import { registerInspect } from "./inspect.js";
import { registerPerplexity } from "./perplexity.js";
import { registerRepair } from "./repair.js";
import { registerReport } from "./report.js";
import { registerRun } from "./run.js";
import { registerTokenize } from "./tokenize.js";
import { registerTrace } from "./trace.js";
import { registerVerify } from "./verify.js";

const COMMANDS = [
  registerRun,
  registerChat,
  registerTokenize,
  registerInspect,
  registerTrace,
  registerVerify,
  registerPerplexity,
  registerBench,
  registerDoctor,
  registerReport,
  registerRepair,
];

const EXAMPLES = `
Examples:
  ternion run "The capital of France is"
  ternion chat --model model.gguf
  ternion COMMAND --help

Text goes to stdout, everything else to stderr.
${EXIT_CODES_HELP}`;

function createProgram(): Command {
  const program = new Command("ternion")
    .description("Runs ternary language models (BitNet b1.58) on this machine.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .exitOverride()
    .configureOutput({ outputError: () => {} }) // `main` prints errors
    .addHelpText("after", EXAMPLES);
  for (const register of COMMANDS) register(program);
  for (const command of program.commands) command.addHelpText("after", `\n${EXIT_CODES_HELP}`);
  return program;
}

async function main(argv: readonly string[]): Promise<number> {
  // failed writes are reported to whoever wrote; without a listener they would end the process with a stack trace
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  try {
    await createProgram().parseAsync(argv);
    return Number(process.exitCode ?? EXIT.ok); // a command may have set one that is its verdict
  } catch (error) {
    process.stderr.write(reportOf(error, argv.includes("--debug")));
    return exitCodeOf(error);
  }
}

process.exitCode = await main(process.argv);
