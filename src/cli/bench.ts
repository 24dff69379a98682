/**
 * `ternion bench`: prompt and generation speed as llama-bench means them. "pp N" computes a prompt of N tokens from an
 * empty cache, "tg N" generates N tokens from an empty cache, each after a warm-up. The rows have llama-bench's field
 * names, and the logits hash says that what was fast was also the same answer.
 */
import type { Command } from "commander";
import { type Engine, modelSummary, type OpTime } from "../index.js";
import { type BenchRow, benchRow } from "./bench-row.js";
import { UsageError } from "./exit.js";
import { generationRun, HASHED_TOKENS, logitsHash, measure, promptRun, type Test } from "./measure.js";
import { loadEngine, modelFile } from "./model.js";
import { addEngineOptions, type EngineFlags } from "./options.js";
import { interruptSignal, note, print } from "./streams.js";
import { formatTable } from "./table.js";
import { integerListOption, integerOption } from "./values.js";

interface BenchOptions extends EngineFlags {
  readonly nPrompt: readonly number[];
  readonly nGen: readonly number[];
  readonly repetitions: number;
  readonly batchSize?: number;
  readonly json?: true;
  readonly profile?: true;
  readonly check?: true;
}

const EXAMPLES = `
Examples:
  ternion bench --model model.gguf -t 2
  ternion bench --model model.gguf -p 128,512 -n 0 --repetitions 3
  ternion bench --model model.gguf -p 512 -n 64 --repetitions 5 -t 2 --json > bench.json

GB/s is the bytes of weights that a generated token depends on, as the file stores them, over its time; by op it is the weights
that the op reads, beside the rate at which a kernel copies memory. On a GPU, "host" is the processor's time for a token's
commands, and with --profile every dispatch is timed in a pass of its own, which adds some microseconds to each. The logits
hash is of a fixed prompt.`;

/** More than the built-in text of the check has. */
const CHECKED_TOKENS = 64;

export function registerBench(program: Command): void {
  const command = program
    .command("bench")
    .description("measure prompt and generation speed")
    .addOption(
      integerListOption("-p, --n-prompt <N,...>", "tokens of a prompt, 0: no such test", { min: 0 }).default([512]),
    )
    .addOption(
      integerListOption("-n, --n-gen <N,...>", "tokens to generate, 0: no such test", { min: 0 }).default([64]),
    )
    .addOption(integerOption("-r, --repetitions <N>", "samples of each test", { min: 1, max: 1000 }).default(5))
    .addOption(
      integerOption("-b, --batch-size <N>", "rows of one pass; default 64, on a GPU 512", { min: 1, max: 4096 }),
    )
    .option("--json", "print a JSON array of rows with the field names of llama-bench")
    .option("--profile", "print the time by op of each test; on stderr with --json")
    .option(
      "--check",
      "first make sure that the model makes sense of plain English, and measure nothing if it does not",
    )
    .addHelpText("after", EXAMPLES)
    .action(bench);
  addEngineOptions(command);
}

async function bench(options: BenchOptions): Promise<void> {
  const tests: readonly Test[] = [
    ...options.nPrompt.map((tokens) => ({ kind: "pp", tokens }) as const),
    ...options.nGen.map((tokens) => ({ kind: "tg", tokens }) as const),
  ].filter(({ tokens }) => tokens > 0);
  if (tests.length === 0) throw new UsageError("--n-prompt, --n-gen: expected a length above 0, got none");
  const signal = interruptSignal();
  const path = await modelFile(options, signal);
  await using engine = await loadEngine(path, options, {
    signal,
    maxSessions: 1,
    batchSize: options.batchSize,
    contextLength: contextLength(options, tests),
    profile: options.profile,
  });
  if (options.check) await checkSense(engine, signal);
  const model = await modelSummary(path, engine.config);
  const hash = await logitsHash(engine);
  engine.takeProfile();

  const rows: BenchRow[] = [];
  const say = options.json ? async (text: string) => void process.stderr.write(text) : print;
  for (const test of tests) {
    const samples = await runTest(engine, test, options.repetitions, signal);
    const profile = engine.takeProfile();
    rows.push(benchRow({ model, engine, options, test, samples, logitsHash: hash, profile }));
    if (options.profile) await say(profileText(test, profile));
  }
  await print(options.json ? `${JSON.stringify(rows, null, 2)}\n` : tableText(rows));
  if (!options.json) await print(summaryText(engine, hash));
}

