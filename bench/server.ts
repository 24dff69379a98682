/**
 * The server with several clients, beside node-llama-cpp with as many sequences: the 2B-4T shape, the same ternary weights,
 * each in a process of its own that is idle while the other runs. Time to the first token of a prompt alone and beside a
 * running answer, how long that one pauses, and tokens a second of 1 to 16 clients together.
 *
 *   npm run build && node dist/bench/server.js [--threads 2] [--clients 1,4,8,16] [--prompt 64] [--tokens 64] [--long 512]
 *     [--rounds 3] [--model FILE] [--peer-model FILE] [--alone] [--machine NAME] [--quick]
 *
 * `--alone` leaves the peer out.
 */
import { parseArgs } from "node:util";
import { type GgufArray, openHead } from "../src/index.js";
import { modelPath } from "./model.js";
import { COMMON, integer, integers, main } from "./options.js";
import { installPeer } from "./peers/install.js";
import { Peer } from "./peers/protocol.js";
import { writeResult } from "./results.js";
import { OurServer } from "./server/ours.js";
import type { ServerFigure, ServerQuestion } from "./server/questions.js";
import { type Summary, summary } from "./statistics.js";

interface Subject {
  readonly description: string;
  measure(question: ServerQuestion): Promise<ServerFigure>;
  stop(): Promise<void>;
}

export interface ServerRow {
  readonly question: ServerQuestion;
  /** by the name of the figure, over the rounds */
  readonly ours: Readonly<Record<string, Summary>>;
  readonly theirs?: Readonly<Record<string, Summary>>;
}

export interface ServerFigures {
  readonly ours: string;
  readonly theirs?: string | undefined;
  readonly threads: number;
  readonly rows: readonly ServerRow[];
}

async function row(question: ServerQuestion, ours: Subject, theirs: Subject | undefined, rounds: number) {
  const samples: { ours: ServerFigure[]; theirs: ServerFigure[] } = { ours: [], theirs: [] };
  for (let round = 0; round < rounds; round++) {
    samples.ours.push(await ours.measure(question));
    if (theirs !== undefined) samples.theirs.push(await theirs.measure(question));
    process.stderr.write(`${JSON.stringify([question, samples.ours.at(-1), samples.theirs.at(-1)])}\n`);
  }
  const all = { question, ours: summaries(samples.ours) };
  return (theirs === undefined ? all : { ...all, theirs: summaries(samples.theirs) }) satisfies ServerRow;
}

function summaries(figures: readonly ServerFigure[]): Record<string, Summary> {
  return Object.fromEntries(
    Object.keys(figures[0]).map((name) => [name, summary(figures.map((figure) => figure[name]))]),
  );
}

await main(async () => {
  const { values } = parseArgs({
    options: {
      ...COMMON,
      threads: { type: "string", default: "2" },
      rounds: { type: "string", default: "3" },
      clients: { type: "string", default: "1,4,8,16" },
      prompt: { type: "string", default: "64" },
      tokens: { type: "string", default: "64" },
      long: { type: "string", default: "512" },
      "peer-model": { type: "string" },
      alone: { type: "boolean", default: false },
    },
  });
  const [prompt, tokens, long] = [
    integer("prompt", values.prompt),
    integer("tokens", values.tokens),
    integer("long", values.long),
  ];
  const rounds = values.quick ? 1 : integer("rounds", values.rounds);
  const setup = { threads: integer("threads", values.threads), contextLength: Math.max(2048, long + tokens) };
  const model = await modelPath(values.model);
  const { metadata } = await openHead(model);
  const vocabulary = metadata.get("tokenizer.ggml.tokens") as GgufArray;
  const questions: ServerQuestion[] = [
    { kind: "beside", prompt: long, running: false },
    { kind: "beside", prompt: long, running: true },
    ...integers("clients", values.clients).map((clients) => ({ kind: "clients", clients, prompt, tokens }) as const),
  ];
  const ours = await OurServer.start({ ...setup, model }, vocabulary.values.length);
  let theirs: Subject | undefined;
  try {
    theirs = values.alone ? undefined : await startPeer(setup, values["peer-model"]);
    const rows: ServerRow[] = [];
    for (const question of questions) rows.push(await row(question, ours, theirs, rounds));
    const described = { ours: ours.description, theirs: theirs?.description, threads: setup.threads };
    await writeResult(values.machine, "server", { ...described, rows } satisfies ServerFigures);
  } finally {
    await Promise.all([ours.stop(), theirs?.stop()]);
  }
});

async function startPeer(
  setup: { threads: number; contextLength: number },
  given: string | undefined,
): Promise<Subject> {
  await installPeer();
  const model = await modelPath(given, "tq2_0");
  return Peer.start<ServerQuestion, ServerFigure>(
    "../server/theirs.js",
    { ...setup, model },
    { node: process.execPath, args: [] },
  );
}
