/** `ternion convert`: a model as a GGUF file, from a directory of Hugging Face's files or from another GGUF. */
import type { Command } from "commander";
import { CONVERT_TYPES, type ConvertedFile, type ConvertType, convertFile } from "../index.js";
import { modelFile } from "./model.js";
import { debugOption, type EngineFlags, pickEngineOptions } from "./options.js";
import { withBar } from "./progress.js";
import { interruptSignal, print } from "./streams.js";
import { choiceOption } from "./values.js";

interface ConvertFlags extends Pick<EngineFlags, "i2sLayout"> {
  readonly type?: ConvertType;
  readonly force?: true;
}

const EXAMPLES = `
Examples:
  ternion convert bitnet-b1.58-2B-4T/ model.gguf
  ternion convert bitnet-b1.58-2B-4T/ small.gguf --type q8_0
  ternion convert model.gguf blocks.gguf --type tq2_0

IN is a GGUF file, a directory with config.json, tokenizer.json and *.safetensors, a URL or a name as hf:ORG/REPO.
Types i2_s and tq2_0 are of ternary matrices; q8_0, f16, bf16 and f32 are of embedding, head and float matrices.
The rest stays as it is. Ternary weights stay ternary and floats stay floats; see \`ternion quantize\`.`;

export function registerConvert(program: Command): void {
  const command = program
    .command("convert")
    .description("write a model as a GGUF file, from a Hugging Face directory or another GGUF")
    .argument("<IN>", "the model: a directory or a file")
    .argument("<OUT>", "the file to write")
    .addOption(choiceOption("--type <TYPE>", "type of the weights; default: as they are", CONVERT_TYPES))
    .option("--force", "replace OUT if it is there")
    .addOption(debugOption())
    .addHelpText("after", EXAMPLES)
    .action(convert);
  pickEngineOptions(command, ["i2sLayout"]);
}

async function convert(from: string, to: string, { type, i2sLayout, force }: ConvertFlags): Promise<void> {
  const signal = interruptSignal();
  const path = await modelFile({ model: from }, signal);
  const done = await withBar((show) => {
    const onProgress = (written: number, total: number) => show("write", written, total);
    return convertFile(path, to, { type, i2sLayout, force, signal, onProgress });
  });
  await print(asText(to, done, type));
}

function asText(to: string, { repairs, converted, byteLength }: ConvertedFile, type: ConvertType | undefined): string {
  const lines = repairs.map(({ key, problem, replacement }) => `repaired ${key}: ${problem}; now ${replacement}`);
  if (type !== undefined) lines.push(`${converted} tensors became ${type}`);
  return [...lines, `wrote ${to}, ${byteLength} bytes`, ""].join("\n");
}
