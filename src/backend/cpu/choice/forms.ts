/**
 * The forms of the ternary dot, in the order of their numbers in asm/blocks.ts, and how they did in their trial: plain data,
 * part of the public types.
 */
export const DOT_FORMS = ["ternaryDot16", "ternaryDot32", "ternaryDotBaseline"] as const;
export type DotForm = (typeof DOT_FORMS)[number];

export interface Trial {
  readonly dot: DotForm;
  /** passed the self-test */
  readonly exact: boolean;
  /** of a fixed piece of work; 0 unless exact, Infinity where V8 has not optimised the form in time */
  readonly ms: number;
}
