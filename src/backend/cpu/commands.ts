/**
 * The words that the main thread and the worker threads share: the control block and the record of commands. One place
 * for both sides of the format.
 *
 * A command is [op, words in all, shares, microseconds of a share, arguments ...] in int32 words; float arguments are the
 * bits of a float32. Pointers are byte addresses in the arena. An op is cut into `shares` parts, whatever the number of
 * threads that take them.
 */

/** Byte addresses of control words, relative to the control block; what different threads write lies on lines of its own. */
export const CONTROL = {
  /** number of the last range of commands that was computed; the main thread waits on it */
  done: 0,
  /** not 0: leave, something went wrong or the backend closes */
  failed: 64,
  /** not 0: the threads' tasks shall return */
  park: 128,
  /** changes when an op begins and when a range ends; who waits for the next op polls it */
  sequence: 192,
  /** threads that sleep until they are woken */
  sleepers: 256,
  /** bits of the shares of the op under way that nobody has begun, MASK_WORDS words */
  masks: 320,
  /** shares of it that are not computed */
  left: 384,
  /** word of the record where it begins, or NONE; then its number of shares */
  op: 448,
  /** threads that do not nap (see member.ts) */
  present: 512,
  /** word of the record where the range ends, its number, 1 to measure times, threads that are worth waking for it */
  range: 576,
  /** rows of the batch, requested rows */
  batch: 640,
  /** next piece of the file to load; KiB loaded so far */
  piece: 704,
  loaded: 768,
  /** float64 milliseconds since the epoch when the op under way began */
  began: 832,
  /** float64 milliseconds by op, then int32 calls by op */
  times: 896,
  calls: 1152,
} as const;
export const CONTROL_BYTES = 1408;

/** In place of an op: no range is under way. */
export const NONE = -1;

/**
 * Bytes of a thread's own control words: a counter of its wake-ups, which it sleeps on; 1 while it sleeps; microseconds of
 * its last nap.
 */
export const THREAD_BYTES = 64;

const MASK_WORDS = 8;
/** Most shares of an op: one bit each. */
export const MAX_SHARES = 32 * MASK_WORDS;

/** Words of a command before its arguments. */
export const HEADER_WORDS = 4;

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

/** [begin, end) of `count` things in part `part` of `parts`: contiguous, sizes differ by one at most. */
export function share(count: number, part: number, parts: number): [begin: number, end: number] {
  return [Math.floor((count * part) / parts), Math.floor((count * (part + 1)) / parts)];
}
