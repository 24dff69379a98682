#!/usr/bin/env node
/** The program `ternion`. */
import { runCommandLine } from "./command-line.js";

// failed writes are reported to whoever wrote; without a listener they would end the process with a stack trace
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
process.exitCode = await runCommandLine(process.argv);
