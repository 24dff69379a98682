/**
 * The draw: which of a row's best ids is chosen. The one piece of code for it on the host, the oracle of backends that
 * draw on a device, and what those without a device's own need for `sample`.
 *
 * With l the logits, the highest first and of equal ones the lower id first, cut to `topK`, and w[i] = e^(l[i] - l[0]):
 * 1. top-p keeps the first i for which w[0] + .. + w[i - 1] < topP * (sum of w); all with topP 1; at least one;
 * 2. min-p keeps of them those with l[i] >= l[0] + ln(minP); at least one;
 * 3. with t[i] = e^((l[i] - l[0]) / temperature) over what is left, the chosen one is the first for which
 *    t[0] + .. + t[i] > random * (sum of t), or the last with t[i] > 0.
 *
 * In float32 the choice is the same unless a sum is within some 1e-6 of its bound.
 */

import { type Batch, type Best, type Draw, NO_DISTRIBUTION, SAMPLED } from "../backend/backend.js";
import { rankedOf } from "../backend/batch.js";
import { TernionError } from "../errors.js";
import { best, type Ranking } from "./ranking.js";

/** The id that `draw` chooses of a row's best. */
export function drawFrom({ ids, logits }: Best, draw: Draw): number {
  return ids[chooseIndex(logits, draw)];
}

/** The same for a row of logits: the index of the chosen one; of equal logits the lower index ranks first. */
export function chooseIndex(logits: Float32Array, draw: Draw): number {
  const greedy = argmax(logits);
  if (draw.temperature === 0 || draw.topK === 1) return greedy;
  return chooseRanked(best(logits, draw.topK), draw);
}

/** The same for ranked logits, whatever `topK` is. */
export function chooseRanked(ranked: Ranking, { topP, minP, temperature, random }: Omit<Draw, "topK">): number {
  const { ids, logits } = ranked;
  const count = truncate(ranked, topP, minP);
  const max = logits[0];
  const weights = logits.subarray(0, count).map((logit) => Math.exp((logit - max) / temperature));
  return ids[pick(weights, random)];
}

/** The lowest index of the largest logit. Rejects rows that are no distribution, so that what follows need not. */
export function argmax(logits: Float32Array): number {
  let id = -1;
  let max = -Infinity;
  let poison = -1; // index of a NaN
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i];
    if (logit <= max) continue; // not so for NaN: one comparison finds both
    if (Number.isNaN(logit)) {
      poison = i;
    } else {
      max = logit;
      id = i;
    }
  }
  if (poison >= 0) throw badLogits(`NaN for id ${poison}`);
  if (max === Infinity) throw badLogits(`Infinity for id ${id}`);
  if (id < 0) throw badLogits(logits.length === 0 ? "an empty row" : "-Infinity for every id");
  return id;
}

/** The error for a row of logits that is no distribution. */
export function badLogits(got: string): TernionError {
  const advice = "The model file or the backend is at fault, or logitBias bans every token: try the reference backend.";
  return new TernionError("BACKEND_FAILED", `logits: expected finite numbers, got ${got}. ${advice}`);
}

/** Whether `argmax` takes the row. */
const isDistribution = (logits: Float32Array) =>
  logits.every((logit) => logit < Infinity) && logits.some((logit) => logit > -Infinity);

/** How many of the ranked tokens top-p and then min-p leave; at least one. */
function truncate({ logits, total }: Ranking, topP: number, minP: number): number {
  const max = logits[0];
  const goal = topP * (total ?? sumOfWeights(logits));
  let kept = topP === 1 ? logits.length : 0;
  for (let held = 0; kept < logits.length && (kept === 0 || held < goal); kept++) {
    held += Math.exp(logits[kept] - max);
  }
  const least = max + Math.log(minP);
  while (kept > 1 && logits[kept - 1] < least) kept--;
  return kept;
}

function sumOfWeights(ranked: Float64Array): number {
  return ranked.reduce((sum, logit) => sum + Math.exp(logit - ranked[0]), 0);
}

/** The index at which the running sum of the weights passes `random` (0 to 1) of their total. */
export function pick(weights: Float64Array, random: number): number {
  const goal = random * weights.reduce((sum, weight) => sum + weight, 0);
  let sum = 0;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    sum += weights[i];
    last = i;
    if (sum > goal) break;
  }
  return last;
}

/** The draws of a batch, one for each ranked row or undefined; throws a RangeError where they are not. */
export function drawsOf(batch: Batch, maxBest: number): readonly (Draw | undefined)[] {
  const { draws } = batch;
  const ranked = rankedOf(batch);
  if (draws?.length !== ranked) {
    throw new RangeError(`sample: expected ${ranked} draws, one a ranked row, got ${draws?.length ?? "none"}`);
  }
  for (const draw of draws) {
    if (draw === undefined || (Number.isInteger(draw.topK) && draw.topK >= 1 && draw.topK <= maxBest)) continue;
    throw new RangeError(`draw.topK: expected an integer from 1 to ${maxBest}, got ${draw.topK}`);
  }
  return draws;
}

/** In the place of an id of a row without a draw. */
export const NOT_DRAWN = -1;

/** What `sample` chose last for each slot, for backends that draw on the host. */
export class Sampled {
  readonly #ids = new Map<number, number>();

  /** A copy of the tokens in which ids stand for SAMPLED. */
  fill({ tokens, slots }: Batch): Int32Array {
    return tokens.map((token, row) => (token === SAMPLED ? this.#of(slots[row]) : token));
  }

  /** Draws for each ranked row of the batch that has a draw, and keeps the ids; NOT_DRAWN for the others. */
  draw({ outputs, slots }: Batch, draws: readonly (Draw | undefined)[], bestOf: (row: number) => Best): Int32Array {
    return Int32Array.from(draws, (draw, j) => {
      if (draw === undefined) return NOT_DRAWN;
      const found = bestOf(j);
      const id = isDistribution(found.logits) ? drawFrom(found, draw) : NO_DISTRIBUTION;
      this.#ids.set(slots[outputs[j]], Math.max(0, id)); // a token all the same
      return id;
    });
  }

  #of(slot: number): number {
    const id = this.#ids.get(slot);
    if (id === undefined) throw new RangeError(`batch: expected a sampled id in slot ${slot}, got none so far`);
    return id;
  }
}
