/**
 * The process that proves V8 flags by doing what the engine would do under them: compile here, run in a thread. It may crash
 * or hang; it ends when its parent does, which holds the other end of stdin.
 */
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { packageFile } from "../../../platform/package.js";
import { compileUnder } from "./flags.js";
import type { DotForm } from "./forms.js";
import type { ProofJob } from "./proof-worker.js";

/** Given as JSON in the first argument. */
export interface ProofRequest {
  /** the binary to compile under the flags */
  readonly path: string;
  readonly flags: readonly string[];
  readonly forms: readonly DotForm[];
}

process.stdin.on("end", () => process.exit(1)).on("error", () => process.exit(1));
process.stdin.resume();

const { path, flags, forms } = JSON.parse(process.argv[2]) as ProofRequest;
const job: ProofJob = {
  module: compileUnder(readFileSync(path), flags),
  forms,
  baseline: new WebAssembly.Module(readFileSync(packageFile("dist/asm/kernels.baseline.wasm"))),
};
const worker = new Worker(packageFile("dist/src/backend/cpu/choice/proof-worker.js"), { workerData: job });
worker.once("message", (same: boolean) => {
  process.stdout.write(same ? "same" : "different", () => process.exit(same ? 0 : 1));
});
