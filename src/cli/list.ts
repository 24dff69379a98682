/** `ternion list`: the models of the cache, or those that have a short name. */
import type { Command } from "commander";
import { type CachedModel, cachedModels, KNOWN_MODELS } from "../index.js";
import { debugOption } from "./options.js";
import { interruptSignal, note, print } from "./streams.js";
import { formatTable } from "./table.js";

interface ListOptions {
  readonly known?: true;
  readonly json?: true;
}

const EXAMPLES = `
Examples:
  ternion list
  ternion list --known
  ternion list --json | jq -r '.[].path'`;

export function registerList(program: Command): void {
  program
    .command("list")
    .description("list the models that were downloaded")
    .option("--known", "list the short names of models, downloaded or not")
    .option("--json", "print one JSON array")
    .addOption(debugOption())
    .addHelpText("after", EXAMPLES)
    .action(list);
}

async function list({ known, json }: ListOptions): Promise<void> {
  const models = known ? KNOWN_MODELS : await cachedModels({ signal: interruptSignal() });
  if (json) return print(`${JSON.stringify(models, null, 2)}\n`);
  if (models.length === 0) note("no models yet: `ternion pull NAME` downloads one, `ternion list --known` has names");
  await print(known ? knownTable() : cachedTable(models as readonly CachedModel[]));
}

const knownTable = () =>
  formatTable(
    ["name", "what", "model"],
    KNOWN_MODELS.map(({ name, description, model }) => [name, description, model]),
  );

const cachedTable = (models: readonly CachedModel[]) =>
  formatTable(
    ["model", "MB", "pulled", "state"],
    models.map(({ name, bytes, pulledAt = "", isWhole }) => [
      name,
      Number((bytes / 1e6).toFixed(1)),
      pulledAt.slice(0, 10),
      isWhole ? "" : "unfinished",
    ]),
  );
