/**
 * The subgroup matrices of an adapter: whether it has them in the size that the kernel uses, and whether they multiply rightly.
 * They are an experimental feature of Dawn, so that a device proves them before they are used.
 */

import { ternary } from "../kernels/ternary.js";
import type { Executor, Window } from "./kernel.js";

/** What Dawn's adapters report beside the standard. */
interface MatrixInfo {
  readonly subgroupMinSize?: number;
  readonly subgroupMaxSize?: number;
  readonly subgroupMatrixConfigs?: Iterable<{
    readonly componentType: string;
    readonly resultComponentType: string;
    readonly M: number;
    readonly N: number;
    readonly K: number;
  }>;
}

/** int8 products with int32 sums, 16 x 16 x 32, by subgroups of 32: see wgsl/ternary/subgroup-matrices.wgsl. */
export function offersSubgroupMatrices(adapter: GPUAdapter): boolean {
  const { subgroupMinSize, subgroupMaxSize, subgroupMatrixConfigs = [] } = adapter.info as MatrixInfo;
  const fits = [...subgroupMatrixConfigs].some(({ componentType, resultComponentType, M, N, K }) => {
    return componentType === "i8" && resultComponentType === "i32" && M === 16 && N === 16 && K === 32;
  });
  return fits && subgroupMinSize === 32 && subgroupMaxSize === 32;
}

/** Whether the kernel with subgroup matrices gives the sums of the one without them. */
export async function subgroupMatricesWork(device: Executor): Promise<boolean> {
  const [rows, columns, outputs] = [70, 384, 72];
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
  const buffers: GPUBuffer[] = [];
  const windowOf = async (data: ArrayBufferView): Promise<Window> => {
    const buffer = await device.allocate(data.byteLength, "test of subgroup matrices");
    device.write(buffer, 0, data);
    buffers.push(buffer);
    return { buffer, offset: 0, size: buffer.size };
  };
  const valid = () => (random() % 3) | ((random() % 3) << 2) | ((random() % 3) << 4) | ((random() % 3) << 6);
  const codes = await windowOf(Uint8Array.from({ length: (outputs * columns) / 4 }, valid));
  const x = {
    values: await windowOf(Int8Array.from({ length: rows * columns }, () => (random() % 255) - 127)),
    scales: await windowOf(new Float32Array(rows).fill(1)),
    sums: await windowOf(Int32Array.from({ length: rows }, (_, row) => row)),
  };
  const results: Float32Array[] = [];
  try {
    for (const subgroupMatrices of [false, true]) {
      const out = await windowOf(new Float32Array(rows * outputs));
      const projections = [{ codes, rows: outputs, scale: 1, out }];
      await device.execute(ternary({ projections, columns, rows, x, subgroupMatrices }));
      results.push(new Float32Array(await device.readBack(out.buffer, 0, out.size)));
    }
  } catch {
    return false; // a compiler or a driver that refuses them
  } finally {
    for (const buffer of buffers) buffer.destroy();
  }
  const [want, got] = results;
  return want.every((value, i) => value === got[i]);
}
