/**
 * Tokens a second of many sessions at once in one engine: each with a prompt of its own, greedy, no prefix shared. The time
 * is from the first token of the last session to the end of the first one, in which all generate.
 *
 *   npm run build && node dist/bench/sessions.js [--model FILE] [--backend cpu|gpu] [--threads 2] [--sessions 1,2,4,8]
 *     [--prompt 16] [--tokens 64] [--repetitions 5] [--head exact|f16|int8] [--kv f32|i16] [--machine NAME] [--quick]
 */
import { parseArgs } from "node:util";
import { promptFor } from "../src/cli/fixed-prompt.js";
import { Engine } from "../src/index.js";
import { ENGINE, resultName, tuningOptions } from "./engine.js";
import { modelPath } from "./model.js";
import { choice, integer, integers, main } from "./options.js";
import { writeResult } from "./results.js";
import { type Summary, summary } from "./statistics.js";

export interface SessionsRow {
  readonly sessions: number;
  /** of all together */
  readonly tokensPerSecond: Summary;
}
export interface SessionsFigures {
  readonly description: string;
  /** the ternary kernel of the CPU, or the GPU */
  readonly on: string;
  readonly rows: readonly SessionsRow[];
}

/** When each token of an answer came. */
async function times(engine: Engine, prompt: readonly number[], tokens: number): Promise<number[]> {
  await using session = engine.session();
  const at: number[] = [];
  const options = { maxTokens: tokens, ignoreEnd: true, temperature: 0 };
  for await (const { id } of session.generate(prompt, options)) {
    if (id !== undefined) at.push(performance.now());
  }
  return at;
}

async function rate(engine: Engine, sessions: number, { prompt, tokens }: { prompt: number; tokens: number }) {
  const ids = promptFor(engine, prompt + sessions);
  const prompts = Array.from({ length: sessions }, (_, i) => ids.slice(i, i + prompt));
  const all = await Promise.all(prompts.map((one) => times(engine, one, tokens)));
  const begin = Math.max(...all.map((at) => at[0]));
  const end = Math.min(...all.map((at) => at.at(-1) as number));
  const within = all.flat().filter((time) => time > begin && time <= end).length;
  return (1000 * within) / (end - begin);
}

await main(async () => {
  const { values } = parseArgs({
    options: {
      ...ENGINE,
      backend: { type: "string", default: "cpu" },
      sessions: { type: "string", default: "1,2,4,8" },
      prompt: { type: "string", default: "16" },
      tokens: { type: "string", default: "64" },
    },
  });
  const backend = choice("backend", values.backend, ["cpu", "gpu"]) ?? "cpu";
  const counts = integers("sessions", values.sessions);
  const each = { prompt: integer("prompt", values.prompt), tokens: integer("tokens", values.tokens) };
  const repetitions = values.quick ? 2 : integer("repetitions", values.repetitions);
  await using engine = await Engine.load(await modelPath(values.model), {
    backend,
    ...(backend === "cpu" && { threads: Math.max(...integers("threads", values.threads)) }),
    maxSessions: Math.max(...counts),
    contextLength: Math.min(2048, 2 * (each.prompt + each.tokens)),
    tuning: tuningOptions(),
  });
  const samples = counts.map((): number[] => []);
  for (let round = -1; round < repetitions; round++) {
    for (const [i, sessions] of counts.entries()) {
      const sample = await rate(engine, sessions, each);
      if (round >= 0) samples[i].push(sample); // the first round compiles and warms up
    }
  }
  const rows = counts.map((sessions, i) => ({ sessions, tokensPerSecond: summary(samples[i]) }));
  for (const { sessions, tokensPerSecond } of rows)
    process.stderr.write(`${sessions} sessions: ${tokensPerSecond.median.toFixed(1)} tokens/s\n`);
  const figures: SessionsFigures = { description: engine.description, on: backend, rows };
  await writeResult(values.machine, `${resultName("sessions")}${backend === "gpu" ? "-gpu" : ""}`, figures);
});
