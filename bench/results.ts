/**
 * Result files: `bench/results/<machine>/<name>.node<major>.json`, each with the machine, the versions and the command
 * that made it, so that any row of a table can be repeated.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { availableProcessors } from "../src/platform/processors.js";

// this file runs as dist/bench/results.js
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const RESULTS = `${ROOT}bench/results/`;

export interface Origin {
  readonly machine: string;
  readonly cpu: string;
  readonly threads: number;
  readonly memoryBytes: number;
  readonly node: string;
  readonly v8: string;
  readonly date: string;
  readonly command: string;
}

export interface Result<Figures> extends Origin {
  readonly figures: Figures;
}

/** "amd-epyc-2cpu": for machines that nobody named. */
export function machineName(): string {
  const model = (cpus()[0]?.model ?? "unknown").toLowerCase().replace(/\(r\)|\(tm\)|processor|cpu.*$/g, "");
  return `${model.replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "")}-${availableProcessors()}cpu`;
}

/** Writes a result and says where on stderr. `node`: of the measured process, where that is another one. */
export async function writeResult<Figures>(
  machine: string,
  name: string,
  figures: Figures,
  versions: { readonly node: string; readonly v8: string } = process.versions,
): Promise<void> {
  const result: Result<Figures> = {
    machine,
    cpu: cpus()[0]?.model ?? "unknown",
    threads: availableProcessors(),
    memoryBytes: totalmem(),
    node: versions.node,
    v8: versions.v8,
    date: new Date().toISOString(),
    command: commandLine(),
    figures,
  };
  const directory = `${RESULTS}${machine}`;
  await mkdir(directory, { recursive: true });
  const path = `${directory}/${name}.node${Number.parseInt(versions.node, 10)}.json`;
  await writeFile(path, `${JSON.stringify(result, rounded, 1)}\n`);
  process.stderr.write(`${relative(process.cwd(), path)}\n`);
}

/** The command as one would type it in the root of the project, without the places of other programs. */
function commandLine(): string {
  const [, script, ...args] = process.argv;
  const places: Readonly<Record<string, string>> = { "--node": "NODE", "--base": "CHECKOUT" };
  const shown = args.map((arg, i) => places[args[i - 1]] ?? arg.replace(ROOT, ""));
  return ["node", relative(ROOT, script), ...shown].join(" ");
}

/** Six digits are more than any clock here has. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
}
