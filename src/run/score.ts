/** Scores of given ids: all of them are computed anew, and the logits after each are handed out. */
import { TernionError } from "../errors.js";
import { Moved } from "./failover.js";
import type { Choice, Scores } from "./request.js";
import type { Timeline } from "./timeline.js";

type OnLogits = (index: number, logits: Float32Array) => void;

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
    await timeline.takePlace(signal);
    await feedAll(timeline, ids, signal, onLogits);
  } finally {
    timeline.leave();
  }
}

/** Once more where the model moves to another backend. */
async function feedAll(
  timeline: Timeline,
  ids: readonly number[],
  signal: AbortSignal | undefined,
  onLogits: OnLogits,
): Promise<void> {
  for (;;) {
    timeline.clear();
    const { request } = timeline.start(ids, { ...lookingAt(onLogits), count: 1, every: true, signal });
    try {
      await request.next();
      return;
    } catch (error) {
      if (!(error instanceof Moved)) throw error;
    } finally {
      await request.close();
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
