/** What a model computes of given ids: the logits after each, or the hidden states. Nothing is chosen. */
import { TernionError } from "../errors.js";
import { measure, NoDistribution, type TokenLogprob } from "../sampling/logprobs.js";
import { type Choice, Interrupted, type Request, type Scores } from "./request.js";
import type { Start, Timeline } from "./timeline.js";

type OnRow = (index: number, row: Float32Array) => void;

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
  await feedAll(timeline, { ids, anew: true }, { every: true, signal }, (index, logits) => {
    const id = ids[index + 1];
    if (id === undefined) return;
    const measured = measure(logits, id, count);
    if (!Number.isFinite(measured.logprob)) throw new NoDistribution(`prompt[${index + 1}]`, measured.logprob);
    found[index + 1] = { id, ...measured };
  });
  return found;
}

/** What is looked at. */
export interface Look extends Pick<Choice, "isHidden"> {
  /** every row, all of them computed anew; else the last alone, and what the cache has of the others is not computed again */
  readonly every: boolean;
  readonly signal: AbortSignal | undefined;
}

/**
 * Hands out rows by their index in `ids`, which may be empty: of logits, or of hidden states. Once more from the first on
 * where the place went to another, or the model moves. Rejects with CONTEXT_OVERFLOW where they do not fit.
 */
export async function lookAt(timeline: Timeline, ids: readonly number[], look: Look, onRow: OnRow): Promise<void> {
  timeline.enter();
  try {
    checkLength(ids, timeline.contextLength);
    if (ids.length === 0) return;
    await feedAll(timeline, { ids, anew: look.every }, look, onRow);
  } finally {
    timeline.leave();
  }
}

async function feedAll(
  timeline: Timeline,
  start: Start,
  { every, isHidden, signal }: Look,
  onRow: OnRow,
): Promise<void> {
  for (;;) {
    let request: Request | undefined;
    try {
      await timeline.takePlace(start, signal);
      request = timeline.start(start, { ...lookingAt(onRow), isHidden, count: 1, every, signal }).request;
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
function lookingAt(onRow: OnRow): Pick<Choice, "best" | "choose"> {
  const choose = (scores: Scores, position: number) => {
    onRow(position - 1, scores as Float32Array); // best is 0
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
