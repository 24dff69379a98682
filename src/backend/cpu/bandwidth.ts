/**
 * The roof: bytes a second that threads can read from memory, each its own part of an area larger than common caches, as
 * the kernels of a token do.
 */
import { Piscina } from "piscina";
import { packageFile } from "../../platform/package.js";
import { chooseKernels } from "./choice/choose.js";
import { PAGE, sharedMemory } from "./memory.js";
import type { ReadJob } from "./thread/bandwidth-worker.js";

/** 256 MB */
const AREA = 256 << 20;
const REPETITIONS = 9;

/** Bytes a second; the median of several rounds that all threads begin and end together. Takes less than a second. */
export async function readBandwidth(threads: number): Promise<number> {
  const { module } = await chooseKernels();
  const memory = sharedMemory(AREA / PAGE + 1, AREA / PAGE + 1);
  new Uint8Array(memory.buffer, PAGE).fill(1); // so that every page exists
  const pool = new Piscina({ minThreads: threads, maxThreads: threads, idleTimeout: Number.POSITIVE_INFINITY });
  const filename = packageFile("dist/src/backend/cpu/thread/bandwidth-worker.js").href;
  const bytes = Math.floor(AREA / threads / 64) * 64;
  try {
    const rounds = await Promise.all(
      Array.from({ length: threads }, (_, thread) => {
        const job: ReadJob = {
          module,
          memory,
          threads,
          address: PAGE + thread * bytes,
          bytes,
          repetitions: REPETITIONS,
        };
        return pool.run(job, { filename }) as Promise<number[]>;
      }),
    );
    const [times] = rounds;
    times.sort((a, b) => a - b);
    return (1000 * bytes * threads) / times[Math.floor(REPETITIONS / 2)];
  } finally {
    await pool.destroy();
  }
}
