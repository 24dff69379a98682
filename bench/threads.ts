/**
 * Tokens a second where threads have too few processors: N threads on one processor, and all beside a process that never
 * rests; and on a free machine, where none of what helps there may cost anything. Rounds alternate between all cases, and
 * with --base between this checkout and another one. One processor needs `taskset` (Linux).
 *
 *   npm run build && node dist/bench/threads.js [--model FILE] [--threads 1,2,4,16] [--prompt 256] [--tokens 400]
 *     [--repetitions 3] [--base CHECKOUT] [--machine NAME] [--quick]
 */
import { execFile, spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { availableProcessors } from "../src/platform/processors.js";
import { COMMON, integer, integers, main } from "./options.js";
import { ROOT, writeResult } from "./results.js";
import { type Summary, summary } from "./statistics.js";

const PLACES = ["one processor", "busy", "free"] as const;
type Place = (typeof PLACES)[number];

interface Case {
  readonly place: Place;
  readonly threads: number;
}
type Kind = "prompt" | "generation";

export interface ThreadsRow extends Case {
  readonly kind: Kind;
  readonly tokensPerSecond: Summary;
  /** of one thread in the same place and round */
  readonly ofOneThread: Summary;
  /** of the other checkout in the same round */
  readonly ofBase?: Summary;
}
export interface ThreadsFigures {
  readonly model: string;
  readonly rows: readonly ThreadsRow[];
}

type Rates = Readonly<Record<Kind, number>>;
type Measure = (checkout: string, place: Case) => Promise<Rates>;

/** Rates of one process of the command line. */
function measureWith(model: string, prompt: number, tokens: number): Measure {
  return async (checkout, { place, threads }) => {
    const program = join(checkout, "dist/src/cli/main.js");
    const options = ["-t", threads, "-p", prompt, "-n", tokens, "--repetitions", 3].map(String);
    const command = [process.execPath, program, "bench", "--model", model, "--backend", "cpu", ...options, "--json"];
    const [file, ...args] = place === "one processor" ? ["taskset", "-c", "0", ...command] : command;
    const other = place === "busy" ? spawn(process.execPath, ["-e", "for (;;);"]) : undefined;
    try {
      const { stdout } = await promisify(execFile)(file, args);
      const rows = JSON.parse(stdout) as { n_prompt: number; avg_ts: number }[];
      const rate = (isPrompt: boolean) => rows.find(({ n_prompt }) => n_prompt > 0 === isPrompt)?.avg_ts ?? Number.NaN;
      return { prompt: rate(true), generation: rate(false) };
    } finally {
      other?.kill();
    }
  };
}

function casesOf(threads: readonly number[]): Case[] {
  const cores = threads.filter((count) => count <= availableProcessors());
  return PLACES.flatMap((place) =>
    (place === "one processor" ? threads : cores).map((count) => ({ place, threads: count })),
  );
}

/** Rates by round, case by case. */
async function rounds(count: number, cases: readonly Case[], checkout: string, measure: Measure, base?: string) {
  const ours = cases.map((): Rates[] => []);
  const theirs = cases.map((): Rates[] => []);
  for (let round = 0; round < count; round++) {
    for (const [i, each] of cases.entries()) {
      ours[i].push(await measure(checkout, each));
      if (base !== undefined) theirs[i].push(await measure(base, each));
      const { prompt, generation } = ours[i][round];
      const rates = `${prompt.toFixed(0)} and ${generation.toFixed(0)} tokens/s`;
      process.stderr.write(`${each.place}, ${each.threads} threads: prompt and generation ${rates}\n`);
    }
  }
  return { ours, theirs };
}

await main(async () => {
  const options = {
    machine: COMMON.machine,
    model: COMMON.model,
    quick: COMMON.quick,
    threads: { type: "string", default: "1,2,4,16" },
    prompt: { type: "string", default: "256" },
    tokens: { type: "string", default: "400" },
    repetitions: { type: "string", default: "3" },
    base: { type: "string" },
  } as const;
  const { values } = parseArgs({ options });
  const model = resolve(values.model ?? `${ROOT}models/ternion-tiny.gguf`);
  const cases = casesOf(integers("threads", values.threads));
  const measure = measureWith(model, integer("prompt", values.prompt), integer("tokens", values.tokens));
  const count = values.quick ? 1 : integer("repetitions", values.repetitions);
  const base = values.base === undefined ? undefined : resolve(values.base);
  const { ours, theirs } = await rounds(count, cases, ROOT, measure, base);

  const rows = cases.flatMap((each, i) => {
    const one = ours[cases.findIndex(({ place, threads }) => place === each.place && threads === 1)] ?? ours[i];
    return (["prompt", "generation"] as const).map((kind): ThreadsRow => {
      const ratios = (others: readonly Rates[]) => summary(ours[i].map((rates, j) => rates[kind] / others[j][kind]));
      const ofBase = base === undefined ? {} : { ofBase: ratios(theirs[i]) };
      return {
        ...each,
        kind,
        tokensPerSecond: summary(ours[i].map((rates) => rates[kind])),
        ofOneThread: ratios(one),
        ...ofBase,
      };
    });
  });
  for (const { place, threads, kind, ofOneThread, ofBase } of rows) {
    const beside = ofBase === undefined ? "" : `, of base ${ofBase.median.toFixed(2)}`;
    process.stderr.write(
      `${place}, ${threads} threads, ${kind}: of one thread ${ofOneThread.median.toFixed(2)}${beside}\n`,
    );
  }
  await writeResult(values.machine, base === undefined ? "threads" : "threads-base", {
    model: model.replace(ROOT, ""),
    rows,
  } satisfies ThreadsFigures);
});
