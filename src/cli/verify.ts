/** `ternion verify`: are the answers right here, and if not, which operation first goes wrong? The exit code says it. */
import type { Command } from "commander";
import { type Agreement, type Fault, type OpVerdict, type Verdict, type VerifyOptions, verify } from "../index.js";
import { EXIT } from "./exit.js";
import { modelFile } from "./model.js";
import { addEngineOptions, type EngineFlags, engineOptions } from "./options.js";
import { withStatus } from "./progress.js";
import { interruptSignal, print } from "./streams.js";
import { formatTable } from "./table.js";
import { integerListOption } from "./values.js";

interface VerifyFlags extends EngineFlags {
  readonly tokens?: readonly number[];
  readonly against?: string;
  readonly endToEnd?: true;
  readonly json?: true;
}

const EXAMPLES = `
Examples:
  ternion verify
  ternion verify --model model.gguf --backend cpu --json
  ternion verify --model model.gguf --against transformers.safetensors

Each intermediate is judged by float64 formulas on the backend's own inputs to it. --against takes names as in
\`ternion trace\`, and those of the modules of transformers' BitNet (model.layers.0.self_attn.q_proj).
The exit code is 0 if all is right and 1 if not.`;

export function registerVerify(program: Command): void {
  const command = program
    .command("verify")
    .description("check whether this machine, file and backend compute rightly, and which operation is wrong")
    .addOption(
      integerListOption("--tokens <IDS>", "token ids, as in 1,2,3; default: 16 of a built-in text", { min: 0 }),
    )
    .option("--against <FILE>", "a safetensors file with another engine's intermediates, to judge and compare")
    .option("--end-to-end", "compare with a whole float64 pass for files above 200 MB too, in twice the time")
    .option("--json", "print the whole verdict as one JSON object")
    .addHelpText("after", EXAMPLES)
    .action(run);
  addEngineOptions(command, ["ctx", "head"]);
}

async function run({ tokens, against, endToEnd, json, ...options }: VerifyFlags): Promise<void> {
  const signal = interruptSignal();
  const path = await modelFile(options, signal);
  const { contextLength: _, ...engine } = engineOptions(options);
  const verdict = await withStatus("verify: reading the file", (show) => {
    return verify(path, { ...engine, ...progress(show), signal, tokens, against, endToEnd });
  });
  await print(json ? `${JSON.stringify(verdict, null, 2)}\n` : asText(verdict));
  if (!verdict.ok) process.exitCode = EXIT.failure;
}

function progress(show: (stage: string) => void): Pick<VerifyOptions, "onProgress" | "onLayer"> {
  return {
    onProgress: ({ loadedBytes, totalBytes }) => {
      const percent = Math.floor((100 * loadedBytes) / totalBytes);
      show(percent < 100 ? `verify: loading, ${percent} %` : "verify: computing");
    },
    onLayer: (done, total) => {
      show(done < total ? `verify: judging layer ${done + 1} of ${total}` : "verify: judging the logits");
    },
  };
}

function asText({ ok, backend, tokens, ops, firstFault, endToEnd, fingerprint, against }: Verdict): string {
  const sections = [
    `${backend}, ${tokens.length} tokens\n${opTable(ops)}`,
    endToEnd === undefined
      ? "end to end: left out for a file of this size; --end-to-end adds it\n"
      : `end to end, against float64: ${agreement(endToEnd)}`,
    `logits: sha256 ${fingerprint.sha256.slice(0, 16)}, mean ${short(fingerprint.mean)}, deviation ${short(fingerprint.deviation)}\n`,
  ];
  if (firstFault !== undefined) sections.push(faultText(firstFault));
  if (against !== undefined) {
    sections.push(`${against.file}\n${opTable(against.ops)}`, `end to end, against it: ${agreement(against.endToEnd)}`);
    if (against.firstFault !== undefined) sections.push(faultText(against.firstFault));
  }
  return `${sections.join("\n")}\nverdict: ${ok ? "right" : "WRONG"}\n`;
}

/** A line for each kind of op: the same one of all layers together. */
function opTable(ops: readonly OpVerdict[]): string {
  const kinds = new Map<string, OpVerdict[]>();
  for (const op of ops) {
    const kind = op.name.replace(/^blk\.\d+\./, "");
    kinds.set(kind, [...(kinds.get(kind) ?? []), op]);
  }
  const rows = Array.from(kinds, ([kind, same]) => [
    kind,
    same.length,
    short(Math.max(...same.map(({ medianError }) => medianError))),
    short(Math.max(...same.map(({ largestError }) => largestError))),
    short(Math.max(...same.map(({ tolerance }) => tolerance))),
    same.every((op) => op.ok) ? "right" : `WRONG in ${same.filter((op) => !op.ok).length}`,
  ]);
  return formatTable(["op", "judged", "median error", "largest", "tolerance", "verdict"], rows);
}

function faultText({ name, row, element, expected, got, error, cause }: Fault): string {
  const values = `element ${element} is ${short(got)}, expected ${short(expected)}`;
  return `first fault: ${name}, row ${row}: ${values}; the row is off by ${short(error)}\n  ${cause}\n`;
}

function agreement({ tokens, top1, meanKl, largestKl, largestDifference, at }: Agreement): string {
  const kl = `KL divergence ${short(meanKl)} nats (largest ${short(largestKl)})`;
  const largest = `largest difference ${short(largestDifference)} at row ${at.row}, token ${at.token}`;
  return `top-1 equal on ${top1} of ${tokens} tokens, ${kl}, ${largest}\n`;
}

const short = (value: number) => String(Number(value.toPrecision(3)));
