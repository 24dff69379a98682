/**
 * Logits → one id. Pure: the result depends on the arguments and the options only, the logits are not changed, and the
 * random number is a function of (seed, position), so that a seed means the same text on every backend, in every batch.
 *
 * The order is llama.cpp's (`common_params_sampling`): logit bias; penalties (repetition of Keskar et al. 2019, presence
 * and frequency of the OpenAI API); top-k; top-p (Holtzman et al. 2020); min-p (Nguyen et al. 2024); temperature; the draw.
 * Temperature comes after the truncation, so that raising it brings back no token that was cut.
 */
import type { Best, Draw } from "../backend/backend.js";
import * as check from "../check.js";
import { argmax, chooseIndex, chooseRanked, pick } from "./draw.js";
import { measure, type TokenLogprob } from "./logprobs.js";
import { forbid } from "./mask.js";
import { SAMPLING_CHECKS, type SamplingOptions, type Settings, settingsOf } from "./options.js";
import { best, type Ranking } from "./ranking.js";

export type { TokenLogprob } from "./logprobs.js";
export { SAMPLING_CHECKS, type SamplingOptions } from "./options.js";

export interface Sample {
  readonly id: number;
  /** of the model's own distribution: before bias, penalties, truncation and temperature, as OpenAI and llama.cpp do */
  readonly logprob?: number;
  /** the likeliest tokens of that distribution, the likeliest first */
  readonly top?: readonly TokenLogprob[];
}

export interface Sampler {
  /** repeats this sampler's draws when given as an option */
  readonly seed: number;
  /** This many of the best ids suffice instead of a whole row; 0: they do not. */
  readonly candidates: number;
  /**
   * `scores` is one row of logits over the vocabulary, or at least `candidates` of its best ids; the choice is the same.
   * `history` is what the penalties look at, oldest first; `position` is that of the token to be chosen, and names the
   * random number. `mask`, with whole rows only, has the ids that may be chosen, see `Draw.mask`.
   */
  sample(scores: Float32Array | Best, history: ArrayLike<number>, position: number, mask?: Uint32Array): Sample;
  /**
   * How a backend chooses what `sample` chooses at a position, from the `candidates` best ids; undefined where that takes
   * more: penalties, bias, log probabilities, or all ids.
   */
  readonly drawAt: ((position: number, mask?: Uint32Array) => Draw) | undefined;
}

export function createSampler(options: SamplingOptions = {}): Sampler {
  return new LogitSampler(settingsOf(check.values(options, SAMPLING_CHECKS)));
}

class LogitSampler implements Sampler {
  readonly seed: number;
  readonly candidates: number;
  readonly drawAt: Sampler["drawAt"];
  readonly #settings: Settings;
  readonly #penalised: boolean;
  /** a copy of the logits to change; allocated when first needed */
  #scratch = new Float32Array(0);

