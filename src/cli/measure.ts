/** What `bench` measures, and how: runs from an empty cache, timed as a whole, after one that is not counted. */
import { createHash } from "node:crypto";
import { collect, type Engine, type Session } from "../index.js";
import { promptFor } from "./fixed-prompt.js";

/** "pp": a prompt of so many tokens. "tg": so many tokens generated one by one. */
export interface Test {
  readonly kind: "pp" | "tg";
  readonly tokens: number;
}

/** Length of the prompt whose logits are hashed. */
export const HASHED_TOKENS = 16;

type Run = (engine: Engine, session: Session, tokens: number, signal: AbortSignal) => Promise<void>;

/** Computes a prompt; nothing is sampled. */
export const promptRun: Run = async (engine, session, tokens, signal) => {
  session.reset();
  await collect(session.generate(promptFor(engine, tokens), { maxTokens: 0, signal }));
};

/** One pass for each token, the first of them over one token; greedy, which costs next to nothing. */
export const generationRun: Run = async (engine, session, tokens, signal) => {
  session.reset();
  const options = { maxTokens: tokens, ignoreEnd: true, temperature: 0, signal };
  await collect(session.generate(promptFor(engine, 1), options));
};

/** Nanoseconds of each repetition. `afterWarmUp` comes between the run that does not count and those that do. */
export async function measure(
  run: () => Promise<void>,
  repetitions: number,
  afterWarmUp: () => void,
): Promise<number[]> {
  await run();
  afterWarmUp();
  const samples: number[] = [];
  for (let i = 0; i < repetitions; i++) {
    const start = process.hrtime.bigint();
    await run();
    samples.push(Number(process.hrtime.bigint() - start));
  }
  return samples;
}

/** The same for every seed, thread count and kernel: sha256 of all logits after a fixed prompt, its first 16 digits. */
export async function logitsHash(engine: Engine): Promise<string> {
  const logits = (await engine.trace(promptFor(engine, HASHED_TOKENS))).get("logits");
  if (logits === undefined) throw new Error("logits hash: expected the backend to trace logits, got none");
  const { buffer, byteOffset, byteLength } = logits.data;
  return createHash("sha256")
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest("hex")
    .slice(0, 16);
}
