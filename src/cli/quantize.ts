/** `ternion quantize`: a float model made ternary, and what that does to it in plain words. */
import type { Command } from "commander";
import { type QuantizedFile, quantizeFile } from "../index.js";
import { modelFile } from "./model.js";
import { debugOption, type EngineFlags, pickEngineOptions } from "./options.js";
import { withBar } from "./progress.js";
import { interruptSignal, print } from "./streams.js";
import { choiceOption } from "./values.js";

interface QuantizeFlags extends Pick<EngineFlags, "threads"> {
  readonly type: "ternary";
  readonly force?: true;
}

const EXAMPLES = `
Examples:
  ternion quantize tinyllama-q8_0.gguf ternary.gguf --type ternary

Each matrix becomes -1, 0 and 1 times the mean of its magnitudes, as BitNet b1.58 has it; embedding and head stay.
A model that was not trained this way becomes garbage: the perplexity of a short English text shows it, before and after.`;

export function registerQuantize(program: Command): void {
  const type = choiceOption("--type <TYPE>", "type of the matrices", ["ternary"]);
  const command = program
    .command("quantize")
    .description("make the matrices of a float model ternary, and measure what it costs")
    .argument("<IN>", "the model: a GGUF file, a Hugging Face directory, a URL or a name")
    .argument("<OUT>", "the GGUF file to write")
    .addOption(type.makeOptionMandatory())
    .option("--force", "replace OUT if it is there")
    .addOption(debugOption())
    .addHelpText("after", EXAMPLES)
    .action(quantize);
  pickEngineOptions(command, ["threads"]);
}

async function quantize(from: string, to: string, { type, threads, force }: QuantizeFlags): Promise<void> {
  const signal = interruptSignal();
  const path = await modelFile({ model: from }, signal);
  const done = await withBar((show) => {
    const onProgress = (written: number, total: number) => show("write", written, total);
    return quantizeFile(path, to, { type, threads, force, signal, onProgress });
  });
  await print(asText(to, done));
}

function asText(to: string, done: QuantizedFile): string {
  const { matrices, byteLength, before, after } = done;
  const number = (value: number) => (value < 1000 ? value.toFixed(1) : value.toFixed(0));
  return `${matrices} matrices became ternary; embedding, head and norms stay
wrote ${to}, ${byteLength} bytes
perplexity of a short English text: ${number(before.perplexity)} before, ${number(after.perplexity)} after
${verdict(done)}
`;
}

function verdict({ before, after }: QuantizedFile): string {
  const limit = `a model that makes sense stays below ${before.limit.toFixed(0)}`;
  if (!before.ok) return `The model made no sense of this text before either (${limit}): it is not trained for it.`;
  const reason =
    "Ternary weights keep little more than the signs, and their inputs are rounded to 8 bits. A model works so only if it " +
    "was trained so from the start.";
  if (after.ok) return `It still makes sense of the text (${limit}). ${reason}`;
  return (
    `The model is garbage now (${limit}). ${reason}\nUse it as it was, or a model that was trained to be ternary, ` +
    "as BitNet b1.58, Falcon3-1.58bit or Ternary-Bonsai."
  );
}
