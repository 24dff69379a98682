/** What the opaque handles of the contract are on the CPU: byte addresses in the arena, and the layouts behind them. */
import type { Head, Quantized, Tensor, Weight, WeightType } from "../backend.js";
import type { Values } from "../record.js";
import { DENSE_TYPES, type Dense, type DenseType } from "./commands.js";

export interface CpuTensor extends Tensor {
  readonly address: number; // (maxRows, width) float32
}

export interface CpuQuantized extends Quantized {
  readonly normed: CpuTensor;
  readonly values: number; // (maxRows, width) int8
  readonly scales: number; // (maxRows) float32, max|y| / 127
  readonly sums: number; // (maxRows) int32, sum of the int8 row
}

export interface CpuWeight extends Weight {
  readonly address: number;
  readonly type: WeightType;
  readonly rowBytes: number;
  /** of a matrix */
  readonly scale: number;
}

export interface CpuHead extends Head {
  readonly codes: number; // (vocabulary / 4, columns / 16, 4, 16) int8
  readonly numbers: number; // (vocabulary / 4, 4, 4) float32: scales, error norms, norms
  readonly scratch: { address: number; bytes: number };
  /** shares of `best` */
  readonly shares: number;
  readonly results: number; // (maxRows, shares) of resultBytes(maxBest)
  readonly masks: number; // see masks.ts
}

export const addressOf = (tensor: Tensor) => (tensor as CpuTensor).address;

export function denseOf(weight: Weight): Values<Dense> {
  const { name, type } = weight as CpuWeight;
  const dense: readonly WeightType[] = DENSE_TYPES;
  if (!dense.includes(type)) throw new TypeError(`${name}: expected a dense weight, got a ternary one`);
  return weight as CpuWeight & { type: DenseType };
}
