/** What a series of samples comes to. */
import { median } from "../src/tools/report/median.js";

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** in the order in which they were taken */
  readonly samples: readonly number[];
}

export function summary(samples: readonly number[]): Summary {
  return { median: median(samples), min: Math.min(...samples), max: Math.max(...samples), samples };
}

/** The median of a[i] / b[i]: pairs were measured one after the other, so a drift of the machine's speed cancels. */
export function medianRatio(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) throw new RangeError(`medianRatio: expected pairs, got ${a.length} and ${b.length}`);
  return median(a.map((value, i) => value / b[i]));
}
