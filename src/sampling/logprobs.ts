/** Natural-log probabilities under the model's own distribution, in float64. */
import { TernionError } from "../errors.js";
import { best } from "./ranking.js";

/** A token and its natural-log probability. */
export interface TokenLogprob {
  readonly id: number;
  readonly logprob: number;
}

/** Of `id`, and of the `count` likeliest. */
export function measure(logits: Float32Array, id: number, count: number): { logprob: number; top: TokenLogprob[] } {
  const ranked = best(logits, Math.max(1, count));
  const max = ranked.logits[0] as number;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  const norm = max + Math.log(sum);
  const top = Array.from(ranked.ids.subarray(0, count), (each, i) => {
    return { id: each, logprob: (ranked.logits[i] as number) - norm };
  });
  return { logprob: (logits[id] as number) - norm, top };
}

/** Logits that are NaN or infinite: what comes of them would be no probability. */
export class NoDistribution extends TernionError {
  constructor(of: string, got: number) {
    super(
      "BACKEND_FAILED",
      `log probability of ${of}: expected a finite number, got ${got}. ` +
        "The model file or the backend is at fault: try the reference backend.",
    );
  }
}

/** log softmax(logits)[id], in float64; not finite where the logits are no distribution */
export function logSoftmaxAt(logits: Float32Array, id: number): number {
  let max = Number.NEGATIVE_INFINITY;
  for (const logit of logits) max = Math.max(max, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return logits[id] - max - Math.log(sum);
}
