/** What answers cost, as OpenAI counts it, and how long they took, as llama.cpp's server says it. */
import type { Finish } from "../../index.js";

/** Both, of all answers to a request, in the order of its choices. */
export function totalsOf(finishes: readonly Finish[], choices: number) {
  return { usage: usageOf(finishes, choices), timings: timingsOf(finishes[0]) };
}

/** `prompts` of a request were answered `choices` times each: the tokens of a prompt count once. */
function usageOf(finishes: readonly Finish[], choices: number) {
  const sum = (count: (finish: Finish) => number, every = 1) =>
    finishes.reduce((total, finish, i) => (i % every === 0 ? total + count(finish) : total), 0);
  const prompt = sum(({ usage }) => usage.promptTokens, choices);
  const completion = sum(({ usage }) => usage.completionTokens);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: sum(({ usage }) => usage.cachedTokens, choices) },
  };
}

/** Of the first answer. */
function timingsOf({ usage, timings }: Finish) {
  const computed = usage.promptTokens - usage.cachedTokens;
  return {
    cache_n: usage.cachedTokens,
    prompt_n: computed,
    prompt_ms: timings.promptMs,
    prompt_per_second: timings.promptPerSecond,
    predicted_n: usage.completionTokens,
    predicted_ms: timings.generationMs,
    predicted_per_second: timings.tokensPerSecond,
  };
}
