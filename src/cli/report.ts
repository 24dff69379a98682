/** `ternion report`: load profile, speed, memory, answers and perplexity of a model, as Markdown and as a page. */
import { mkdir, writeFile } from "node:fs/promises";
import { extname, join } from "node:path";
import type { Command } from "commander";
import { measureReport, type ReportData, renderHtml, renderMarkdown } from "../index.js";
import { modelFile } from "./model.js";
import { addCommonOptions, type CommonOptions, engineOptions } from "./options.js";
import { interruptSignal, note, print } from "./streams.js";
import { integerListOption, integerOption } from "./values.js";

interface ReportFlags extends CommonOptions {
  readonly out?: string;
  readonly contexts?: readonly number[];
  readonly seconds?: number;
  readonly maxTokens?: number;
  readonly verify: boolean;
}

const EXAMPLES = `
Examples:
  ternion report --model model.gguf --out report
  ternion report --model model.gguf --out report.html --contexts 128,1024 --seconds 120
  ternion report > report.md

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
  addCommonOptions(command);
}

async function report(options: ReportFlags): Promise<void> {
  const { contexts, seconds, maxTokens, verify } = options;
  const signal = interruptSignal();
  const path = await modelFile(options, signal);
  const data = await measureReport(path, { ...engineOptions(options), contexts, seconds, maxTokens, verify, signal });
  await write(data, options.out);
  if (data.verdict.status === "failed") throw new Error(`verify: ${data.verdict.summary}`);
}

async function write(data: ReportData, out: string | undefined): Promise<void> {
  if (out === undefined) return print(renderMarkdown(data));
  const kind = extname(out).toLowerCase();
  if (kind === ".md") return writeFile(out, renderMarkdown(data));
  if (kind === ".html") return writeFile(out, await renderHtml(data));
  await mkdir(out, { recursive: true });
  await writeFile(join(out, "report.md"), renderMarkdown(data));
  await writeFile(join(out, "report.html"), await renderHtml(data));
  note(`wrote report.md and report.html to ${out}`);
}
