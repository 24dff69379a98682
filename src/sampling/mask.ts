/** Token masks on the host: which ids may be chosen, a bit for each, see `Draw.mask`. */
import { allowsAny, isAllowed, maskWords } from "../backend/batch.js";

/** The ids that may be chosen at a position; undefined: all. */
export type MaskAt = (position: number) => Uint32Array | undefined;

/** The same, throwing a RangeError for a mask that no backend takes. */
export function checkedMasks(maskAt: MaskAt, vocabularySize: number): MaskAt {
  const words = maskWords(vocabularySize);
  return (position) => {
    const mask = maskAt(position);
    if (mask === undefined) return undefined;
    if (mask.length !== words) throw new RangeError(`mask: expected ${words} words, got ${mask.length}`);
    if (allowsAny(mask, vocabularySize)) return mask;
    throw new RangeError(`mask: expected at least one allowed id at position ${position}, got none`);
  };
}

/** Gives the ids that `mask` does not allow no chance. */
export function forbid(logits: Float32Array, mask: Uint32Array): void {
  for (let id = 0; id < logits.length; id++) if (!isAllowed(mask, id)) logits[id] = Number.NEGATIVE_INFINITY;
}
