/** Prompts for measurements, of any length. */
import type { Engine } from "../index.js";

/** BOS, if there is one, and ids that look like no pattern. */
export function fixedPrompt(length: number, vocabulary: number, bos: number | undefined): number[] {
  const ids = Array.from({ length }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 0) % vocabulary);
  if (bos !== undefined) ids[0] = bos;
  return ids;
}

/** The same for an engine's model. */
export const promptFor = ({ tokenizer: { bos }, config: { vocabularySize } }: Engine, length: number): number[] =>
  fixedPrompt(length, vocabularySize, bos);
