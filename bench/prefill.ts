/**
 * Prompt speed from an empty cache, by length and thread count, with the time of each op.
 *
 *   npm run build && node dist/bench/prefill.js [--model FILE] [--prompts 128,512] [--threads 1,2] [--repetitions 5]
 *     [--head exact|f16|int8] [--kv f32|i16] [--revectorize] [--machine NAME] [--quick]
 */
import { parseArgs } from "node:util";
import { promptFor } from "../src/cli/fixed-prompt.js";
import type { Engine } from "../src/index.js";
import { ENGINE, loadEngine, type OpShare, perToken, promptRate, resultName } from "./engine.js";
import { modelPath } from "./model.js";
import { integer, integers, main } from "./options.js";
import { writeResult } from "./results.js";
import { type Summary, summary } from "./statistics.js";
import { ternaryWeights } from "./weights.js";

export interface PrefillRow {
  readonly threads: number;
  readonly prompt: number;
  readonly tokensPerSecond: Summary;
  readonly ops: readonly OpShare[];
  /** 10^9 ternary multiplications with addition a second, within their op */
  readonly ternaryGmacPerSecond: number;
}
export interface PrefillFigures {
  readonly description: string;
  readonly rows: readonly PrefillRow[];
}

async function measure(engine: Engine, threads: number, length: number, repetitions: number): Promise<PrefillRow> {
  await using session = engine.session({ cacheSalt: `${length}` }); // finds nothing of shorter ones
  const ids = promptFor(engine, length);
  await promptRate(session, ids);
  engine.takeProfile();
  const rates: number[] = [];
  for (let i = 0; i < repetitions; i++) rates.push(await promptRate(session, ids));
  const ops = perToken(engine.takeProfile(), repetitions * length);
  const ternary = ops.find(({ op }) => op === "ternary")?.ms ?? 0;
  const tokensPerSecond = summary(rates);
  process.stderr.write(`${threads} threads, prompt of ${length}: ${tokensPerSecond.median.toFixed(1)} tokens/s\n`);
  const ternaryGmacPerSecond = ternaryWeights(engine.config) / ternary / 1e6;
  return { threads, prompt: length, tokensPerSecond, ops, ternaryGmacPerSecond };
}

await main(async () => {
  const { values } = parseArgs({ options: { ...ENGINE, prompts: { type: "string", default: "128,512" } } });
  const lengths = values.quick ? [128] : integers("prompts", values.prompts);
  const repetitions = values.quick ? 2 : integer("repetitions", values.repetitions);
  const path = await modelPath(values.model);
  const rows: PrefillRow[] = [];
  let description = "";
  for (const threads of integers("threads", values.threads)) {
    await using engine = await loadEngine(path, { threads, profile: true, contextLength: Math.max(...lengths) });
    description = engine.description;
    for (const length of lengths) rows.push(await measure(engine, threads, length, repetitions));
  }
  await writeResult(values.machine, resultName("prefill"), { description, rows } satisfies PrefillFigures);
});
