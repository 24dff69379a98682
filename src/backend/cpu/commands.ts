/**
 * The words that the main thread and the worker threads share: the control block and the record of commands. One place
 * for both sides of the format.
 *
 * A command is [op, words in all, arguments ...] in int32 words; float arguments are the bits of a float32. Pointers are
 * byte addresses in the arena.
 */

/** Byte addresses of control words, relative to the control block; each on its own cache line. */
export const CONTROL = {
  /** number of the last range of commands handed out; threads sleep on it */
  ticket: 0,
  /** number of the last range that all threads finished; the main thread waits on it */
  done: 64,
  /** not 0: leave every barrier, something went wrong or the backend closes */
  failed: 128,
  /** barrier of the gang */
  count: 192,
  generation: 256,
  sleepers: 320,
  /** the gang's tasks shall return */
  park: 384,
  /** begin and end of the range of commands, in words from the start of the record; then 1 to measure times */
  range: 448,
  /** rows of the batch, wanted rows */
  batch: 512,
  /** next piece of the file to load; KiB loaded so far */
  piece: 576,
  loaded: 640,
  /** float64 milliseconds by op, then int32 calls by op */
  times: 704,
  calls: 1024,
} as const;
export const CONTROL_BYTES = 1280;

/** Words of the command record. A layer takes about 150. */
export const RECORD_WORDS = 1 << 18;

export const OPS = [
  "embed",
  "normQuantize",
  "ternary",
  "ropeStore",
  "attend",
  "attendSplit",
  "combine",
  "gate",
  "normOutputs",
  "logits",
  "headPack",
  "best",
] as const;
export type OpName = (typeof OPS)[number];

/** How a dense table's rows are decoded; index into the worker's list of decoders. */
export const DENSE_TYPES = ["F32", "F16", "BF16", "Q8_0", "Q6_K"] as const;
export type DenseType = (typeof DENSE_TYPES)[number];

/** Positions of one attention chunk, as in asm/attention.ts. */
export const CHUNK = 128;

/** [begin, end) of `count` things that thread `thread` of `threads` takes: contiguous, sizes differ by one at most. */
export function share(count: number, thread: number, threads: number): [begin: number, end: number] {
  return [Math.floor((count * thread) / threads), Math.floor((count * (thread + 1)) / threads)];
}
