/**
 * Generation speed after contexts of several lengths, by thread count, with the time of each op.
 *
 *   npm run build && node dist/bench/decode.js [--model FILE] [--contexts 128,256] [--threads 1,2] [--tokens 16]
 *     [--repetitions 5] [--head exact|f16|int8] [--kv f32|i16] [--revectorize] [--machine NAME] [--quick]
 */

import { parseArgs } from "node:util";
import { readBandwidth } from "../src/backend/cpu/bandwidth.js";
import { promptFor } from "../src/cli/fixed-prompt.js";
import type { Engine } from "../src/index.js";
import { ENGINE, generationRate, loadEngine, type OpShare, perToken, resultName, tuningOptions } from "./engine.js";
import { modelPath } from "./model.js";
import { integer, integers, main } from "./options.js";
import { writeResult } from "./results.js";
import { type Summary, summary } from "./statistics.js";
import { ternaryBytes } from "./weights.js";

export interface DecodeRow {
  readonly threads: number;
  readonly context: number;
  readonly tokensPerSecond: Summary;
  readonly msPerToken: number;
  readonly ops: readonly OpShare[];
  /** part of a token in which no op runs: sampling, JavaScript, messages */
  readonly outsideOps: number;
  /** bytes of ternary weights over the time of the op, against what the threads can read */
  readonly ternaryShareOfRead: number;
}
export interface DecodeFigures {
  readonly description: string;
  readonly head: string;
  readonly kv: string;
  readonly tokens: number;
  /** GB/s by number of threads, measured before each engine was loaded */
  readonly readBandwidth: Readonly<Record<string, number>>;
  readonly rows: readonly DecodeRow[];
}

async function measure(engine: Engine, threads: number, options: Options, read: number): Promise<DecodeRow[]> {
  await using session = engine.session();
  const ids = promptFor(engine, Math.max(...options.contexts));
  const bytes = ternaryBytes(engine.config);
  const rows: DecodeRow[] = [];
  // ascending: each context is found in the cache but for what is new
  for (const context of options.contexts) {
    const run = () => generationRate(session, ids.slice(0, context), options.tokens);
    await run();
    engine.takeProfile();
    const rates: number[] = [];
    for (let i = 0; i < options.repetitions; i++) rates.push(await run());
    const tokensPerSecond = summary(rates);
    // a run makes one pass more than it counts: the one whose logits are the first token's
    const ops = perToken(engine.takeProfile(), options.repetitions * (options.tokens + 1));
    const msPerToken = 1000 / tokensPerSecond.median;
    const inOps = ops.reduce((sum, { ms }) => sum + ms, 0);
    const ternary = ops.find(({ op }) => op === "ternary")?.ms ?? 0;
    rows.push({
      threads,
      context,
      tokensPerSecond,
      msPerToken,
      ops,
      outsideOps: 1 - inOps / mean(rates.map((rate) => 1000 / rate)),
      ternaryShareOfRead: (1000 * bytes) / ternary / read,
    });
    process.stderr.write(`${threads} threads, context ${context}: ${tokensPerSecond.median.toFixed(2)} tokens/s\n`);
  }
  return rows;
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

interface Options {
  readonly contexts: readonly number[];
  readonly tokens: number;
  readonly repetitions: number;
}

await main(async () => {
  const { values } = parseArgs({
    options: {
      ...ENGINE,
      contexts: { type: "string", default: "128,256,1024,4096" },
      tokens: { type: "string", default: "16" },
    },
  });
  const options: Options = {
    contexts: values.quick ? [128, 256] : integers("contexts", values.contexts).sort((a, b) => a - b),
    tokens: integer("tokens", values.tokens),
    repetitions: values.quick ? 2 : integer("repetitions", values.repetitions),
  };
  const path = await modelPath(values.model);
  const { head, kv } = tuningOptions();
  const readBandwidths: Record<string, number> = {};
  const rows: DecodeRow[] = [];
  let description = "";
  for (const threads of integers("threads", values.threads)) {
    const read = await readBandwidth(threads);
    readBandwidths[threads] = read / 1e9;
    // room after the longest context, as far as the model goes
    const longest = Math.max(...options.contexts);
    const contextLength = Math.min(4096, longest + options.tokens);
    const contexts = options.contexts.map((context) => Math.min(context, contextLength - options.tokens));
    await using engine = await loadEngine(path, { threads, profile: true, contextLength });
    description = engine.description;
    rows.push(...(await measure(engine, threads, { ...options, contexts }, read)));
  }
  const figures = { description, head, kv, tokens: options.tokens, readBandwidth: readBandwidths, rows };
  await writeResult(values.machine, resultName("decode"), figures satisfies DecodeFigures);
});
