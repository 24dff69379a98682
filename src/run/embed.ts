/**
 * Embeddings: of each text one vector, pooled from the normalised hidden states that would reach the head, and of length 1.
 * Texts are computed side by side, as far as there are places.
 */
import { TernionError } from "../errors.js";
import type { Pooling } from "../model/config.js";
import { lookAt } from "./score.js";
import { Timeline, type TimelineSetup } from "./timeline.js";

export interface EmbedSetup extends TimelineSetup {
  readonly pooling: Pooling;
  /** elements of a hidden state */
  readonly width: number;
  /** texts computed at the same time, at most */
  readonly atOnce: number;
  readonly signal: AbortSignal | undefined;
}

/** The vectors (width) of prompts, none of which is empty, in their order. The first failure ends all. */
export async function embedAll(setup: EmbedSetup, prompts: readonly (readonly number[])[]): Promise<Float32Array[]> {
  const vectors: Float32Array[] = new Array(prompts.length);
  const failed = new AbortController();
  const signal = setup.signal === undefined ? failed.signal : AbortSignal.any([setup.signal, failed.signal]);
  let next = 0;
  const work = async () => {
    while (next < prompts.length) {
      const index = next++;
      vectors[index] = await embed({ ...setup, signal }, prompts[index]);
    }
  };
  const all = Array.from({ length: Math.min(setup.atOnce, prompts.length) }, work);
  try {
    await Promise.all(all);
  } catch (error) {
    failed.abort(error);
    await Promise.allSettled(all); // nothing is computed any more
    throw error;
  }
  return vectors;
}

async function embed({ pooling, width, signal, ...setup }: EmbedSetup, prompt: readonly number[]) {
  const timeline = new Timeline(setup);
  const sum = new Float64Array(width);
  let count = 0;
  // no later token changes the first state
  const ids = pooling === "cls" ? prompt.slice(0, 1) : prompt;
  await lookAt(timeline, ids, { every: pooling === "mean", isHidden: true, signal }, (index, state) => {
    if (pooling !== "mean" || index === 0) sum.fill(0); // where it begins anew
    for (let i = 0; i < width; i++) sum[i] += state[i];
    count = pooling === "mean" ? index + 1 : 1;
  });
  return unit(sum.map((value) => value / count));
}

/** The first `dimensions` elements of a vector, brought to length 1 again. */
export const shortened = (vector: Float32Array, dimensions: number): Float32Array =>
  unit(Float64Array.from(vector.subarray(0, dimensions)));

/** x / |x|, where |x| is neither 0 nor beyond all numbers. */
function unit(vector: Float64Array): Float32Array {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  if (Number.isFinite(length) && length > 0) return Float32Array.from(vector, (value) => value / length);
  throw new TernionError(
    "MODEL_TENSOR",
    `embedding: expected a hidden state with a direction, got one of length ${length}. The model is damaged.`,
  );
}
