/**
 * The formulas of the model in float64, as plain loops: what the reference backend computes and what `verify` judges by.
 */
import type { Activation, RopePairs, Rotation } from "./backend.js";

export const ACTIVATIONS: Readonly<Record<Activation, (x: number) => number>> = {
  relu2: (x) => Math.max(x, 0) ** 2,
  silu: (x) => x / (1 + Math.exp(-x)),
};

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** Small integers, with a scale for each `group` of consecutive ones. */
export interface ScaledIntegers {
  readonly values: Int8Array;
  readonly scales: Float32Array;
  readonly group: number;
}

/** w[at..] . q, with exact sums within a group. Groups and q are multiples of 4. */
export function scaledDot({ values, scales, group }: ScaledIntegers, at: number, q: Int8Array): number {
  let sum = 0;
  for (let i = 0, end = 0; i < q.length; i = end) {
    end = Math.min(q.length, i + group - ((at + i) % group));
    sum += integerDot(values, at + i, q.subarray(i, end)) * scales[Math.floor((at + i) / group)];
  }
  return sum;
}

/** values[at..] . q; in 32-bit integers, which V8 computes several times faster than doubles. */
function integerDot(values: Int8Array, at: number, q: Int8Array): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let i = 0; i < q.length; i += 4) {
    a = (a + values[at + i] * q[i]) | 0;
    b = (b + values[at + i + 1] * q[i + 1]) | 0;
    c = (c + values[at + i + 2] * q[i + 2]) | 0;
    d = (d + values[at + i + 3] * q[i + 3]) | 0;
  }
  return a + b + c + d;
}

export function rmsNorm(out: Float64Array, x: Float64Array, weight: Float32Array, eps: number): void {
  const inverse = 1 / Math.sqrt(dot(x, x) / x.length + eps);
  for (let i = 0; i < x.length; i++) out[i] = x[i] * inverse * weight[i];
}

/** Math.round takes halves up; torch, WebAssembly's nearest and WGSL's round take them to the even neighbour. */
export function roundHalfEven(x: number): number {
  const down = Math.floor(x);
  if (x - down !== 0.5) return Math.round(x);
  return down % 2 === 0 ? down : down + 1;
}

/** (headDim / 2) radians a position by which the pairs of a head turn. */
export function rotaryFrequencies({ ropeBase, ropeFactors }: Rotation, headDim: number): Float64Array {
  const half = headDim / 2;
  return Float64Array.from({ length: half }, (_, i) => ropeBase ** (-i / half) / (ropeFactors?.[i] ?? 1));
}

/** Gives cosine and sine, times the magnitude, of each pair at each position from 0 on. */
export function rotaryAngles(
  rotation: Rotation,
  { headDim, positions }: { readonly headDim: number; readonly positions: number },
  put: (position: number, pair: number, cos: number, sin: number) => void,
): void {
  const { ropeMagnitude = 1 } = rotation;
  for (const [pair, frequency] of rotaryFrequencies(rotation, headDim).entries()) {
    for (let position = 0; position < positions; position++) {
      const angle = position * frequency;
      put(position, pair, ropeMagnitude * Math.cos(angle), ropeMagnitude * Math.sin(angle));
    }
  }
}

/** Where in a head the two elements of pair `i` are. */
export function rotaryPair(pairs: RopePairs | undefined, headDim: number, i: number): readonly [number, number] {
  return pairs === "adjacent" ? [2 * i, 2 * i + 1] : [i, headDim / 2 + i];
}

export function rotateHeads(x: Float64Array, headDim: number, position: number, rotation: Rotation): void {
  const { ropePairs, ropeMagnitude = 1 } = rotation;
  const frequencies = rotaryFrequencies(rotation, headDim);
  for (let start = 0; start < x.length; start += headDim) {
    for (const [i, frequency] of frequencies.entries()) {
      const [cos, sin] = [Math.cos, Math.sin].map((f) => ropeMagnitude * f(position * frequency));
      const [first, second] = rotaryPair(ropePairs, headDim, i);
      const a = x[start + first];
      const b = x[start + second];
      x[start + first] = a * cos - b * sin;
      x[start + second] = b * cos + a * sin;
    }
  }
}

export function attendHead(out: Float64Array, q: Float64Array, keys: Float64Array[], values: Float64Array[]): void {
  const scores = keys.map((k) => dot(q, k) / Math.sqrt(q.length));
  const max = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const weights = scores.map((score) => Math.exp(score - max));
  const sum = weights.reduce((a, b) => a + b, 0);
  out.fill(0);
  values.forEach((v, position) => {
    for (let i = 0; i < out.length; i++) out[i] += (weights[position] / sum) * v[i];
  });
}
