/** What backends ask of a batch, that it is sound, a copy of its own, and which of its outputs are ranked; and of widths. */
import type { Batch, Draw, Head, MarkRows } from "./backend.js";

/** Bits of one word of a mask. */
const WORD = 32;

/** Words of a mask over a vocabulary. */
export const maskWords = (vocabulary: number): number => Math.ceil(vocabulary / WORD);

export const isAllowed = (mask: Uint32Array | undefined, id: number): boolean =>
  mask === undefined || ((mask[id >>> 5] >>> (id & 31)) & 1) === 1;

/** A copy that the caller's later changes do not reach; throws a RangeError for what no backend takes, or too many rows. */
export function copyBatch(batch: Batch, maxRows = Number.POSITIVE_INFINITY): Batch {
  const { tokens, slots, positions, outputs, ranked, hidden = 0, draws } = batch;
  if (tokens.length > maxRows) throw new RangeError(`batch: expected at most ${maxRows} rows, got ${tokens.length}`);
  if (ranked !== undefined && !(Number.isInteger(ranked) && ranked >= 0 && ranked <= outputs.length)) {
    throw new RangeError(`batch.ranked: expected an integer from 0 to ${outputs.length} outputs, got ${ranked}`);
  }
  const most = outputs.length - (ranked ?? 0);
  if (!(Number.isInteger(hidden) && hidden >= 0 && hidden <= most)) {
    throw new RangeError(`batch.hidden: expected an integer from 0 to ${most} outputs, got ${hidden}`);
  }
  return {
    ...batch,
    tokens: tokens.slice(),
    slots: slots.slice(),
    positions: positions.slice(),
    outputs: outputs.slice(),
    draws: draws?.map((draw, row) => draw && copyDraw(draw, row)),
  };
}

function copyDraw(draw: Draw, row: number): Draw {
  if (draw.mask === undefined) return { ...draw };
  if (draw.mask.some((word) => word !== 0)) return { ...draw, mask: draw.mask.slice() };
  throw noneAllowed(row);
}

const noneAllowed = (row: number) =>
  new RangeError(`draws[${row}].mask: expected at least one allowed id, got none. End the answer instead.`);

/** Codes and int8 values are read by 16. */
export function checkQuantizedWidth(width: number): void {
  if (width % 16 !== 0) throw new RangeError(`width: expected a multiple of 16, got ${width}`);
}

/** Outputs that `best` ranks, the first ones. */
export const rankedOf = ({ ranked, outputs, hidden = 0 }: Batch): number => ranked ?? outputs.length - hidden;

/** How many rows `best` ranks; throws a RangeError where the head has no room for them, or for `count` ids of each. */
export function rankedBy({ maxRows, maxBest }: Head, batch: Batch, count: number): number {
  const ranked = rankedOf(batch);
  if (count >= 1 && count <= maxBest && ranked <= maxRows) return ranked;
  throw new RangeError(`best: expected 1 to ${maxBest} ids of at most ${maxRows} rows, got ${count} of ${ranked}`);
}

/** The first of the outputs whose whole logits `logits` computes, and how many they are. */
export function wholeOf({ ranked = 0, hidden = 0, outputs }: Batch): { first: number; count: number } {
  return { first: ranked, count: outputs.length - ranked - hidden };
}

export function markedRows(batch: Batch, rows: MarkRows): number {
  if (rows === "all") return batch.tokens.length;
  return rows === "outputs" ? batch.outputs.length : wholeOf(batch).count;
}

/** The mask of each ranked row, checked against the vocabulary; nothing where no row has one. */
export function masksOf(batch: Batch, vocabulary: number): readonly (Uint32Array | undefined)[] | undefined {
  const { draws = [] } = batch;
  if (!draws.some((draw) => draw?.mask !== undefined)) return undefined;
  return Array.from({ length: rankedOf(batch) }, (_, row) => {
    const mask = draws[row]?.mask;
    if (mask !== undefined) checkMask(mask, row, vocabulary);
    return mask;
  });
}

function checkMask(mask: Uint32Array, row: number, vocabulary: number): void {
  const words = maskWords(vocabulary);
  if (mask.length !== words) {
    throw new RangeError(
      `draws[${row}].mask: expected ${words} words for a vocabulary of ${vocabulary}, got ${mask.length}`,
    );
  }
  if (!allowsAny(mask, vocabulary)) throw noneAllowed(row);
}

/** Whether a mask of the right length allows an id: a look at its words, not at 128,256 bits. */
export function allowsAny(mask: Uint32Array, vocabulary: number): boolean {
  const beyond = vocabulary % WORD === 0 ? 0 : -1 << (vocabulary % WORD); // bits of the last word that are no ids
  return (mask[mask.length - 1] & ~beyond) !== 0 || mask.subarray(0, -1).some((word) => word !== 0);
}
