/** What a series of samples comes to. */

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** in the order in which they were taken */
  readonly samples: readonly number[];
}

/** Of an even number of samples the mean of the middle two. */
export function median(samples: readonly number[]): number {
  if (samples.length === 0) throw new RangeError("median: expected at least one sample, got none");
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
}

export function summary(samples: readonly number[]): Summary {
  return { median: median(samples), min: Math.min(...samples), max: Math.max(...samples), samples };
}

/** The median of a[i] / b[i]: pairs were measured one behind the other, so a drift of the machine's speed cancels. */
export function medianRatio(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) throw new RangeError(`medianRatio: expected pairs, got ${a.length} and ${b.length}`);
  return median(a.map((value, i) => value / b[i]));
}
