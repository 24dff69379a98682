/** The middle of `samples`, of an even number the mean of the middle two; RangeError where there is none. */
export function median(samples: readonly number[]): number {
  if (samples.length === 0) throw new RangeError("median: expected at least one sample, got none");
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
}
