/**
 * Whether Ternion and node-llama-cpp compute the same: logits of a prompt, position by position, and greedy ids, of small random
 * models in types that both read, and of copies of them in F32. Of the copies neither engine rounds anything; in the other
 * types the distance of each engine from its own copy says what it rounds. Prints the table of docs/model.md.
 *
 *   npm run build && node dist/bench/agreement.js
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { collect, Engine } from "../src/index.js";
import { writeFloatCopy } from "./agreement/float-copy.js";
import type { FormatName } from "./make-model/shapes.js";
import { main } from "./options.js";
import { installPeer } from "./peers/install.js";
import { openPeer } from "./peers/node-llama-cpp.js";
import { ROOT } from "./results.js";

const FORMATS = ["llama-q8_0", "llama-f16", "llama-tq2_0", "qwen3-q8_0"] as const satisfies readonly FormatName[];
const VOCABULARY = 1024; // of the shape "tiny"
const PROMPT = Array.from({ length: 48 }, (_, i) => (i === 0 ? VOCABULARY - 3 : (i * 397) % VOCABULARY));
const GREEDY = 16;
const SETUP = { threads: 2, contextLength: 512 };

/** What an engine makes of the prompt. */
interface Computed {
  /** of each position */
  readonly logits: readonly Float32Array[];
  /** the ids that follow */
  readonly greedy: readonly number[];
}

async function ours(path: string): Promise<Computed> {
  await using engine = await Engine.load(path, { backend: "cpu", ...SETUP, tuning: { kv: "f32" } });
  const traced = (await engine.trace(PROMPT)).get("logits");
  if (traced === undefined) throw new Error(`${path}: expected logits in the trace, got none`);
  const { data, rows, width } = traced;
  await using session = engine.session();
  const { ids } = await collect(session.generate(PROMPT, { maxTokens: GREEDY, temperature: 0, ignoreEnd: true }));
  return {
    logits: Array.from({ length: rows }, (_, row) => data.subarray(row * width, (row + 1) * width)),
    greedy: ids,
  };
}

async function theirs(path: string): Promise<Computed> {
  const exact = { experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32", flashAttention: false };
  const { model, sequences } = await openPeer({ model: path, ...SETUP }, 1, PROMPT.length, exact);
  const [sequence] = sequences;
  const asked = PROMPT.map((id) => [id, { generateNext: { logits: true } }] as const);
  const logits = (await sequence.controlledEvaluate(asked)).map(({ next }) =>
    Float32Array.from({ length: VOCABULARY }, (_, id) => next.logits.get(id) ?? Number.NaN),
  );
  await sequence.clearHistory();
  const greedy: number[] = [];
  for await (const id of sequence.evaluate(PROMPT, { temperature: 0, yieldEogToken: true })) {
    greedy.push(id);
    if (greedy.length === GREEDY) break;
  }
  await model.dispose();
  return { logits, greedy };
}

/** Norm of the difference over the norm, the largest of all positions. */
function distance(a: Computed, b: Computed): number {
  return Math.max(...a.logits.map((row, i) => norm(row.map((x, id) => x - b.logits[i][id])) / norm(row)));
}
const norm = (x: Float32Array) => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));

/** How many of the greedy ids are the same before the first that is not. */
function agreed(a: Computed, b: Computed): string {
  const first = a.greedy.findIndex((id, i) => id !== b.greedy[i]);
  return `${first < 0 ? GREEDY : first} of ${GREEDY}`;
}

async function make(format: FormatName, path: string): Promise<void> {
  const args = [`${ROOT}dist/bench/make-model.js`, "--shape", "tiny", "--format", format, path];
  const [code] = await once(spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] }), "exit");
  if (code !== 0) throw new Error(`make-model: expected exit status 0, got ${code}`);
}

async function compare(format: FormatName, folder: string): Promise<string> {
  const [path, copy] = [join(folder, `${format}.gguf`), join(folder, `${format}-f32.gguf`)];
  await make(format, path);
  await writeFloatCopy(path, copy);
  const [us, usCopy] = [await ours(path), await ours(copy)];
  const [they, theirCopy] = [await theirs(path), await theirs(copy)];
  const distances = [
    [usCopy, theirCopy],
    [us, they],
    [us, usCopy],
    [they, theirCopy],
  ].map(([a, b]) => distance(a, b).toExponential(1));
  const cells = [`\`${format}\``, ...distances, agreed(usCopy, theirCopy), agreed(us, they)];
  return `| ${cells.join(" | ")} |`;
}

await main(async () => {
  await installPeer();
  const folder = await mkdtemp(join(tmpdir(), "ternion-agreement-"));
  const head = [
    "model",
    "copies in F32",
    "as stored",
    "we from our copy",
    "they from theirs",
    "ids of copies",
    "ids as stored",
  ];
  try {
    console.log(`| ${head.join(" | ")} |\n|${" --- |".repeat(head.length)}`);
    for (const format of FORMATS) console.log(await compare(format, folder));
  } finally {
    await rm(folder, { recursive: true });
  }
});
