/** What the parts of the conformance suite share: backends with weights, batches, float64 helpers. */
import assert from "node:assert/strict";
import type { Backend, Batch, Weight } from "../../../src/backend/backend.js";
import type { Variant } from "../../backends.js";
import { type Matrix, randomOf, withFile } from "../files.js";

/** Norm of a row's difference over norm of the row. */
export const TOLERANCE = 2e-6;
export const MAX_ROWS = 16;
export const DENSE_TYPES = ["F32", "F16", "BF16", "Q8_0", "Q6_K"] as const;

/** The backend of each variant that tests share: threads and pipelines take longer to start than most tests. */
const shared = new Map<Variant, Promise<Backend>>();

/** A backend with `matrices` loaded, in no known state beyond that; the weights come in their order. */
export async function withBackend(
  variant: Variant,
  matrices: readonly Matrix[],
  use: (b: Backend, weights: Weight[]) => Promise<void>,
): Promise<void> {
  const created = shared.get(variant) ?? variant.create(MAX_ROWS);
  shared.set(variant, created);
  const backend = await created;
  await use(backend, matrices.length === 0 ? [] : await withFile(matrices, (sources) => backend.load(sources)));
}

export async function closeShared(variant: Variant): Promise<void> {
  await (await shared.get(variant))?.close();
  shared.delete(variant);
}

export function batchOf(count: number, parts: Partial<Batch> = {}): Batch {
  return {
    tokens: new Int32Array(count),
    slots: new Int32Array(count),
    positions: Int32Array.from({ length: count }, (_, i) => i),
    outputs: new Int32Array(),
    ...parts,
  };
}

export function runOps(b: Backend, batch: Batch, ops: () => void): Promise<Int32Array> {
  b.begin(batch);
  ops();
  return b.run();
}

export function uniform(count: number, seed: number, scale = 1): Float32Array {
  const random = randomOf(seed);
  return Float32Array.from({ length: count }, () => (2 * random() - 1) * scale);
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

export const rowOf = <T extends Float32Array | Float64Array | Int8Array>(data: T, row: number, width: number) =>
  data.subarray(row * width, (row + 1) * width) as T;

export function assertNear(got: ArrayLike<number>, want: ArrayLike<number>, what: string, tolerance = TOLERANCE): void {
  assert.equal(got.length, want.length, what);
  const difference = Float64Array.from({ length: want.length }, (_, i) => got[i] - want[i]);
  const error = Math.sqrt(dot(difference, difference) / Math.max(dot(want, want), 1e-60));
  assert.ok(error <= tolerance, `${what}: relative error ${error}`);
}

export function rmsNorm(x: ArrayLike<number>, weight: ArrayLike<number>, eps: number): Float64Array {
  const inverse = 1 / Math.sqrt(dot(x, x) / x.length + eps);
  return Float64Array.from({ length: x.length }, (_, i) => x[i] * inverse * weight[i]);
}
