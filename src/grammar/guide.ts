/** What an answer keeps to, id after id: a `Matcher`, or whatever else knows which ids may follow. */
export interface Guide {
  /** The ids that may come next, see `Draw.mask`; undefined: all. */
  mask(): Uint32Array | undefined;
  /** Any id may come, until one that comes ends that: ids need not be waited for one by one. Absent: never */
  readonly isFree?: boolean;
  /** Goes on with an id that was allowed. */
  accept(id: number): void;
  /** The bytes that must come next, whatever is chosen; at most `most`. */
  forced(most: number): Uint8Array;
  /** whether the answer is whole, and nothing more may follow */
  readonly done: boolean;
}
