/** `ternion rm`: deletes models of the cache, and nothing else. */
import type { Command } from "commander";
import { removeModel } from "../index.js";
import { debugOption } from "./options.js";
import { interruptSignal, note } from "./streams.js";

const EXAMPLES = `
Examples:
  ternion rm bitnet-2b
  ternion rm hf:tiiuae/Falcon3-1B-Instruct-1.58bit-GGUF

NAME is one that \`ternion list\` shows, a short name, or the URL that a model came from.`;

export function registerRm(program: Command): void {
  program
    .command("rm")
    .description("delete downloaded models, and what is left of their downloads")
    .argument("<NAME...>", "which ones")
    .addOption(debugOption())
    .addHelpText("after", EXAMPLES)
    .action(remove);
}

async function remove(names: readonly string[]): Promise<void> {
  const signal = interruptSignal();
  for (const given of names) {
    const { name, bytes } = await removeModel(given, { signal });
    note(`deleted ${name}, ${(bytes / 1e6).toFixed(1)} MB`);
  }
}
