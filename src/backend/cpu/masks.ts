/** The masks of a head in shared memory: for each ranked row the byte address of its mask, or 0; then room for the masks. */
import { maskWords } from "../batch.js";

interface Places {
  readonly address: number;
  readonly maxRows: number;
  readonly vocabulary: number;
}

export function maskBytes({ maxRows, vocabulary }: Omit<Places, "address">): number {
  return 4 * maxRows * (1 + maskWords(vocabulary));
}

/** Writes the mask of each row that has one. */
export function writeMasks(words: Int32Array, places: Places, masks: readonly (Uint32Array | undefined)[]): void {
  const { address, maxRows, vocabulary } = places;
  for (const [row, mask] of masks.entries()) {
    const to = address + 4 * (maxRows + row * maskWords(vocabulary));
    words[address / 4 + row] = mask === undefined ? 0 : to;
    if (mask !== undefined) words.set(mask, to / 4);
  }
}

/** Address of a row's mask; 0: all ids are allowed. `masks` is 0 where no row has one. */
export const maskOf = (words: Int32Array, masks: number, row: number): number =>
  masks === 0 ? 0 : words[(masks >>> 2) + row];

export const allows = (words: Int32Array, mask: number, id: number): boolean =>
  mask === 0 || ((words[(mask >>> 2) + (id >>> 5)] >>> (id & 31)) & 1) === 1;
