/** The control block: the words by which the main thread and the worker threads meet. */

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
  /** word of the record where it begins, or NONE; its number of shares */
  op: 448,
  shares: 452,
  /** threads that do not nap (see member.ts) */
  present: 512,
  /** word of the record where the range ends; its number; 1 to measure times; threads that are worth waking for it */
  rangeEnd: 576,
  rangeNumber: 580,
  measure: 584,
  worthWaking: 588,
  /** rows of the batch; those whose logits are requested */
  rows: 640,
  outputs: 644,
  /** next piece of the file to load */
  piece: 704,
  /** KiB loaded so far */
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

/** Words of a thread's own control words. */
export const THREAD = {
  /** counts its wake-ups; it sleeps on this word */
  wakes: 0,
  /** 1 while it sleeps */
  asleep: 1,
  /** microseconds of its last nap */
  nap: 2,
} as const;
/** a line of its own for each thread */
export const THREAD_BYTES = 64;

/** Shares of one word of `masks`. */
export const MASK_BITS = 32;
const MASK_WORDS = 8;
/** Most shares of an op: one bit each. */
export const MAX_SHARES = MASK_BITS * MASK_WORDS;
