/** Sizes that the main thread lays memory out by and the worker threads compute with. */

/** Positions of one attention chunk, as in asm/attention.ts. */
export const CHUNK = 128;
