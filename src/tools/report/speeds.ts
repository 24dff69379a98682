/** Prompt and generation speed by the length of the context. */
import type { Engine } from "../../engine/engine.js";
import { collect } from "../../run/generate.js";
import { median } from "./median.js";
import { PROBE } from "./probe.js";

/** Speed at one length of context. */
export interface SpeedPoint {
  /** tokens of the prompt, which is the context of the tokens after it */
  readonly context: number;
  /** tokens a second, medians of `repetitions` */
  readonly promptPerSecond: number;
  readonly tokensPerSecond: number;
  readonly repetitions: number;
}

export interface SpeedFigures {
  readonly points: readonly SpeedPoint[];
  readonly leftOut: readonly { readonly context: number; readonly reason: string }[];
}

const GENERATED = 16;
const MOST_REPETITIONS = 3;

/** Takes the shortest context first; one that would not end within `ms` is left out. */
export async function measureSpeeds(
  engine: Engine,
  contexts: readonly number[],
  { ms, signal }: { readonly ms: number; readonly signal?: AbortSignal | undefined },
): Promise<SpeedFigures> {
  const end = performance.now() + ms;
  const points: SpeedPoint[] = [];
  const leftOut: { context: number; reason: string }[] = [];
  for (const [i, context] of [...contexts].sort((a, b) => a - b).entries()) {
    const last = points.at(-1);
    const expected = last === undefined ? 0 : roundMs(last, context);
    if (context + GENERATED > engine.contextLength) {
      leftOut.push({ context, reason: `the context of ${engine.contextLength} tokens has no room for it` });
    } else if (performance.now() + expected > end && i > 0) {
      leftOut.push({
        context,
        reason: `it would take about ${Math.ceil(expected / 1000)} s more than there was time for`,
      });
    } else {
      points.push(await measurePoint(engine, context, end, signal));
    }
  }
  return { points, leftOut };
}

/** Time of one round at another context, were each token as fast as at this one. */
function roundMs({ promptPerSecond, tokensPerSecond }: SpeedPoint, context: number): number {
  return 1000 * (context / promptPerSecond + GENERATED / tokensPerSecond);
}

async function measurePoint(engine: Engine, context: number, end: number, signal?: AbortSignal): Promise<SpeedPoint> {
  const text = engine.tokenizer.encode(PROBE);
  const ids = Array.from({ length: context }, (_, i) => text[i % text.length]);
  const rounds: { promptPerSecond: number; tokensPerSecond: number }[] = [];
  await using session = engine.session({ cacheSalt: `${context}` }); // finds nothing of shorter ones
  do {
    session.reset();
    const options = { maxTokens: GENERATED + 1, ignoreEnd: true, temperature: 0, signal };
    rounds.push((await collect(session.generate(ids, options))).finish.timings);
  } while (rounds.length < MOST_REPETITIONS && performance.now() < end);
  return {
    context,
    promptPerSecond: median(rounds.map(({ promptPerSecond }) => promptPerSecond)),
    tokensPerSecond: median(rounds.map(({ tokensPerSecond }) => tokensPerSecond)),
    repetitions: rounds.length,
  };
}
