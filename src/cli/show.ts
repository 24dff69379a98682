/** `ternion show`: what is known of a model by its name: of the copy in the cache, else of its repository. */
import type { Command } from "commander";
import {
  type CachedModel,
  cachedModel,
  KNOWN_MODELS,
  modelSummary,
  openHead,
  type RepositoryView,
  viewRepository,
} from "../index.js";
import { debugOption } from "./options.js";
import { MODEL_NAMES } from "./pull.js";
import { interruptSignal, print } from "./streams.js";
import { type Cell, formatTable } from "./table.js";

interface ShowOptions {
  readonly remote?: true;
  readonly json?: true;
}

const EXAMPLES = `
Examples:
  ternion show bitnet-2b
  ternion show --remote prism-ml/Ternary-Bonsai-8B-gguf
${MODEL_NAMES}

Of a model that is not in the cache, or with --remote, the files of its repository are listed; a star marks what \`ternion
pull\` takes. Metadata and tensors of a file: \`ternion inspect --model NAME\`.`;

export function registerShow(program: Command): void {
  program
    .command("show")
    .description("show what a model is: its copy in the cache, or the files of its repository")
    .argument("<NAME>", "which one")
    .option("--remote", "ask Hugging Face, even if a copy is here")
    .option("--json", "print one JSON object")
    .addOption(debugOption())
    .addHelpText("after", EXAMPLES)
    .action(show);
}

async function show(name: string, { remote, json }: ShowOptions): Promise<void> {
  const signal = interruptSignal();
  const cached = remote ? undefined : await cachedModel(name, { signal });
  if (cached !== undefined) {
    const facts = await factsOf(cached, signal);
    return print(
      json ? `${JSON.stringify(facts, null, 2)}\n` : formatTable(["", ""], Object.entries(facts)).replace(/^ *\n/, ""),
    );
  }
  const view = await viewRepository(name, { signal });
  await print(json ? `${JSON.stringify(view, null, 2)}\n` : repositoryText(view));
}

async function factsOf(model: CachedModel, signal: AbortSignal): Promise<Record<string, Cell>> {
  const { name, path, bytes, isWhole, repository, revision, commit, pulledAt } = model;
  const source = repository && `https://huggingface.co/${repository}/tree/${encodeURIComponent(revision as string)}`;
  const known = KNOWN_MODELS.find((each) => each.model === name || each.model === `${name}:${model.file}`);
  const facts: Record<string, Cell | undefined> = {
    name,
    what: known && `${known.description} (${known.name})`,
    path,
    MB: (bytes / 1e6).toFixed(1),
    state: isWhole ? undefined : "unfinished: `ternion pull` goes on",
    source,
    commit,
    file: model.file,
    pulled: pulledAt,
    ...(isWhole && path.endsWith(".gguf") ? await headFacts(path, signal) : {}),
  };
  return Object.fromEntries(Object.entries(facts).filter((fact): fact is [string, Cell] => fact[1] !== undefined));
}

async function headFacts(path: string, signal: AbortSignal): Promise<Record<string, Cell>> {
  const { file } = await openHead(path, { signal });
  const arch = String(file.metadata.get("general.architecture") ?? "?");
  const { type, weights } = await modelSummary(path, { arch });
  const context = file.metadata.get(`${arch}.context_length`);
  return { type, weights, ...(context !== undefined && { context: String(context) }) };
}

function repositoryText({ name, commit, files, chosen }: RepositoryView): string {
  const rows = files.map(({ path, size }) => [chosen.includes(path) ? "*" : "", path, Number((size / 1e6).toFixed(1))]);
  const hint = chosen.length === 0 ? "Nothing of it is taken by this name alone: name a file.\n" : "";
  return `${name} at commit ${commit}, not in the cache\n${formatTable(["", "file", "MB"], rows)}${hint}`;
}
