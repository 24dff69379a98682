/**
 * Float matrices → ternary ones by their mean magnitude, one scale a matrix, as BitNet b1.58 has them; embedding, head and norms
 * stay. The activations of such matrices are rounded to int8 too. Only training makes a model good at this: one that was not
 * trained so loses its sense, and the perplexity of a built-in text before and after shows how far.
 */
import type { WeightSource } from "../../backend/backend.js";
import * as check from "../../check.js";
import { Engine } from "../../engine/engine.js";
import type { SelfCheck } from "../../engine/self-check.js";
import { TernionError } from "../../errors.js";
import { I2_S } from "../../formats/i2_s.js";
import { isTernary } from "../../formats/table.js";
import { REWRITE_CHECKS } from "../repair/repair.js";
import { checkRows } from "./convert.js";
import { described } from "./describe.js";
import { asAbsmean } from "./recode.js";
import { type RewriteOptions, type RewrittenFile, rewriteModel } from "./rewrite.js";

/** Of `quantizeFile`. */
export interface QuantizeOptions extends Omit<RewriteOptions, "i2sLayout"> {
  readonly type: "ternary";
  /** worker threads, for the perplexities; default: one a processor */
  readonly threads?: number | undefined;
}

/** What `quantizeFile` wrote, and what it did to the model. */
export interface QuantizedFile extends Pick<RewrittenFile, "byteLength"> {
  /** matrices that became ternary */
  readonly matrices: number;
  /** of the built-in text */
  readonly before: SelfCheck;
  readonly after: SelfCheck;
}

const { i2sLayout: _, ...SHARED } = REWRITE_CHECKS;
const CHECKS: check.OptionChecks<QuantizeOptions> = {
  ...SHARED,
  type: check.choice(["ternary"]),
  threads: check.threads,
};

/**
 * Reads the model `from`, a GGUF file or a directory, and writes it to `to`, which appears only when it is whole; then computes
 * with both. Throws as `convertFile` does, and a TernionError where there is no float matrix.
 */
export async function quantizeFile(from: string, to: string, options: QuantizeOptions): Promise<QuantizedFile> {
  const { type, threads, ...own } = check.options(options, CHECKS);
  check.choice(["ternary"])("type", type);
  const { signal } = own;
  check.filled("from", from);
  let matrices = 0;
  const { byteLength } = await rewriteModel(from, check.filled("to", to), own, {
    recode(sources) {
      const floats = sources.filter(isFloatMatrix);
      if (floats.length === 0) throw noFloats(from);
      for (const source of floats) checkRows(source, I2_S.name);
      matrices = floats.length;
      const data = (source: WeightSource) => () => asAbsmean(source, signal);
      return new Map(floats.map((source) => [source.name, { type: I2_S.name, data: data(source) }]));
    },
    describe: described,
  });
  const before = await checkOf(from, threads, signal);
  return { byteLength, matrices, before, after: await checkOf(to, threads, signal) };
}

/** Embedding and head are no matrices of a layer. */
const isFloatMatrix = (source: WeightSource) => source.name.startsWith("blk.") && source.rows > 1 && !isTernary(source);

async function checkOf(path: string, threads: number | undefined, signal: AbortSignal | undefined): Promise<SelfCheck> {
  await using engine = await Engine.load(path, { backend: "cpu", threads, maxSessions: 1, signal });
  return await engine.selfCheck({ signal });
}

function noFloats(from: string): TernionError {
  return new TernionError(
    "MODEL_TENSOR",
    `${from}: expected matrices of floats, got ternary ones. There is nothing to do.`,
  );
}
