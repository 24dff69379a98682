/** What a caller may ask of the sampler, the checks of it, and the defaults. */

import type { OptionChecks } from "../check.js";
import * as check from "../check.js";

/** How the next token is drawn. The defaults are llama.cpp's. */
export interface SamplingOptions {
  /** divides the logits; 0 takes the best token always, the lower id of equals; default 0.8 */
  readonly temperature?: number | undefined;
  /** keep this many of the best tokens; 0 keeps all; default 40 */
  readonly topK?: number | undefined;
  /** keep the fewest best tokens that hold this probability, 0 to 1; 1 keeps all; default 0.95 */
  readonly topP?: number | undefined;
  /** keep tokens of at least this part of the best one's probability, 0 to 1; 0 keeps all; default 0.05 */
  readonly minP?: number | undefined;
  /** divides positive and multiplies negative logits of tokens in the window; 1 is off; default 1 */
  readonly repetitionPenalty?: number | undefined;
  /** how many of the last ids all three penalties look at; Infinity looks at all; default 64 */
  readonly repetitionWindow?: number | undefined;
  /** taken off the logit of each token in the window; default 0 */
  readonly presencePenalty?: number | undefined;
  /** taken off the logit for each time that the token is in the window; default 0 */
  readonly frequencyPenalty?: number | undefined;
  /** added to the logits of these ids; -Infinity bans one */
  readonly logitBias?: ReadonlyMap<number, number> | Readonly<Record<number, number>> | undefined;
  /** 0 to 2^53 - 1; default: a random one, see `Sampler.seed` */
  readonly seed?: number | undefined;
  /** report natural-log probabilities: of the chosen token, and of this many of the likeliest (0 to 100) */
  readonly logprobs?: number | undefined;
}

/** The options with nothing left open. */
export interface Settings {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly repetitionWindow: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly logitBias: ReadonlyMap<number, number>;
  readonly seed: number;
  readonly logprobs: number | undefined;
}

/** bound of logits' changes, so that none becomes infinite */
const LARGEST = 1e6;

export const SAMPLING_CHECKS: OptionChecks<SamplingOptions> = {
  temperature: check.number(0, LARGEST),
  topK: check.integer(0),
  topP: check.number(0, 1),
  minP: check.number(0, 1),
  repetitionPenalty: check.number(Number.MIN_VALUE, LARGEST),
  repetitionWindow: check.limit(0),
  presencePenalty: check.number(-LARGEST, LARGEST),
  frequencyPenalty: check.number(-LARGEST, LARGEST),
  logitBias: checkBias,
  seed: check.integer(0),
  logprobs: check.integer(0, 100),
};

/** Fills in the defaults, which are llama.cpp's; `options` are checked. */
export function settingsOf(options: SamplingOptions): Settings {
  return {
    temperature: options.temperature ?? 0.8,
    topK: options.topK ?? 40,
    topP: options.topP ?? 0.95,
    minP: options.minP ?? 0.05,
    repetitionPenalty: options.repetitionPenalty ?? 1,
    repetitionWindow: options.repetitionWindow ?? 64,
    presencePenalty: options.presencePenalty ?? 0,
    frequencyPenalty: options.frequencyPenalty ?? 0,
    logitBias: checkBias("logitBias", options.logitBias ?? {}),
    seed: options.seed ?? randomSeed(),
    logprobs: options.logprobs,
  };
}

/** A copy as a Map. */
function checkBias(name: string, value: unknown): Map<number, number> {
  const bias = check.object("a Map or an object of biases by id")(name, value);
  const entries = bias instanceof Map ? [...bias] : Object.entries(bias).map(([id, each]) => [Number(id), each]);
  const id = check.integer(0, 0x7fffffff);
  const finite = check.number(-LARGEST, LARGEST);
  return new Map(
    entries.map(([key, each]) => [
      id(`${name} id`, key),
      each === Number.NEGATIVE_INFINITY ? each : finite(`${name}[${key}]`, each),
    ]),
  );
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}
