/**
 * Time from call to ready with the file in the page cache, step by step, and the memory of a process that holds a full
 * context of 2048. Every load is in a process of its own.
 *
 *   npm run build && node dist/bench/load.js [--model FILE] [--repetitions 5] [--head exact|f16|int8] [--kv f32|i16] [--revectorize]
 *     [--machine NAME] [--quick]
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { promptFor } from "../src/cli/fixed-prompt.js";
import type { LoadStep } from "../src/index.js";
import { availableProcessors } from "../src/platform/processors.js";
import { median } from "../src/tools/report/median.js";
import { ENGINE, generationRate, loadEngine, resultName, tuningOptions } from "./engine.js";
import { modelPath } from "./model.js";
import { integer, main } from "./options.js";
import { writeResult } from "./results.js";
import { type Summary, summary } from "./statistics.js";

interface Load {
  readonly totalMs: number;
  readonly steps: readonly LoadStep[];
  readonly memory: Memory;
}
interface Memory {
  /** of the process */
  readonly residentBytes: number;
  readonly maxResidentBytes: number;
  /** held by the backend; pages never used take none of the machine's memory */
  readonly backendBytes: number;
}
export interface LoadFigures {
  readonly head: string;
  readonly kv: string;
  readonly threads: number;
  readonly totalMs: Summary;
  /** medians; weights and tokenizer run at the same time */
  readonly steps: readonly LoadStep[];
  readonly afterLoad: Memory;
  readonly context: number;
  /** with the context full */
  readonly afterContext: Memory;
}

/** The measured process: loads, and where `context` is not 0 fills that many positions. */
async function load(path: string, threads: number, context: number): Promise<Load> {
  await using engine = await loadEngine(path, { threads, contextLength: 2048 });
  if (context > 0) {
    await using session = engine.session();
    await generationRate(session, promptFor(engine, context - 16), 15);
  }
  const { totalMs, steps } = engine.loadReport;
  const memory = {
    residentBytes: process.memoryUsage.rss(),
    maxResidentBytes: 1024 * process.resourceUsage().maxRSS,
    backendBytes: engine.memoryBytes,
  };
  return { totalMs, steps, memory };
}

async function loadInChild(path: string, threads: number, context: number): Promise<Load> {
  const args = [path, `${threads}`, `${context}`];
  const child = fork(fileURLToPath(import.meta.url), process.argv.slice(2), {
    env: { ...process.env, TERNION_BENCH_LOAD: JSON.stringify(args) },
  });
  const [[result]] = await Promise.all([once(child, "message"), once(child, "exit")]);
  return result as Load;
}

async function measure(): Promise<void> {
  const { values } = parseArgs({ options: ENGINE });
  const path = await modelPath(values.model);
  const threads = availableProcessors();
  const context = values.quick ? 128 : 2048;
  await loadInChild(path, threads, 0); // brings the file into the page cache
  const loads: Load[] = [];
  for (let i = 0; i < (values.quick ? 2 : integer("repetitions", values.repetitions)); i++) {
    loads.push(await loadInChild(path, threads, 0));
    process.stderr.write(`load ${loads[i].totalMs.toFixed(0)} ms\n`);
  }
  const steps = loads[0].steps.map(({ component, bytes }, i) => {
    return { component, bytes, ms: median(loads.map((one) => one.steps[i].ms)) };
  });
  const { memory } = await loadInChild(path, threads, context);
  process.stderr.write(`resident with ${context} positions: ${(memory.residentBytes / 1e6).toFixed(0)} MB\n`);
  const { head, kv } = tuningOptions();
  const figures = {
    head,
    kv,
    threads,
    totalMs: summary(loads.map(({ totalMs }) => totalMs)),
    steps,
    afterLoad: loads[0].memory,
    context,
    afterContext: memory,
  };
  await writeResult(values.machine, resultName("load"), figures satisfies LoadFigures);
}

await main(async () => {
  const asked = process.env.TERNION_BENCH_LOAD;
  if (asked === undefined) return measure();
  const [path, threads, context] = JSON.parse(asked) as string[];
  process.send?.(await load(path, Number(threads), Number(context)));
});
