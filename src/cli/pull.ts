/** `ternion pull`: a model of Hugging Face into the cache, by its name. Its path goes to stdout. */
import type { Command } from "commander";
import { download, KNOWN_MODELS, type PulledModel, pullModel } from "../index.js";
import { debugOption } from "./options.js";
import { withBar } from "./progress.js";
import { interruptSignal, note, print } from "./streams.js";

export const MODEL_NAMES = `
A name is hf:ORG/REPO[@REVISION][:FILE], where "hf:" may be left out here, or one of the short names
  ${KNOWN_MODELS.map(({ name }) => name).join(", ")}
which \`ternion list --known\` explains.`;

const EXAMPLES = `
Examples:
  ternion pull bitnet-2b
  ternion pull microsoft/bitnet-b1.58-2B-4T-gguf
  ternion pull tiiuae/Falcon3-1B-Instruct-1.58bit-GGUF@main:ggml-model-i2_s.gguf
  ternion run --model bitnet-2b "Hello"
${MODEL_NAMES}

Of several GGUFs the one of the fastest ternary type is taken. A download that broke off goes on where it was. HF_TOKEN,
HF_ENDPOINT and proxies of the environment are heeded, see docs/models-and-downloads.md.`;

export function registerPull(program: Command): void {
  program
    .command("pull")
    .description("download a model from Hugging Face, or bring it up to date")
    .argument("<NAME>", "which one; a URL is taken too")
    .addOption(debugOption())
    .addHelpText("after", EXAMPLES)
    .action(pull);
}

async function pull(name: string): Promise<void> {
  const signal = interruptSignal();
  const isUrl = /^[a-z]+:\/\//i.test(name);
  const pulled = await withBar((show): Promise<string | PulledModel> => {
    const options = { signal, onProgress: (loaded: number, total: number) => show("download", loaded, total) };
    return isUrl ? download(name, options) : pullModel(name, options);
  });
  if (typeof pulled !== "string") note(outcome(pulled));
  await print(`${typeof pulled === "string" ? pulled : pulled.path}\n`);
}

function outcome({ name, bytes, commit, isNew }: PulledModel): string {
  const what = `${name}: ${(bytes / 1e6).toFixed(1)} MB at commit ${commit.slice(0, 12)}`;
  return isNew ? what : `${what}, which was here already`;
}
