/** The three standard prompts, and what a model answers to them greedily. */
import type { Engine } from "../../engine/engine.js";
import type { Finish } from "../../run/generate.js";

export const PROMPTS = [
  "Write a Python function to calculate fibonacci:",
  "What is the capital of France?",
  "Explain quantum computing in simple terms:",
] as const;

/** The answer to one of the report's prompts. */
export interface PromptResult {
  readonly prompt: string;
  readonly text: string;
  readonly tokens: number;
  /** "stop", "length", "context", or "time": the time limit of the report */
  readonly ended: Finish["reason"] | "time";
  /** tokens a second after the first; absent where there is none */
  readonly tokensPerSecond?: number;
}

interface PromptOptions {
  readonly maxTokens: number;
  /** for all of them together; at least two tokens of each come in any case */
  readonly ms: number;
  readonly signal?: AbortSignal | undefined;
}

export async function runPrompts(engine: Engine, options: PromptOptions): Promise<PromptResult[]> {
  const results: PromptResult[] = [];
  for (const prompt of PROMPTS) results.push(await runPrompt(engine, prompt, options));
  return results;
}

async function runPrompt(
  engine: Engine,
  prompt: string,
  { maxTokens, ms, signal }: PromptOptions,
): Promise<PromptResult> {
  await using session = engine.session();
  const end = performance.now() + ms / PROMPTS.length;
  let text = "";
  let [tokens, first, last] = [0, 0, 0];
  let ended: PromptResult["ended"] = "time";
  for await (const piece of session.generate(prompt, { maxTokens, temperature: 0, signal })) {
    text += piece.text;
    if (piece.finish !== undefined) ended = piece.finish.reason;
    if (piece.id === undefined) continue;
    tokens++;
    last = performance.now();
    if (tokens === 1) first = last;
    if (last > end && tokens >= 2) break;
  }
  const rate = tokens > 1 && last > first ? { tokensPerSecond: (1000 * (tokens - 1)) / (last - first) } : {};
  return { prompt, text: text.trim(), tokens, ended, ...rate };
}
