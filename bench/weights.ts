/** Sizes of the weights that a pass reads. */
import type { ModelConfig } from "../src/index.js";

/** Weights of all ternary matrices. */
export function ternaryWeights({ layers, width, ffnWidth, heads, kvHeads, headDim }: ModelConfig): number {
  const attention = 2 * width * heads * headDim + 2 * width * kvHeads * headDim;
  return layers * (attention + 3 * width * ffnWidth);
}

/** Their bytes: two bits each. */
export const ternaryBytes = (config: ModelConfig) => ternaryWeights(config) / 4;
