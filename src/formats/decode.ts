/** A whole weight, checked and decoded: what the reference backend and `verify` compute with. */
import type { Weight, WeightSource } from "../backend/backend.js";
import type { Ternary } from "./format.js";
import { formatOf } from "./table.js";

/** A weight in memory: dense or ternary values, row-major. */
export interface DecodedWeight extends Weight {
  readonly dense?: Float32Array;
  readonly ternary?: Ternary;
  /** multiplies what the weight gives */
  readonly factor: number;
}

/** `bytes`: all of the weight, at an address that is a multiple of 4. */
export function decodeWeight(source: WeightSource, bytes: Uint8Array): DecodedWeight {
  const { name, rows, columns, factor = 1 } = source;
  const format = formatOf(source.type);
  if (format.kind === "ternary") return { name, rows, columns, factor, ternary: format.decode(source, bytes) };
  format.check(source, bytes);
  return { name, rows, columns, factor, dense: format.decode(bytes, rows * columns) };
}
