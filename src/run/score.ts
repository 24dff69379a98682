/** Scores of given ids: all of them are computed anew, and the logits after each are handed out. */
import { TernionError } from "../errors.js";
import { measure, NoDistribution, type TokenLogprob } from "../sampling/logprobs.js";
import { type Choice, Interrupted, type Request, type Scores } from "./request.js";
import type { Start, Timeline } from "./timeline.js";

type OnLogits = (index: number, logits: Float32Array) => void;

/** A token of a prompt, and how likely it was after those before it. */
export interface PromptLogprob {
  readonly id: number;
  /** natural-log probability; absent of the first token, before which there is nothing */
  readonly logprob?: number;
  /** the likeliest tokens in its place */
  readonly top?: readonly TokenLogprob[];
}

/** Of all of `ids`, with `count` of the likeliest. The timeline is in use. */
export async function promptLogprobs(
  timeline: Timeline,
  ids: readonly number[],
  count: number,
  signal: AbortSignal | undefined,
): Promise<PromptLogprob[]> {
  const found: PromptLogprob[] = [{ id: ids[0] }];
  await feedAll(timeline, { ids, anew: true }, signal, (index, logits) => {
    const id = ids[index + 1];
    if (id === undefined) return;
    const measured = measure(logits, id, count);
    if (!Number.isFinite(measured.logprob)) throw new NoDistribution(`prompt[${index + 1}]`, measured.logprob);
    found[index + 1] = { id, ...measured };
  });
  return found;
}

/** `ids` may be empty. */
export async function scoreAll(
  timeline: Timeline,
  ids: readonly number[],
  signal: AbortSignal | undefined,
  onLogits: OnLogits,
): Promise<void> {
  timeline.enter();
  try {
    checkLength(ids, timeline.contextLength);
    if (ids.length === 0) return;
    await feedAll(timeline, { ids, anew: true }, signal, onLogits);
  } finally {
    timeline.leave();
  }
}

/** Once more where the place went to another, or the model moves. */
async function feedAll(
  timeline: Timeline,
  start: Start,
  signal: AbortSignal | undefined,
  onLogits: OnLogits,
): Promise<void> {
  for (;;) {
    let request: Request | undefined;
    try {
      await timeline.takePlace(start, signal);
      request = timeline.start(start, { ...lookingAt(onLogits), count: 1, every: true, signal }).request;
      await request.next();
      return;
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
    } finally {
      await request?.close();
    }
  }
}

/** Chooses nothing; what it gives only says that all has come. */
function lookingAt(onLogits: OnLogits): Choice {
  const choose = (scores: Scores, position: number) => {
    onLogits(position - 1, scores as Float32Array); // best is 0
    return { id: 0 };
  };
  return { best: 0, choose };
}

function checkLength(ids: readonly number[], contextLength: number): void {
  if (ids.length <= contextLength) return;
  throw new TernionError(
    "CONTEXT_OVERFLOW",
    `ids: expected at most ${contextLength} tokens, got ${ids.length}. Load with a larger contextLength.`,
  );
}
