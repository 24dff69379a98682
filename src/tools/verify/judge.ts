/** Is an intermediate what its formula gives? Row by row, with int8 roundings that may fall to either side allowed for. */
import type { Evaluator, Flip } from "./evaluate.js";

/** The verdict over one named intermediate. */
export interface OpVerdict {
  /** as in a trace: "blk.3.attn_ctx" */
  readonly name: string;
  readonly ok: boolean;
  readonly rows: number;
  /** rows farther off than `tolerance` */
  readonly outside: number;
  /** rows that agree once an activation on an int8 rounding boundary is rounded the other way */
  readonly rounded: number;
  /** largest and median of norm(got - expected) / norm(expected) over the rows, after such roundings */
  readonly largestError: number;
  readonly medianError: number;
  readonly tolerance: number;
}

/** The element of the first faulty row that is farthest off. */
export interface Difference {
  readonly row: number;
  readonly element: number;
  readonly got: number;
  readonly expected: number;
  /** of the row: norm(got - expected) / norm(expected) */
  readonly error: number;
}

export interface Judged {
  readonly verdict: OpVerdict;
  readonly difference?: Difference;
}

/** Of the rows, so many may be off by more than the tolerance ... */
const ALLOWED_OUTSIDE = 0.1;
/** ... but none by more than this, unless the tolerance is wider. One rounding step moves a row by less. */
const GROSS = 2e-2;
/** Beyond this many, a fault is likelier than so many activations on a boundary. */
const MOST_FLIPS = 24;

/** Holds the known rows of `name` against its formula. */
export function judge(evaluator: Evaluator, op: string, name: string, tolerance: number): Judged {
  const known = evaluator.known.get(op) ?? [];
  const errors: number[] = [];
  let rounded = 0;
  known.forEach((got, row) => {
    const error = relativeError(got, evaluator.compute(op, row));
    errors[row] = error > tolerance ? afterFlips(evaluator, op, row, tolerance, error) : error;
    if (errors[row] <= tolerance && error > tolerance) rounded++;
  });
  const outside = errors.filter((error) => error > tolerance).length;
  const ok = outside <= ALLOWED_OUTSIDE * known.length && errors.every((e) => e <= Math.max(GROSS, tolerance));
  const sorted = [...errors].sort((a, b) => a - b);
  const largestError = sorted[sorted.length - 1];
  const medianError = sorted[Math.floor(sorted.length / 2)];
  const verdict = { name, ok, rows: known.length, outside, rounded, largestError, medianError, tolerance };
  return ok ? { verdict } : { verdict, difference: differenceOf(evaluator, op, errors, tolerance) };
}

/** norm(got - want) / norm(want); infinite where a value is no number. */
export function relativeError(got: Float64Array, want: Float64Array): number {
  let [difference, norm] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    difference += (got[i] - want[i]) ** 2;
    norm += want[i] ** 2;
  }
  const error = Math.sqrt(difference / Math.max(norm, Number.MIN_VALUE));
  return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
}

/** The row's error with those activations rounded the other way that bring it nearer. */
function afterFlips(evaluator: Evaluator, op: string, row: number, tolerance: number, without: number): number {
  const got = evaluator.value(op, row);
  const candidates = evaluator.boundaries(op, row);
  if (candidates.length > MOST_FLIPS) return without;
  const taken: Flip[] = [];
  let error = without;
  for (const flip of candidates) {
    const tried = relativeError(got, evaluator.compute(op, row, [...taken, flip]));
    if (tried >= error) continue;
    error = tried;
    taken.push(flip);
    if (error <= tolerance) break;
  }
  return error;
}

function differenceOf(evaluator: Evaluator, op: string, errors: readonly number[], tolerance: number): Difference {
  const row = errors.findIndex((error) => error > tolerance);
  const got = evaluator.value(op, row);
  const expected = evaluator.compute(op, row);
  let element = 0;
  const off = (i: number) => {
    const difference = Math.abs(got[i] - expected[i]);
    return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  };
  for (let i = 1; i < expected.length; i++) if (off(i) > off(element)) element = i;
  return { row, element, got: got[element], expected: expected[element], error: errors[row] };
}
