/** What `--stats` and `/stats` say of a loaded model and of an answer, as lines for people. */
import type { Engine, Finish } from "../index.js";

const ms = (value: number) => `${value.toFixed(1)} ms`;

export function loadStats({ description, loadReport, memoryBytes }: Engine): string[] {
  const { steps, totalMs, repairs } = loadReport;
  const parts = steps.map(({ component, ms: stepMs }) => `${component} ${stepMs.toFixed(1)}`);
  return [
    `backend  ${description}, ${(memoryBytes / 1e6).toFixed(1)} MB`,
    `load     ${ms(totalMs)}: ${parts.join(", ")}`,
    ...repairs.map(({ key, problem, replacement }) => `repaired ${key}: ${problem}; using ${replacement}`),
  ];
}

export function answerStats({ reason, usage, timings, seed }: Finish): string[] {
  const { promptTokens, cachedTokens, completionTokens } = usage;
  const rate = (perSecond: number) => `${perSecond.toFixed(1)} tokens/s`;
  return [
    `prompt   ${promptTokens} tokens, ${cachedTokens} of them cached, ${ms(timings.promptMs)}, ${rate(timings.promptPerSecond)}`,
    `answer   ${completionTokens} tokens, ${ms(timings.generationMs)}, ${rate(timings.tokensPerSecond)}`,
    `ended    by ${reason}, seed ${seed}`,
  ];
}
