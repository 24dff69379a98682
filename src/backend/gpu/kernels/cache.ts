/** The key-value cache as kernels are given it: blocks of positions, and the tables that say where they lie. */
import type { RopePairs } from "../../backend.js";
import type { Window } from "../device/kernel.js";

/**
 * Positions of a block. It is one chunk of attention (attend.ts), so that a workgroup asks the table once for a chunk, and
 * reads the chunk in one piece. Larger blocks would let slots share less of a common beginning, smaller ones would ask the
 * table several times a chunk.
 */
export const BLOCK = 128;

/** The files that know the cache, and the constants that they ask for. */
export const CACHE_FILES = ["shared/cache"];
export const cacheConstants = ({ slots, slotBlocks }: CacheTables) => ({
  BLOCK,
  SLOTS: slots,
  SLOT_BLOCKS: slotBlocks,
});

/** Files and constants of what rotates. */
export const ROTATE_FILES = ["shared/rotate", ...CACHE_FILES];
export const rotateConstants = (tables: CacheTables) => ({
  ...cacheConstants(tables),
  ADJACENT: tables.ropePairs === "adjacent" ? 1 : 0,
});

/** What all layers of a cache have in common. */
export interface CacheTables {
  /** u32 (slots, slotBlocks) where the slots' blocks lie, and from `anglesAt` on f32 (positions, headDim / 2, 2) cosine and sine */
  readonly tables: Window;
  readonly slots: number;
  /** most blocks of a slot */
  readonly slotBlocks: number;
  readonly kvHeads: number;
  /** a multiple of 8, at most 512 */
  readonly headDim: number;
  /** which elements of a head turn together; default "halves" */
  readonly ropePairs?: RopePairs | undefined;
}

/** One layer of a cache. */
export interface CacheLayer extends CacheTables {
  /** f32 (blocks, kvHeads, BLOCK, headDim) */
  readonly keys: Window;
  readonly values: Window;
}

/** Byte of `tables` where the angles begin: a multiple of 8. */
export const anglesAt = ({ slots, slotBlocks }: Pick<CacheTables, "slots" | "slotBlocks">) =>
  Math.ceil((slots * slotBlocks) / 2) * 8;

/** Bytes of one block in one layer's keys, and in its values. */
export const blockBytes = ({ kvHeads, headDim }: Pick<CacheTables, "kvHeads" | "headDim">) =>
  4 * kvHeads * BLOCK * headDim;