  constructor(settings: Settings) {
    this.#settings = settings;
    this.seed = settings.seed;
    const { repetitionPenalty, repetitionWindow, presencePenalty, frequencyPenalty } = settings;
    this.#penalised =
      repetitionWindow > 0 && (repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0);
    this.candidates = candidatesFor(settings, this.#penalised);
    if (this.candidates > 0 && !this.#penalised) {
      this.drawAt = (position, mask) => ({ ...this.#drawAt(position), topK: this.candidates, mask });
    }
  }

  sample(scores: Float32Array | Best, history: ArrayLike<number>, position: number, mask?: Uint32Array): Sample {
    const { logprobs } = this.#settings;
    if (!(scores instanceof Float32Array)) {
      // ids ascend, so that places in this short row rank among equals as the ids do
      const place = new Map(Array.from(scores.ids, (id, i) => [id, i]));
      const seen = Array.from(history, (id) => place.get(id) ?? -1);
      return { id: scores.ids[this.#choose(this.#adjust(scores.logits, seen, undefined), position)] as number };
    }
    const id = this.#choose(this.#adjust(scores, history, mask), position);
    return logprobs === undefined ? { id } : { id, ...measure(scores, id, logprobs) };
  }

  #drawAt(position: number): Draw {
    const { temperature, topK, topP, minP, seed } = this.#settings;
    return { temperature, topK, topP, minP, random: uniform(seed, position) };
  }

  /** The logits with bias, penalties and mask: the caller's own array if there are none. */
  #adjust(logits: Float32Array, history: ArrayLike<number>, mask: Uint32Array | undefined): Float32Array {
    const { logitBias } = this.#settings;
    if (logitBias.size === 0 && !this.#penalised && mask === undefined) return logits;
    if (this.#scratch.length !== logits.length) this.#scratch = new Float32Array(logits.length);
    const adjusted = this.#scratch;
    adjusted.set(logits);
    for (const [id, bias] of logitBias) {
      if (id >= logits.length) throw new RangeError(`logitBias: expected ids below ${logits.length}, got ${id}`);
      adjusted[id] = (adjusted[id] as number) + bias;
    }
    if (this.#penalised) this.#penalise(adjusted, history);
    if (mask !== undefined) forbid(adjusted, mask);
    return adjusted;
  }

  #penalise(logits: Float32Array, history: ArrayLike<number>): void {
    const { repetitionPenalty, repetitionWindow, presencePenalty, frequencyPenalty } = this.#settings;
    const counts = new Map<number, number>();
    for (let i = Math.max(0, history.length - repetitionWindow); i < history.length; i++) {
      const id = history[i] as number;
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    counts.delete(-1); // not among the candidates
    for (const [id, count] of counts) {
      const logit = logits[id];
      if (logit === undefined) throw new RangeError(`history: expected ids from 0 to ${logits.length - 1}, got ${id}`);
      const scaled = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
      logits[id] = scaled - presencePenalty - count * frequencyPenalty;
    }
  }

  #choose(logits: Float32Array, position: number): number {
    const draw = this.#drawAt(position);
    const { temperature, topK, topP } = draw;
    if (temperature === 0 || topK > 0) return chooseIndex(logits, draw);
    const max = logits[argmax(logits)] as number;
    if (topP === 1) return drawFromAll(logits, { max, ...draw });
    return chooseRanked(nucleusCandidates(logits, max, topP), draw);
  }
}

/** More candidates than this are not asked for. */
export const MOST_CANDIDATES = 256;

/** Penalties may take every token of their window out of the best: so many more are asked for. */
function candidatesFor(settings: Settings, penalised: boolean): number {
  const { temperature, topK, logitBias, logprobs, repetitionPenalty, presencePenalty, frequencyPenalty } = settings;
  const wanted = temperature === 0 ? 1 : topK;
  const raises = repetitionPenalty < 1 || presencePenalty < 0 || frequencyPenalty < 0;
  if (wanted === 0 || logitBias.size > 0 || logprobs !== undefined || (penalised && raises)) return 0;
  const candidates = wanted + (penalised ? settings.repetitionWindow : 0);
  return candidates <= MOST_CANDIDATES ? candidates : 0;
}

/** Draws with no truncation but min-p: in the order of ids, without ranking them. */
function drawFromAll(
  logits: Float32Array,
  { max, temperature, minP, random }: { max: number; temperature: number; minP: number; random: number },
): number {
  const least = max + Math.log(minP); // -Infinity for 0
  const weights = new Float64Array(logits.length);
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i] as number;
    if (logit >= least) weights[i] = Math.exp((logit - max) / temperature);
  }
  return pick(weights, random);
}

/**
 * The best tokens that hold probability `topP`, and perhaps more, ranked. Ranking all of a large vocabulary takes five
 * times as long as this usual case, where those within e^-8 of the best are few and hold enough.
 */
function nucleusCandidates(logits: Float32Array, max: number, topP: number): Ranking {
  let all = 0;
  let near = 0;
  let count = 0;
  for (const logit of logits) {
    const weight = Math.exp(logit - max);
    all += weight;
    if (logit < max - 8) continue;
    near += weight;
    count++;
  }
  const enough = near >= topP * all;
  return { ...best(logits, enough ? count : logits.length), total: all };
}

/**
 * 53 random bits of (seed, position) as a number from 0 to below 1: a counter put through the finalizer of MurmurHash3
 * with the seed's halves as keys, once for each half of the result.
 */
export function uniform(seed: number, position: number): number {
  const low = seed >>> 0;
  const high = Math.floor(seed / 2 ** 32) >>> 0;
  const key = mix(mix(low) ^ high) ^ position;
  const a = mix(key ^ 0x9e3779b9);
  const b = mix(mix(key) ^ 0x85ebca6b);
  return ((a >>> 5) * 2 ** 26 + (b >>> 6)) / 2 ** 53;
}

function mix(value: number): number {
  let h = value + 0x9e3779b9; // 0 would stay 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
