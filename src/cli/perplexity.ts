/** `ternion perplexity`: how well a model predicts a text, one number to compare models, engines and settings by. */
import type { Command } from "commander";
import { perplexity } from "../index.js";
import { loadEngine, modelFile } from "./model.js";
import { addEngineOptions, type EngineFlags } from "./options.js";
import { withStatus } from "./progress.js";
import { interruptSignal, print } from "./streams.js";
import { readTextFile } from "./text-input.js";
import { integerOption } from "./values.js";

interface PerplexityFlags extends EngineFlags {
  readonly window?: number;
  readonly special?: true;
  readonly json?: true;
}

const EXAMPLES = `
Examples:
  ternion perplexity text.txt --model model.gguf
  ternion perplexity text.txt --window 512 --json

The text is cut into windows without overlap, each scored from an empty cache after the token that begins a text.
Perplexity is e to the power of the mean of -ln p over all tokens.`;

export function registerPerplexity(program: Command): void {
  const command = program
    .command("perplexity")
    .description("measure how well the model predicts a text")
    .argument("<FILE>", "the text, in UTF-8, or in UTF-16 with its mark")
    .addOption(integerOption("-w, --window <N>", "tokens of one window; default: the whole context", { min: 2 }))
    .option("--special", "special tokens in the text become their ids; else they are plain characters")
    .option("--json", "print one JSON object")
    .addHelpText("after", EXAMPLES)
    .action(measurePerplexity);
  addEngineOptions(command, ["head"]);
}

async function measurePerplexity(file: string, options: PerplexityFlags): Promise<void> {
  const text = await readTextFile(file);
  const signal = interruptSignal();
  const path = await modelFile(options, signal);
  await using engine = await loadEngine(path, options, { signal, maxSessions: 1 });
  const { window = engine.contextLength, special: parseSpecial } = options;
  const result = await withStatus("perplexity: first window", (show) => {
    const onProgress = (done: number, total: number) => show(`perplexity: ${done} of ${total} tokens`);
    return perplexity(engine, text, { window, parseSpecial, onProgress, signal });
  });
  if (options.json) {
    await print(`${JSON.stringify({ ...result, window, backend: engine.description })}\n`);
    return;
  }
  const { tokens, windows, loss, lossError, tokensPerSecond } = result;
  await print(
    `perplexity ${result.perplexity.toFixed(4)}\nloss ${loss.toFixed(4)} +- ${lossError.toFixed(4)} nats a token\n` +
      `${tokens} tokens in ${windows} windows of at most ${window}, ${tokensPerSecond.toFixed(1)} tokens/s\n` +
      `${engine.description}\n`,
  );
}