/** Speed is worth nothing where the answers are wrong. */
async function checkSense(engine: Engine, signal: AbortSignal): Promise<void> {
  const { ok, perplexity, limit } = await engine.selfCheck({ signal });
  if (ok) return;
  throw new Error(
    `--check: expected a perplexity below ${limit.toFixed(0)} on plain English, got ${perplexity.toFixed(0)}: ` +
      "nothing was measured; `ternion verify` shows whether the file or this machine is wrong",
  );
}

/** Room for the longest test, and for the text of the check, of which a small context sees pieces. */
function contextLength({ ctx, check }: BenchOptions, tests: readonly Test[]): number {
  const needed = Math.max(HASHED_TOKENS, ...tests.map(({ tokens }) => tokens));
  if (ctx !== undefined && ctx < needed)
    throw new UsageError(`--ctx: expected at least ${needed} for these tests, got ${ctx}`);
  return ctx ?? (check ? Math.max(needed, CHECKED_TOKENS) : needed);
}

async function runTest(engine: Engine, test: Test, repetitions: number, signal: AbortSignal): Promise<number[]> {
  await using session = engine.session({ cacheSalt: `${test.kind} ${test.tokens}` }); // finds nothing of other tests
  const run = test.kind === "pp" ? promptRun : generationRun;
  if (process.stderr.isTTY) note(`${test.kind} ${test.tokens}, ${repetitions} times`);
  // awaited here: the session closes at the end of this function
  return await measure(
    () => run(engine, session, test.tokens, signal),
    repetitions,
    () => engine.takeProfile(),
  );
}

function tableText(rows: readonly BenchRow[]): string {
  const head = ["model", "size MB", "params M", "backend", "threads", "test", "tokens/s", "+-", "GB/s"];
  const hasHost = rows.some((row) => row.host_ns_per_token !== null);
  const cells = rows.map((row) => [
    row.model_type,
    (row.model_size / 1e6).toFixed(1),
    (row.model_n_params / 1e6).toFixed(1),
    row.backends,
    row.n_threads,
    row.n_prompt > 0 ? `pp ${row.n_prompt}` : `tg ${row.n_gen}`,
    row.avg_ts.toFixed(2),
    row.stddev_ts.toFixed(2),
    row.gb_per_s?.toFixed(2) ?? "",
    ...(hasHost ? [((row.host_ns_per_token ?? 0) / 1000).toFixed(1), row.dispatches_per_token?.toFixed(1) ?? ""] : []),
  ]);
  return formatTable([...head, ...(hasHost ? ["host us a token", "dispatches"] : [])], cells);
}

function summaryText({ description, loadReport: { totalMs, steps } }: Engine, hash: string): string {
  const parts = steps.map(({ component, ms, bytes }) => {
    return `${component} ${ms.toFixed(0)} ms${bytes > 0 ? ` (${(bytes / 1e6).toFixed(1)} MB)` : ""}`;
  });
  return `${description}\nload ${totalMs.toFixed(0)} ms: ${parts.join(", ")}\nlogits hash ${hash}\n`;
}

function profileText({ kind, tokens }: Test, profile: readonly OpTime[]): string {
  const ops = profile.filter(({ place }) => place === undefined);
  const all = ops.reduce((sum, { ms }) => sum + ms, 0);
  const moved = ops.some(({ bytes }) => bytes);
  const rows = [...ops]
    .sort((a, b) => b.ms - a.ms)
    .map(({ op, calls, ms, bytes, shareOfCopy }) => [
      op,
      calls,
      ms.toFixed(2),
      ((1000 * ms) / calls).toFixed(1),
      ((100 * ms) / all).toFixed(1),
      ...(moved ? [bytes ? (bytes / ms / 1e6).toFixed(0) : "", shareOfCopy ? (100 * shareOfCopy).toFixed(0) : ""] : []),
    ]);
  const head = ["op", "calls", "ms", "us a call", "%", ...(moved ? ["GB/s", "% of copy"] : [])];
  const table = formatTable(head, rows);
  return `${kind} ${tokens}, all repetitions, by op\n${table === "" ? "  this backend measures no ops\n" : table}`;
}
