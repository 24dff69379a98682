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
import { ENGINE } from "./engine.js";
import { main } from "./options.js";

async function run(node: string, script: string, args: readonly string[]): Promise<void> {
  process.stderr.write(`\n${script} ${args.join(" ")}\n`);
  const path = fileURLToPath(new URL(`${script}.js`, import.meta.url));
  const [code] = await once(spawn(node, [path, ...args], { stdio: "inherit" }), "exit");
  if (code !== 0) throw new Error(`${script}: expected exit status 0, got ${code}`);
}

await main(async () => {
  const options = { ...ENGINE, node: { type: "string" } } as const;
  const { values, tokens } = parseArgs({ options, tokens: true });
  const given = tokens.filter((token) => token.kind === "option").filter(({ name }) => name !== "node");
  const args = given.flatMap(({ rawName, value }) => (value === undefined ? [rawName] : [rawName, value]));
  const here = process.execPath;
  const other = values.node;

  for (const node of other === undefined ? [here] : [here, other]) {
    for (const script of ["kernels", "decode", "prefill", "load"]) await run(node, script, args);
  }
  const contexts = ["--contexts", "128,256"];
  for (const head of ["int8", "f16"]) await run(here, "decode", [...args, "--head", head, ...contexts]);
  await run(here, "peers", args);
  if (other !== undefined) {
    await run(here, "peers", [...args, "--node", other]);
    await run(here, "peers", [...args, "--node", other, "--revectorize"]);
  }
  await run(here, "report", []);
});
