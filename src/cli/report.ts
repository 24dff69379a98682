/** `ternion report`: load profile, speed, memory, answers and perplexity of a model, as Markdown and as a page. */
import { stat } from "node:fs/promises";
import { extname, join } from "node:path";
import type { Command } from "commander";
import { measureReport, type ReportData, type ReportStage, renderHtml, renderMarkdown } from "../index.js";
import { makeFolder, systemReason } from "../platform/files.js";
import { UsageError } from "./exit.js";
import { modelFile } from "./model.js";
import { addEngineOptions, type EngineFlags, engineOptions } from "./options.js";
import { checkOutput, writeOutput } from "./output.js";
import { withStatus } from "./progress.js";
import { interruptSignal, note, print } from "./streams.js";
import { integerListOption, integerOption } from "./values.js";

interface ReportFlags extends EngineFlags {
  readonly out?: string;
  readonly contexts?: readonly number[];
  readonly seconds?: number;
  readonly maxTokens?: number;
  readonly verify: boolean;
}

const EXAMPLES = `
Examples:
  ternion report --model model.gguf --out report
  ternion report --model model.gguf --out report.html --contexts 128,1024 --seconds 20
  ternion report --seconds 10 > report.md

Without --out the Markdown goes to stdout. A folder gets report.md and report.html; a file is one of the two by its end.
The answers are judged first, as \`ternion verify\` does; under a failed verdict every speed is marked, and the exit code is 1.`;

export function registerReport(program: Command): void {
  const command = program
    .command("report")
    .description("measure a model from loading to answers, as Markdown and as a page with charts")
    .option("-o, --out <DIR|FILE>", "where to write: a folder, FILE.md or FILE.html")
    .addOption(integerListOption("--contexts <N,...>", "context lengths; default: 16,128,512", { min: 1 }))
    .addOption(integerOption("--seconds <N>", "about how long it may measure; default: 60", { min: 1 }))
    .addOption(integerOption("-n, --max-tokens <N>", "most tokens of an answer; default: 100", { min: 1 }))
    .option("--no-verify", "do not judge the answers first; the report says so")
    .addHelpText("after", EXAMPLES)
    .action(report);
  addEngineOptions(command);
}

const STAGES: Readonly<Record<ReportStage, string>> = {
  verify: "judging the answers",
  load: "loading",
  prompts: "answering the standard prompts",
  perplexity: "measuring perplexity",
  speeds: "measuring speed",
  ops: "measuring the time of each op",
  traffic: "measuring the memory",
};

async function report(options: ReportFlags): Promise<void> {
  const { contexts, seconds, maxTokens, verify, out } = options;
  if (out !== undefined) await checkTarget(out);
  const signal = interruptSignal();
  const path = await modelFile(options, signal);
  const data = await withStatus("report: reading the file", (show) => {
    const onStage = (stage: ReportStage) => show(`report: ${STAGES[stage]}`);
    return measureReport(path, { ...engineOptions(options), contexts, seconds, maxTokens, verify, onStage, signal });
  });
  await write(data, out);
  if (data.verdict.status === "failed") throw new Error(`verify: ${data.verdict.summary}`);
}

const kindOf = (out: string) => extname(out).toLowerCase();
const isPage = (out: string) => kindOf(out) === ".md" || kindOf(out) === ".html";

/** Before a minute of measuring. */
async function checkTarget(out: string): Promise<void> {
  if (isPage(out) || out === "") return checkOutput("--out", out);
  const there = await stat(out).catch(() => undefined);
  if (there === undefined) return makeOutput(out);
  if (there.isDirectory()) return;
  throw new UsageError(`--out: expected a folder, FILE.md or FILE.html, got ${out}, which is a file of another kind`);
}

async function write(data: ReportData, out: string | undefined): Promise<void> {
  if (out === undefined) return print(renderMarkdown(data));
  if (kindOf(out) === ".md") return writeOutput(out, renderMarkdown(data));
  if (kindOf(out) === ".html") return writeOutput(out, await renderHtml(data));
  await writeOutput(join(out, "report.md"), renderMarkdown(data));
  await writeOutput(join(out, "report.html"), await renderHtml(data));
  note(`wrote report.md and report.html to ${out}`);
}

async function makeOutput(path: string): Promise<void> {
  try {
    await makeFolder(path);
  } catch (cause) {
    throw new Error(`--out: expected a folder, got ${path}: ${systemReason(cause)}`, { cause });
  }
}
