/** The commands of the program `ternion`, put together. */
import { Command } from "commander";
import { packageVersion } from "../platform/package.js";
import { registerBench } from "./bench.js";
import { registerChat } from "./chat.js";
import { registerConvert } from "./convert.js";
import { registerDoctor } from "./doctor.js";
import { EXIT_CODES_HELP } from "./exit.js";
import { registerInspect } from "./inspect.js";
import { registerList } from "./list.js";
import { registerPerplexity } from "./perplexity.js";
import { registerPull } from "./pull.js";
import { registerQuantize } from "./quantize.js";
import { registerRepair } from "./repair.js";
import { registerReport } from "./report.js";
import { registerRm } from "./rm.js";
import { registerRun } from "./run.js";
import { registerServe } from "./serve.js";
import { registerShow } from "./show.js";
import { registerTokenize } from "./tokenize.js";
import { registerTrace } from "./trace.js";
import { registerVerify } from "./verify.js";

const COMMANDS = [
  registerRun,
  registerChat,
  registerServe,
  registerPull,
  registerList,
  registerShow,
  registerRm,
  registerTokenize,
  registerInspect,
  registerTrace,
  registerVerify,
  registerPerplexity,
  registerBench,
  registerDoctor,
  registerReport,
  registerRepair,
  registerConvert,
  registerQuantize,
];

const EXAMPLES = `
Examples:
  ternion run "The capital of France is"
  ternion chat --model model.gguf
  ternion COMMAND --help

Text goes to stdout, everything else to stderr.
${EXIT_CODES_HELP}`;

export function createProgram(): Command {
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
