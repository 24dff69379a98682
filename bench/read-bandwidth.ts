/**
 * The roof beside the kernels of the same run: bytes a second that the threads of a pool can read from memory, each its own
 * part of an area far larger than the caches.
 */

import { median } from "../src/tools/report/median.js";
import type { KernelPool } from "./kernels/thread-pool.js";

/** Bytes a second over `bytes` bytes at `address` by all threads of the pool; median of `repetitions`. */
export function measureRead(pool: KernelPool, address: number, bytes: number, repetitions: number): number {
  const share = bytes / pool.threads;
  const calls = Array.from({ length: pool.threads }, (_, i) => [
    { kernel: "read", args: [address + i * share, share] },
  ]);
  new Uint8Array(pool.setup.memory.buffer, address, bytes).fill(1); // so that every page exists
  return pool.with(calls, () => {
    pool.run();
    const rates = Array.from({ length: repetitions }, () => {
      const start = performance.now();
      pool.run();
      return (1000 * bytes) / (performance.now() - start);
    });
    return median(rates);
  });
}
