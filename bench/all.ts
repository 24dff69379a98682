/**
 * All benchmarks one after another, then the report. Options go to each of them: --machine, --model, --threads, --quick.
 *
 *   npm run bench -- [--machine NAME] [--quick]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

async function run(script: string, args: readonly string[]): Promise<void> {
  process.stderr.write(`\n${script}\n`);
  const path = fileURLToPath(new URL(`${script}.js`, import.meta.url));
  const [code] = await once(spawn(process.execPath, [path, ...args], { stdio: "inherit" }), "exit");
  if (code !== 0) throw new Error(`${script}: expected exit status 0, got ${code}`);
}

for (const script of ["kernels", "decode", "prefill", "load", "peers"]) await run(script, process.argv.slice(2));
await run("report", []);
