/**
 * Floats → ternary codes by their mean magnitude, as BitNet b1.58 is trained (Ma et al. 2024, "The Era of 1-bit LLMs",
 * equations 1 to 3; transformers, `WeightQuant`): the scale is the mean of |w| over the whole weight, and the code of a weight
 * is w / scale rounded to -1, 0 or 1, ties to even, plus 1.
 */

/** Of a weight whose values are all 0. */
const LEAST = 1e-5;

export function sumOfMagnitudes(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.abs(values[i]);
  return sum;
}

/** `sum`: of the magnitudes of all `count` weights. */
export const absmeanScale = (sum: number, count: number): number => Math.max(LEAST, Math.fround(sum / count));

/** In float32 as transformers does it: the reciprocal first, then the product. */
export function absmeanCodes(values: Float32Array, scale: number, codes: Uint8Array): void {
  const reciprocal = Math.fround(1 / scale);
  for (let i = 0; i < values.length; i++) {
    const x = Math.fround(values[i] * reciprocal);
    codes[i] = x > 0.5 ? 2 : x < -0.5 ? 0 : 1; // a tie is rounded to 0, which is even
  }
}
