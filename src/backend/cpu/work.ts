/**
 * Into how many shares an op is cut: enough that a late thread holds up little, none so small that handing it over would
 * cost as much as computing it. The estimates are of one thread of a Zen 5 machine; half or twice as much does no harm.
 */

/** An op as a whole. */
export interface Work {
  readonly ns: number;
  /** pieces that are computed as a whole: there are no more shares than these */
  readonly units: number;
  /** most shares, where each one repeats some work */
  readonly most?: number;
  /** so many, where memory was laid out for them */
  readonly exactly?: number | undefined;
}

/** Nanoseconds of what an op does again and again. */
export const NS = {
  /** of a ternary weight and a batch row */
  ternary: 1 / 24,
  /** of the same in a tile of batch rows */
  tiled: 1 / 60,
  /** of an element */
  copy: 0.3,
  norm: 0.7,
  gate: 0.5,
  rope: 0.7,
  /** of an element of a query and a position; of a batch row and a head beside */
  attend: 0.2,
  attendHead: 2000,
  /** of an element of the table and a requested row: of its int8 copy, and as it is */
  scan: 1 / 12,
  logits: 1 / 5,
  /** of a weight of packed.ts and a row; of an element that is brought to fixed point */
  packed: 1 / 12,
  fixedPoint: 0.5,
} as const;

/** A share takes at least so long: handing one over costs 0.2 to 0.5 us, and the first one of a sleeping thread 10 to 50. */
const SHARE_NS = 12_000;

export function sharesOf({ ns, units, most = units, exactly }: Work, threads: number): number {
  if (exactly !== undefined) return exactly;
  if (threads === 1) return 1;
  return Math.max(1, Math.min(Math.floor(ns / SHARE_NS), units, most));
}

/** Work that pays for waking one more thread, which takes 10 to 50 us. */
const WAKING_NS = 150_000;

/** How many threads are worth waking for ops of several shares that take `ns` on one thread in all. */
export function threadsFor(ns: number): number {
  return 1 + Math.floor(ns / WAKING_NS);
}
