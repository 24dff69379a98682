/** The weight types that this engine knows: one line each. */
import type { TypesByUse, WeightType } from "../backend/backend.js";
import { BF16, F16, F32 } from "./float.js";
import type { DenseFormat, Format } from "./format.js";
import { I2_S } from "./i2_s.js";
import { PQ2_0, Q2_0, Q2_0_128 } from "./q2_0.js";
import { Q4_0 } from "./q4_0.js";
import { Q4_K } from "./q4_k.js";
import { Q6_K } from "./q6_k.js";
import { Q8_0 } from "./q8_0.js";
import { TQ1_0 } from "./tq1_0.js";
import { TQ2_0 } from "./tq2_0.js";

/** In the order in which messages name them. */
const FORMATS: readonly Format[] = [F16, Q8_0, Q6_K, BF16, F32, Q4_0, Q4_K, Q2_0, Q2_0_128, PQ2_0, I2_S, TQ1_0, TQ2_0];

const BY_TYPE = new Map<WeightType, Format>(FORMATS.map((format) => [format.name, format]));
const typesOf = (kind: Format["kind"]) => FORMATS.filter((format) => format.kind === kind).map(({ name }) => name);

/** What may stand where in a model. Norms are float32; those of other files are made so, see model/extras.ts. */
export const KNOWN_TYPES: TypesByUse = {
  norm: [F32.name],
  table: typesOf("dense"),
  matrix: [...typesOf("ternary"), ...typesOf("dense")],
};

export function formatOf(type: WeightType): Format {
  const format = BY_TYPE.get(type);
  if (format === undefined) throw new TypeError(`weight type: expected ${[...BY_TYPE.keys()].join(", ")}, got ${type}`);
  return format;
}

/** Whether a weight's activations are rounded to int8: it has ternary codes. */
export const isTernary = ({ type }: { readonly type: WeightType }): boolean => formatOf(type).kind === "ternary";

/** Whether files hold the codes of this type in several orders. */
export function hasLayouts({ type }: { readonly type: WeightType }): boolean {
  const format = formatOf(type);
  return format.kind === "ternary" && format.layouts !== undefined;
}

export function denseFormatOf(type: WeightType): DenseFormat {
  const format = formatOf(type);
  if (format.kind !== "dense") throw new TypeError(`weight type: expected ${typesOf("dense").join(", ")}, got ${type}`);
  return format;
}
