/**
 * The roof beside the kernels of the same run: bytes a second that the threads of a gang can read from memory, each its own
 * part of an area far larger than the caches.
 */

import { median } from "../src/report/median.js";
import type { KernelGang } from "./kernels/gang.js";

/** Bytes a second over `bytes` bytes at `address` by all threads of the gang; median of `repetitions`. */
export function measureRead(gang: KernelGang, address: number, bytes: number, repetitions: number): number {
  const share = bytes / gang.threads;
  const calls = Array.from({ length: gang.threads }, (_, i) => [
    { kernel: "read", args: [address + i * share, share] },
  ]);
  new Uint8Array(gang.setup.memory.buffer, address, bytes).fill(1); // so that every page exists
  return gang.with(calls, () => {
    gang.run();
    const rates = Array.from({ length: repetitions }, () => {
      const start = performance.now();
      gang.run();
      return (1000 * bytes) / (performance.now() - start);
    });
    return median(rates);
  });
}
