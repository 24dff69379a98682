/**
 * All benchmarks one after another, then the report. Other options go to each of them: --machine, --model, --threads,
 * --quick. With --node everything runs a second time, on that Node.js, which the `node` package on npm carries.
 *
 *   npm run bench -- [--node PATH] [--machine NAME] [--quick]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

async function run(node: string, script: string, args: readonly string[]): Promise<void> {
  process.stderr.write(`\n${script} ${args.join(" ")}\n`);
  const path = fileURLToPath(new URL(`${script}.js`, import.meta.url));
  const [code] = await once(spawn(node, [path, ...args], { stdio: "inherit" }), "exit");
  if (code !== 0) throw new Error(`${script}: expected exit status 0, got ${code}`);
}

const { values, tokens } = parseArgs({ options: { node: { type: "string" } }, strict: false, tokens: true });
const own = tokens.filter((token) => token.kind === "option" && token.name === "node");
const ownArguments = own.flatMap((token) =>
  "inlineValue" in token && token.inlineValue ? [token.index] : [token.index, token.index + 1],
);
const args = process.argv.slice(2).filter((_, i) => !ownArguments.includes(i));
const other = typeof values.node === "string" ? values.node : undefined;

for (const node of [process.execPath, ...(other === undefined ? [] : [other])]) {
  for (const script of ["kernels", "decode", "prefill", "load"]) await run(node, script, args);
}
const contexts = ["--contexts", "128,256"];
for (const head of ["int8", "f16"]) await run(process.execPath, "decode", [...args, "--head", head, ...contexts]);
await run(process.execPath, "peers", args);
if (other !== undefined) {
  await run(process.execPath, "peers", [...args, "--node", other]);
  await run(process.execPath, "peers", [...args, "--node", other, "--revectorize"]);
}
await run(process.execPath, "report", []);
