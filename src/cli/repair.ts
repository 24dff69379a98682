/** `ternion repair`: a model file written again, with repaired metadata and ternary codes in the standard layout. */
import type { Command } from "commander";
import { type RepairedFile, repairFile } from "../index.js";
import { debugOption, type EngineFlags, pickEngineOptions } from "./options.js";
import { withBar } from "./progress.js";
import { interruptSignal, print } from "./streams.js";

interface RepairFlags extends Pick<EngineFlags, "i2sLayout"> {
  readonly force?: true;
}

const EXAMPLES = `
Examples:
  ternion repair model.gguf repaired.gguf
  ternion repair from-arm.gguf standard.gguf --i2s-layout block64

All that is loaded from IN is repaired in memory anyway; OUT needs no repair, here or in other programs. IN stays as it is.`;

export function registerRepair(program: Command): void {
  const command = program
    .command("repair")
    .description("write a GGUF model again, with repaired metadata and ternary codes in the standard layout")
    .argument("<IN>", "the model file")
    .argument("<OUT>", "the file to write")
    .option("--force", "replace OUT if it is there")
    .addOption(debugOption())
    .addHelpText("after", EXAMPLES)
    .action(repair);
  pickEngineOptions(command, ["i2sLayout"]);
}

async function repair(from: string, to: string, { i2sLayout, force }: RepairFlags): Promise<void> {
  const signal = interruptSignal();
  const done = await withBar((show) => {
    const onProgress = (written: number, total: number) => show("write", written, total);
    return repairFile(from, to, { i2sLayout, force, signal, onProgress });
  });
  await print(asText(to, done));
}

function asText(to: string, { repairs, i2sLayout, byteLength }: RepairedFile): string {
  const lines = repairs.map(({ key, problem, replacement }) => `repaired ${key}: ${problem}; now ${replacement}`);
  if (i2sLayout !== "block128") lines.push(`repaired ternary codes: in layout ${i2sLayout}; now block128`);
  if (lines.length === 0) lines.push("nothing to repair");
  return `${lines.join("\n")}\nwrote ${to}, ${byteLength} bytes\n`;
}
