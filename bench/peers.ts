/**
 * Ternion beside node-llama-cpp on the same machine in the same minutes: the 2B-4T shape, the same ternary weights (I2_S
 * here, TQ2_0 there), in alternation, each engine in a process of its own that is idle while the other runs. The ratio is
 * the median of the rounds' ratios.
 *
 *   npm run build && node dist/bench/peers.js [--node PATH] [--revectorize] [--rounds 5] [--threads 1,2] [--context 256]
 *     [--tokens 32] [--prompt 512] [--head exact|f16|int8] [--kv f32|i16] [--machine NAME] [--quick]
 *
 * `--context 0` leaves the generation out, `--prompt 0` the prompt. Prompts are measured with the most threads only.
 */
import { parseArgs } from "node:util";
import { ENGINE, resultName, tuningOptions } from "./engine.js";
import { modelPath } from "./model.js";
import { integer, integers, main } from "./options.js";
import { installPeer } from "./peers/install.js";
import { Peer, type Question } from "./peers/protocol.js";
import { writeResult } from "./results.js";
import { medianRatio, type Summary, summary } from "./statistics.js";

export interface PeerRow {
  readonly threads: number;
  readonly question: Question;
  /** tokens a second, by round */
  readonly ours: Summary;
  readonly theirs: Summary;
  readonly ratio: number;
}
export interface PeerFigures {
  readonly ours: string;
  readonly theirs: string;
  readonly head: string;
  readonly kv: string;
  readonly revectorize: boolean;
  readonly rows: readonly PeerRow[];
}

interface Measured {
  readonly ours: Peer;
  readonly theirs: Peer;
}

async function compare({ ours, theirs }: Measured, threads: number, question: Question, rounds: number) {
  const rates = { ours: [] as number[], theirs: [] as number[] };
  for (let round = -1; round < rounds; round++) {
    const [a, b] = [await ours.measure(question), await theirs.measure(question)];
    if (round < 0) continue; // warm-up
    rates.ours.push(a);
    rates.theirs.push(b);
    process.stderr.write(`${threads} threads, ${question.kind}: ${a.toFixed(2)} / ${b.toFixed(2)} tokens/s\n`);
  }
  const ratio = medianRatio(rates.ours, rates.theirs);
  return { threads, question, ours: summary(rates.ours), theirs: summary(rates.theirs), ratio } satisfies PeerRow;
}

await main(async () => {
  const { values } = parseArgs({
    options: {
      ...ENGINE,
      node: { type: "string", default: process.execPath },
      rounds: { type: "string", default: "5" },
      context: { type: "string", default: "256" },
      tokens: { type: "string", default: "32" },
      prompt: { type: "string", default: "512" },
      "peer-model": { type: "string" },
    },
  });
  const rounds = values.quick ? 2 : integer("rounds", values.rounds);
  const context = integer("context", values.context, 0);
  const tokens = integer("tokens", values.tokens);
  const promptTokens = integer("prompt", values.prompt, 0);
  const contextLength = Math.max(context + tokens + 8, promptTokens);
  const [model, peerModel] = [await modelPath(values.model), await modelPath(values["peer-model"], "tq2_0")];
  await installPeer();

  const threadCounts = integers("threads", values.threads);
  const { head, kv, revectorize } = tuningOptions();
  const args = ["--head", head, "--kv", kv, ...(revectorize ? ["--revectorize"] : [])];
  const rows: Record<Question["kind"], PeerRow[]> = { generate: [], prompt: [] };
  let described = { ours: "", theirs: "", versions: process.versions as { node: string; v8: string } };
  for (const threads of threadCounts) {
    const setup = { threads, contextLength };
    const { node } = values;
    const ours = await Peer.start("ours.js", { ...setup, model }, { node, args });
    const theirs = await Peer.start("theirs.js", { ...setup, model: peerModel }, { node, args: [] });
    described = { ours: ours.description, theirs: theirs.description, versions: ours.versions };
    const ask = async (question: Question) => {
      rows[question.kind].push(await compare({ ours, theirs }, threads, question, rounds));
    };
    if (context > 0) await ask({ kind: "generate", context, tokens });
    if (promptTokens > 0 && threads === Math.max(...threadCounts)) await ask({ kind: "prompt", tokens: promptTokens });
    await Promise.all([ours.stop(), theirs.stop()]);
  }
  const { ours, theirs, versions } = described;
  for (const kind of ["generate", "prompt"] as const) {
    if (rows[kind].length === 0) continue;
    const figures = { ours, theirs, head, kv, revectorize, rows: rows[kind] };
    await writeResult(values.machine, resultName(`peers-${kind}`), figures satisfies PeerFigures, versions);
  }
});
