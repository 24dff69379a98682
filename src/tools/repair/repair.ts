/** Writes a model file again as it should have been: see convert/rewrite.ts. Nothing is recoded. */
import * as check from "../../check.js";
import { checkLayout } from "../../engine/options.js";
import { type RewriteOptions, type RewrittenFile, rewriteModel } from "../convert/rewrite.js";

/** Of `repairFile`. */
export type RepairOptions = RewriteOptions;

export const REWRITE_CHECKS: check.OptionChecks<RewriteOptions> = {
  i2sLayout: checkLayout,
  force: check.boolean,
  onProgress: check.callable,
  signal: check.signal,
};

/** What `repairFile` wrote. */
export type RepairedFile = RewrittenFile;

/**
 * Reads the model `from` and writes it to `to`, which appears only when it is whole: an abort or an error leaves nothing
 * new. Throws a RangeError if both are the same file, and a TernionError for a file that is no sound model or cannot be
 * written.
 */
export async function repairFile(from: string, to: string, options: RepairOptions = {}): Promise<RepairedFile> {
  const own = check.options(options, REWRITE_CHECKS);
  return rewriteModel(check.filled("from", from), check.filled("to", to), own);
}
