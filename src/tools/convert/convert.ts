/**
 * A model as a GGUF file, from a directory of Hugging Face's files or from another GGUF. Ternary weights stay ternary and floats
 * stay floats: a change between the two would change what the model computes, since the activations of ternary weights are
 * rounded (see quantize.ts). What a type cannot hold is refused.
 */
import type { WeightSource } from "../../backend/backend.js";
import * as check from "../../check.js";
import { TernionError } from "../../errors.js";
import { DENSE_ENCODERS } from "../../formats/encode.js";
import { formatOf, isTernary } from "../../formats/table.js";
import type { GgmlType } from "../../gguf/types.js";
import { REWRITE_CHECKS } from "../repair/repair.js";
import { described } from "./describe.js";
import { asBlocks, asDense, asOneScale } from "./recode.js";
import { type Recoded, type RewriteOptions, type RewrittenFile, rewriteModel } from "./rewrite.js";

/** Of ternary matrices: with one scale, with one for each 256 weights. */
const TERNARY = { i2_s: "I2_S", tq2_0: "TQ2_0" } as const;
/** Of all else but the norms, which are F32. */
const FLOATS = { q8_0: "Q8_0", f16: "F16", bf16: "BF16", f32: "F32" } as const;
const TYPES = { ...TERNARY, ...FLOATS };

/** The types that `convertFile` writes. */
export type ConvertType = keyof typeof TYPES;
/** What `convertFile` can write, by the names of `--type`. */
export const CONVERT_TYPES = Object.keys(TYPES) as readonly ConvertType[];

/** Of `convertFile`. */
export interface ConvertOptions extends RewriteOptions {
  /** of ternary matrices ("i2_s", "tq2_0"), or of embedding, head and float matrices (the others); default: as they are */
  readonly type?: ConvertType | undefined;
}

/** What `convertFile` wrote. */
export interface ConvertedFile extends RewrittenFile {
  /** tensors that were brought into another type */
  readonly converted: number;
}

const CHECKS: check.OptionChecks<ConvertOptions> = { ...REWRITE_CHECKS, type: check.choice(CONVERT_TYPES) };

/**
 * Reads the model `from`, a GGUF file or a directory, and writes it to `to`, which appears only when it is whole. Throws a
 * RangeError if both are the same file, and a TernionError for what is no sound model, cannot be kept or cannot be written.
 */
export async function convertFile(from: string, to: string, options: ConvertOptions = {}): Promise<ConvertedFile> {
  const { type: asked, ...own } = check.options(options, CHECKS);
  check.filled("from", from);
  let converted = 0;
  const done = await rewriteModel(from, check.filled("to", to), own, {
    recode(sources) {
      const recoded = asked === undefined ? new Map() : recodedAs(sources, asked, own.signal);
      converted = recoded.size;
      return recoded;
    },
    describe: described,
  });
  return { ...done, converted };
}

function recodedAs(sources: readonly WeightSource[], asked: ConvertType, signal: AbortSignal | undefined) {
  const wantsTernary = Object.hasOwn(TERNARY, asked);
  const type: GgmlType = TYPES[asked];
  const concerned = sources.filter((source) => source.rows > 1 && isTernary(source) === wantsTernary);
  if (concerned.length === 0) throw nothingOf(wantsTernary);
  const changed = concerned.filter((source) => source.type !== type);
  for (const source of changed) checkRows(source, type);
  return new Map(
    changed.map((source): [string, Recoded] => [source.name, { type, data: dataOf(source, type, signal) }]),
  );
}

function dataOf(source: WeightSource, type: GgmlType, signal: AbortSignal | undefined): Recoded["data"] {
  if (Object.hasOwn(DENSE_ENCODERS, type)) return () => asDense(source, type, signal);
  return type === TYPES.tq2_0 ? () => asBlocks(source, signal) : () => asOneScale(source, signal);
}

export function checkRows({ name, columns }: WeightSource, type: GgmlType): void {
  const whole = formatOf(type).columns;
  if (columns % whole === 0) return;
  const message = `${name}: ${type} rows must be a multiple of ${whole} weights, got ${columns}. Choose another type.`;
  throw new TernionError("MODEL_TENSOR", message);
}

function nothingOf(wantsTernary: boolean): TernionError {
  const message = wantsTernary
    ? "the model has no ternary weights, and rounding others to ternary changes what it computes. Use `ternion quantize`"
    : "the model has no weights in floats";
  return new TernionError("MODEL_TENSOR", `type: ${message}.`);
}
