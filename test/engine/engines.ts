/** What the engine's tests share: small models, greedy and varied answers, and the threads of this process. */
import { readdirSync } from "node:fs";
import { collect, Engine, type EngineOptions, type GenerateOptions, type Session } from "../../src/index.js";
import { repositoryFile } from "../golden.js";

export const TINY = repositoryFile("test/golden/tiny/model.gguf");
export const GQA = repositoryFile("test/golden/gqa/model.gguf");

export const PROMPT = "Once upon a time there was a small engine";

export const GREEDY = { temperature: 0, ignoreEnd: true } as const satisfies GenerateOptions;

/** Hot enough that the random models, whose logits lie far apart, do not repeat themselves: a wrong cache changes the ids. */
export const VARIED = {
  temperature: 14,
  topK: 0,
  topP: 1,
  minP: 0,
  seed: 7,
  ignoreEnd: true,
} as const satisfies GenerateOptions;

export async function withEngine<T>(options: EngineOptions, use: (engine: Engine) => Promise<T>, path = TINY) {
  const engine = await Engine.load(path, { backend: "cpu", threads: 2, contextLength: 512, ...options });
  try {
    return await use(engine);
  } finally {
    await engine.close();
  }
}

/** The ids of one answer. */
export async function idsOf(session: Session, prompt: string | readonly number[], options: GenerateOptions) {
  return (await collect(session.generate(prompt, options))).ids;
}

let salts = 0;

/** The ids of one answer in a session of its own, which finds nothing in the cache. */
export async function freshIds(engine: Engine, prompt: string | readonly number[], options: GenerateOptions) {
  const session = engine.session({ cacheSalt: `fresh ${salts++}` });
  try {
    return await idsOf(session, prompt, options);
  } finally {
    await session.close();
  }
}

/** `count` ids from all over a vocabulary of `size`, the same for a `seed`. */
export function someIds(count: number, size = 300, seed = 1): number[] {
  return Array.from({ length: count }, (_, i) => (((i + seed) * 2_654_435_761) >>> 8) % size);
}

/** Threads of this process; undefined where the system does not list them. */
export function threadCount(): number | undefined {
  return process.platform === "linux" ? readdirSync("/proc/self/task").length : undefined;
}

/** The system takes a moment to end a thread that was joined: waits until the count stands still, or is the one expected. */
export async function settledThreads(expected?: number): Promise<number | undefined> {
  let count = threadCount();
  for (let same = 0, tries = 0; same < 5 && tries < 100; tries++) {
    if (expected !== undefined && count === expected) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
    const now = threadCount();
    same = now === count && expected === undefined ? same + 1 : 0;
    count = now;
  }
  return count;
}
