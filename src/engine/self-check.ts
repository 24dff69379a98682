/** The coherence gate: does a loaded model find plain English plainer than chance does? */
import * as check from "../check.js";
import { perplexity, type Scorer } from "../run/perplexity.js";
import { NoDistribution } from "../sampling/logprobs.js";

const PROBE =
  "The capital of France is Paris. The sun rises in the east and sets in the west. " +
  "Once upon a time there was a little girl who lived in a house near the forest.";

/**
 * A model that knows nothing has the perplexity of its vocabulary's size V, and one whose weights are mixed up is worse,
 * being confidently wrong. The limit is V^0.75: 1.3 times the loss, in nats, of the smallest model that was tried (3.7 M
 * parameters: 4.8 of 7.6 nats; 10.1 and 10.6 in the wrong layouts).
 */
const LIMIT_EXPONENT = 0.75;

/** Of `engine.selfCheck`. */
export interface SelfCheckOptions {
  readonly signal?: AbortSignal | undefined;
}

export const SELF_CHECK_CHECKS: check.OptionChecks<SelfCheckOptions> = { signal: check.signal };

/** What `engine.selfCheck` found. */
export interface SelfCheck {
  /** whether `perplexity` is below `limit` */
  readonly ok: boolean;
  /** of a short built-in English text; Infinity where the model's logits are not finite */
  readonly perplexity: number;
  readonly limit: number;
  /** tokens that were predicted */
  readonly tokens: number;
  readonly ms: number;
}

export async function selfCheck(engine: Scorer, vocabularySize: number, signal?: AbortSignal): Promise<SelfCheck> {
  const limit = vocabularySize ** LIMIT_EXPONENT;
  const begin = performance.now();
  try {
    const { perplexity: found, tokens, ms } = await perplexity(engine, PROBE, { signal });
    return { ok: found < limit, perplexity: found, limit, tokens, ms };
  } catch (error) {
    if (!(error instanceof NoDistribution)) throw error;
    return { ok: false, perplexity: Number.POSITIVE_INFINITY, limit, tokens: 0, ms: performance.now() - begin };
  }
}
