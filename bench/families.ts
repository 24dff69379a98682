/**
 * Families and types beside node-llama-cpp, in alternation, each engine in a process of its own that is idle while the other runs:
 * prompt and generation of shapes with random weights, and how fast the matrices are read, beside those of the 2B-4T shape in
 * I2_S. The ratios are medians of the rounds' ratios. What node-llama-cpp cannot load stands without it.
 *
 *   npm run bench:families -- [--rounds 5] [--threads 2] [--context 128] [--tokens 32] [--prompt 256] [--large]
 *     [--only llama-q8_0,qwen3-q2_0] [--machine NAME]
 *
 * `--large` adds qwen3 in the 8B shape, 2.3 GB.
 */
import { parseArgs } from "node:util";
import { promptFor } from "../src/cli/fixed-prompt.js";
import { readGguf } from "../src/engine/input.js";
import { ENGINE, generationRate, loadEngine, perToken } from "./engine.js";
import { type Made, madeModel } from "./model.js";
import { integer, main } from "./options.js";
import { installPeer } from "./peers/install.js";
import { Peer, type Question, type Setup } from "./peers/protocol.js";
import { writeResult } from "./results.js";
import { medianRatio, type Summary, summary } from "./statistics.js";

const MODELS: readonly Made[] = [
  { shape: "2B-4T", format: "i2_s" },
  { shape: "1.1B", format: "llama-q8_0", head: "q8_0" },
  { shape: "1.1B", format: "llama-tq2_0", head: "q6_k" },
  { shape: "1.7B", format: "qwen3-q2_0" },
];
const LARGE: Made = { shape: "8B", format: "qwen3-q2_0" };

export interface Speed {
  /** tokens a second, by round */
  readonly ours: Summary;
  /** absent where node-llama-cpp cannot load the model */
  readonly theirs?: Summary;
  readonly ratio?: number;
}
export interface FamilyRow {
  readonly model: string;
  readonly generate: Speed;
  readonly prompt: Speed;
  /** GB/s of the matrices' bytes over the time of their ops, in generation */
  readonly matrices: number;
  /** of that of I2_S */
  readonly ofTernary: number;
}
export interface FamilyFigures {
  readonly ours: string;
  readonly threads: number;
  readonly rows: readonly FamilyRow[];
}

interface Options {
  readonly rounds: number;
  readonly threads: number;
  readonly generate: Extract<Question, { kind: "generate" }>;
  readonly prompt: Extract<Question, { kind: "prompt" }>;
}

async function speed(ours: Peer, theirs: Peer | undefined, question: Question, rounds: number): Promise<Speed> {
  const rates = { ours: [] as number[], theirs: [] as number[] };
  for (let round = -1; round < rounds; round++) {
    const [a, b] = [await ours.measure(question), await theirs?.measure(question)];
    if (round < 0) continue; // warm-up
    rates.ours.push(a);
    if (b !== undefined) rates.theirs.push(b);
    process.stderr.write(`${question.kind}: ${a.toFixed(2)} / ${b?.toFixed(2) ?? "-"} tokens/s\n`);
  }
  if (theirs === undefined) return { ours: summary(rates.ours) };
  return { ours: summary(rates.ours), theirs: summary(rates.theirs), ratio: medianRatio(rates.ours, rates.theirs) };
}

/** Bytes of the matrices of the blocks, in the file. */
async function matrixBytes(path: string): Promise<number> {
  const { tensors } = await readGguf(path);
  const matrices = [...tensors.values()].filter(({ name, dims }) => name.startsWith("blk.") && dims.length === 2);
  return matrices.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

const MATRIX_OPS = ["ternary", "linear", "fixedPoint"];

/** GB/s of the matrices in generation. */
async function matrixRate(path: string, { threads, generate }: Options, contextLength: number): Promise<number> {
  await using engine = await loadEngine(path, { threads, contextLength, profile: true });
  await using session = engine.session();
  const run = () => generationRate(session, promptFor(engine, generate.context), generate.tokens);
  await run();
  engine.takeProfile();
  await run();
  // a run makes one pass more than it counts
  const ops = perToken(engine.takeProfile(), generate.tokens + 1).filter(({ op }) => MATRIX_OPS.includes(op));
  return (await matrixBytes(path)) / 1e6 / ops.reduce((sum, { ms }) => sum + ms, 0);
}

async function startPeer(setup: Setup): Promise<Peer | undefined> {
  try {
    return await Peer.start("theirs.js", setup, { node: process.execPath, args: [] });
  } catch {
    return undefined; // a type that it does not know; its own message is on stderr
  }
}

async function measure(made: Made, options: Options): Promise<Omit<FamilyRow, "ofTernary"> & { description: string }> {
  const model = await madeModel(made);
  const { threads, rounds, generate, prompt } = options;
  const contextLength = Math.max(generate.context + generate.tokens + 8, prompt.tokens);
  const setup = { model, threads, contextLength };
  const matrices = await matrixRate(model, options, contextLength);
  const ours = await Peer.start("ours.js", setup, { node: process.execPath, args: [] });
  const theirs = made.format === "i2_s" ? undefined : await startPeer(setup);
  const speeds = {
    generate: await speed(ours, theirs, generate, rounds),
    prompt: await speed(ours, theirs, prompt, rounds),
  };
  await Promise.all([ours.stop(), theirs?.stop()]);
  return { model: `${made.shape} ${made.format}`, ...speeds, matrices, description: ours.description };
}

function line({ model, generate, prompt, matrices, ofTernary }: FamilyRow): string {
  const cells = ({ ours, theirs, ratio }: Speed) => [
    ours.median.toFixed(2),
    theirs?.median.toFixed(2) ?? "",
    ratio?.toFixed(2) ?? "",
  ];
  return `| ${[model, ...cells(generate), ...cells(prompt), matrices.toFixed(1), ofTernary.toFixed(2)].join(" | ")} |`;
}

await main(async () => {
  const { values } = parseArgs({
    options: {
      ...ENGINE,
      threads: { type: "string", default: "2" },
      rounds: { type: "string", default: "5" },
      context: { type: "string", default: "128" },
      tokens: { type: "string", default: "32" },
      prompt: { type: "string", default: "256" },
      large: { type: "boolean", default: false },
      only: { type: "string" },
    },
  });
  const options: Options = {
    rounds: values.quick ? 2 : integer("rounds", values.rounds),
    threads: integer("threads", values.threads),
    generate: {
      kind: "generate",
      context: integer("context", values.context),
      tokens: integer("tokens", values.tokens),
    },
    prompt: { kind: "prompt", tokens: integer("prompt", values.prompt) },
  };
  await installPeer();
  const all = values.large ? [...MODELS, LARGE] : MODELS;
  const only = values.only?.split(",");
  const models = all.filter(({ format }) => format === "i2_s" || (only?.includes(format) ?? true));
  const rows: FamilyRow[] = [];
  let description = "";
  const titles = [
    "model",
    "generation",
    "llama.cpp",
    "ratio",
    "prompt",
    "llama.cpp",
    "ratio",
    "matrices GB/s",
    "of I2_S",
  ];
  console.log(`| ${titles.join(" | ")} |\n|${" --- |".repeat(titles.length)}`);
  for (const made of models) {
    const { description: described, ...row } = await measure(made, options);
    description = described;
    rows.push({ ...row, ofTernary: row.matrices / (rows[0]?.matrices ?? row.matrices) });
    console.log(line(rows[rows.length - 1]));
  }
  const figures = { ours: description, threads: options.threads, rows };
  if (only === undefined) await writeResult(values.machine, "families", figures satisfies FamilyFigures);
});
