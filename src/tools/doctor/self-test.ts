/**
 * The self-test of a backend: a question put to the model in the box, answered greedily, and the answer compared with the
 * one of the reference backend, which shares no kernel with it, token by token.
 */

import { Engine } from "../../engine/engine.js";
import type { BackendName, EngineOptions } from "../../engine/options.js";
import { TernionError } from "../../errors.js";
import { collect } from "../../run/generate.js";

export const QUESTION = "What is the capital of France?";
const EXPECTED = /\bParis\b/;
const MOST_TOKENS = 24;

export interface Answer {
  readonly text: string;
  readonly ids: readonly number[];
}

/** A short answer of one backend, beside the reference backend's. */
export interface SelfTest {
  readonly backend: BackendName;
  /** "cpu: 2 threads, relaxed SIMD, int16 dot"; absent where the backend could not be loaded */
  readonly description?: string;
  /** "unavailable": the backend cannot run here; no answer of it is wrong */
  readonly outcome: "passed" | "failed" | "unavailable";
  readonly answer?: string;
  /** from loading to the end of the answer, milliseconds */
  readonly ms: number;
  /** what went wrong, or why it is unavailable */
  readonly problem?: string;
}

/** The reference backend's answer of the model at `path`. */
export async function referenceAnswer(path: string): Promise<Answer> {
  await using engine = await load(path, { backend: "reference" });
  return await answer(engine);
}

/** Never rejects: what goes wrong is in `problem`. */
export async function selfTest(path: string, options: EngineOptions, expected: Answer): Promise<SelfTest> {
  const { backend = "auto" } = options;
  const start = performance.now();
  let found: { description?: string; answer?: string; problem?: string } = {};
  let unavailable = false;
  try {
    await using engine = await load(path, options);
    const { text, ids } = await answer(engine);
    found = { description: engine.description, answer: text, ...problemOf({ text, ids }, expected) };
  } catch (error) {
    found = { problem: (error as Error).message };
    unavailable = error instanceof TernionError && error.code === "BACKEND_UNAVAILABLE";
  }
  const outcome = found.problem === undefined ? "passed" : unavailable ? "unavailable" : "failed";
  return { backend, outcome, ms: performance.now() - start, ...found };
}

function load(path: string, options: EngineOptions): Promise<Engine> {
  return Engine.load(path, { ...options, contextLength: 64, maxSessions: 1 });
}

async function answer(engine: Engine): Promise<Answer> {
  await using session = engine.session();
  const { text, ids } = await collect(session.generate(QUESTION, { temperature: 0, maxTokens: MOST_TOKENS }));
  return { text: text.trim(), ids };
}

/** What is wrong with an answer; an empty object where nothing is. */
export function problemOf(got: Answer, expected: Answer): { problem?: string } {
  const length = Math.max(got.ids.length, expected.ids.length);
  for (let i = 0; i < length; i++) {
    if (got.ids[i] === expected.ids[i]) continue;
    const [here, there] = [got.ids[i] ?? "the end", expected.ids[i] ?? "the end"];
    return { problem: `token ${i} of the answer: expected ${there} as on the reference backend, got ${here}` };
  }
  if (EXPECTED.test(got.text)) return {};
  return { problem: `the answer: expected it to name Paris, got ${JSON.stringify(got.text)}` };
}
