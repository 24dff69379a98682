/** Two engines' logits over the same tokens, and a fingerprint of one's. */
import { createHash } from "node:crypto";
import type { Rows } from "./evaluate.js";

/** Teacher forced: every row has the same tokens before it on both sides. */
export interface Agreement {
  readonly tokens: number;
  /** rows whose best token is the same */
  readonly top1: number;
  /** Kullback-Leibler divergence of the probabilities from the reference's, nats: mean and largest over the rows */
  readonly meanKl: number;
  readonly largestKl: number;
  /** largest difference of a logit, and where it is */
  readonly largestDifference: number;
  readonly at: { readonly row: number; readonly token: number };
}

/** Numbers that tell whether two machines compute the same logits. */
export interface Fingerprint {
  /** of the logits as little-endian float32: the CPU backend gives the same on every machine, threads and kernels */
  readonly sha256: string;
  readonly mean: number;
  readonly deviation: number;
  /** the best token of each row */
  readonly top1: readonly number[];
}

export function agreementOf(logits: Rows, reference: Rows): Agreement {
  let [top1, meanKl, largestKl, largestDifference] = [0, 0, 0, 0];
  let at = { row: 0, token: 0 };
  reference.forEach((want, row) => {
    const got = logits[row];
    if (argmax(got) === argmax(want)) top1++;
    const kl = divergence(want, got);
    meanKl += kl / reference.length;
    largestKl = Math.max(largestKl, kl);
    want.forEach((value, token) => {
      const difference = Math.abs(got[token] - value);
      if (difference <= largestDifference) return;
      largestDifference = difference;
      at = { row, token };
    });
  });
  return { tokens: reference.length, top1, meanKl, largestKl, largestDifference, at };
}

export function fingerprintOf(logits: Rows): Fingerprint {
  const hash = createHash("sha256");
  let [sum, squares, count] = [0, 0, 0];
  for (const row of logits) {
    hash.update(new Uint8Array(Float32Array.from(row).buffer));
    for (const value of row) {
      sum += value;
      squares += value ** 2;
    }
    count += row.length;
  }
  const mean = sum / count;
  const deviation = Math.sqrt(Math.max(0, squares / count - mean ** 2));
  return { sha256: hash.digest("hex"), mean, deviation, top1: logits.map(argmax) };
}

function argmax(row: Float64Array): number {
  return row.reduce((best, value, i) => (value > row[best] ? i : best), 0);
}

/** sum of p * log(p / q) with p = softmax(want), q = softmax(got) */
function divergence(want: Float64Array, got: Float64Array): number {
  const [wantNorm, gotNorm] = [logSumExp(want), logSumExp(got)];
  const kl = want.reduce((sum, value, i) => {
    const logP = value - wantNorm;
    return sum + Math.exp(logP) * (logP - (got[i] - gotNorm));
  }, 0);
  return Math.max(0, kl);
}

function logSumExp(row: Float64Array): number {
  const max = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return max + Math.log(row.reduce((sum, value) => sum + Math.exp(value - max), 0));
}
