/** What the opaque handles of the contract are on the CPU: byte addresses in the arena, and the layouts behind them. */
import type { Head, Quantized, Tensor, Weight, WeightType } from "../backend.js";
import type { Values } from "../record.js";
import { type Dense, denseTypeOf } from "./commands.js";

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
  /** of a matrix: of a ternary one its scale, if it has one for all; times the factor of its source */
  readonly scale: number;
  /** address of the scales of blocks; 0 where `scale` is all */
  readonly scales: number;
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
  const { name, type, address, rowBytes, rows, columns } = weight as CpuWeight;
  const dense = denseTypeOf(type);
  if (dense === undefined) throw new TypeError(`${name}: expected a dense weight, got a ternary one`);
  return { address, type: dense, rowBytes, rows, columns };
}
