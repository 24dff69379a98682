/** The verdict of `verify` in a sentence. */
import { type Verdict, verify } from "../verify/verify.js";

/** Whether the answers of the measured backend are right. */
export interface ReportVerdict {
  /** "not run": it was not asked for */
  readonly status: "passed" | "failed" | "not run";
  readonly summary: string;
}

/** Follows every speed of a model whose answers are wrong. */
export const SPEED_MARK = "verdict failed";

export const NOT_RUN: ReportVerdict = { status: "not run", summary: "Nothing here says that the answers are right." };

export async function askVerify(...question: Parameters<typeof verify>): Promise<ReportVerdict> {
  return summarise(await verify(...question));
}

export function summarise({ ok, tokens, ops, firstFault, endToEnd, fingerprint }: Verdict): ReportVerdict {
  if (!ok && firstFault !== undefined) {
    const { name, row, element, got, expected, cause } = firstFault;
    const values = `row ${row}, element ${element}: expected ${expected.toPrecision(6)}, got ${got.toPrecision(6)}`;
    return { status: "failed", summary: `First wrong: ${name}, ${values}. ${cause}` };
  }
  const judged = `${ops.length} ops over ${tokens.length} tokens were judged in float64 on their own inputs`;
  if (!ok) return { status: "failed", summary: `${judged}; some are wrong.` };
  const whole =
    endToEnd === undefined
      ? ""
      : ` The best token is that of a float64 pass in ${endToEnd.top1} of ${endToEnd.tokens} rows.`;
  return { status: "passed", summary: `${judged}.${whole} Logits sha256 ${fingerprint.sha256.slice(0, 16)}.` };
}
