/**
 * Every kernel alone: checked against a plain loop, then timed on one thread and on all, beside what the machine can
 * read from memory in the same run. A wrong kernel is not timed.
 *
 *   npm run build && node dist/bench/kernels.js [--machine NAME] [--threads 1,2] [--revectorize] [--quick]
 */
import { parseArgs } from "node:util";
import { Bench } from "tinybench";
import { chooseKernels } from "../src/backend/cpu/choice/choose.js";
import { DOT_FORMS } from "../src/backend/cpu/choice/forms.js";
import { instantiate } from "../src/backend/cpu/kernels.js";
import { ENGINE, resultName } from "./engine.js";
import { attendChunk, attendChunk16 } from "./kernels/attention.js";
import { type CaseMaker, type KernelCase, Space } from "./kernels/case.js";
import { headScan, logitsF16 } from "./kernels/head.js";
import { gateRelu2, normQuantize, rope } from "./kernels/rows.js";
import { tableDot, ternaryDot } from "./kernels/ternary.js";
import { CONTROL_BYTES, KernelPool, type PoolMemory } from "./kernels/thread-pool.js";
import { integers, main } from "./options.js";
import { measureRead } from "./read-bandwidth.js";
import { writeResult } from "./results.js";

export interface KernelRow {
  readonly kernel: string;
  readonly shape: string;
  readonly threads: number;
  /** median of one run */
  readonly ms: number;
  readonly samples: number;
  /** 10^9 multiplications with addition a second; 0 where a kernel is not about them */
  readonly gmacPerSecond: number;
  readonly gbPerSecond: number;
  /** of what as many threads read from memory in this run; null where the caches hold the operands */
  readonly shareOfRead: number | null;
}
export interface KernelFigures {
  /** GB/s by number of threads */
  readonly readBandwidth: Readonly<Record<string, number>>;
  readonly barrierMicroseconds: Readonly<Record<string, number>>;
  readonly rows: readonly KernelRow[];
}

const SPACE = 640e6;
const READ = 256e6;
/** Operands below this may stay in a cache. */
const CACHED = 64e6;

/** [rows, columns] of the ternary matrices of 2B-4T. */
const MATRICES = [
  [2560, 2560],
  [640, 2560],
  [6912, 2560],
  [2560, 6912],
] as const;

function caseMakers(forms: readonly (typeof DOT_FORMS)[number][], maxThreads: number): CaseMaker[] {
  return [
    ...forms.flatMap((form) => MATRICES.map(([rows, columns]) => ternaryDot(form, rows, columns))),
    ...MATRICES.map(([rows, columns]) => tableDot(rows, columns, maxThreads)),
    headScan,
    logitsF16,
    normQuantize(2560),
    normQuantize(6912),
    gateRelu2(6912),
    rope(20, 128),
    attendChunk(maxThreads),
    attendChunk16(maxThreads),
  ];
}

/** Median milliseconds of `run`. */
function time(run: () => void, ms: number): { ms: number; samples: number } {
  const bench = new Bench({ time: ms, iterations: 5, warmupTime: ms / 5, warmupIterations: 1 });
  const [{ result }] = bench.add("", run).runSync();
  if (!("latency" in result)) throw new Error(`tinybench: expected a result, got ${result.state}`);
  return { ms: result.latency.p50, samples: result.latency.samplesCount };
}

function measure(kernelCase: KernelCase, pool: KernelPool, read: number, ms: number): KernelRow {
  const { kernel, shape, macs, bytes } = kernelCase;
  return pool.with(kernelCase.calls(pool.threads), () => {
    kernelCase.reset();
    pool.run();
    kernelCase.check();
    const timed = time(() => pool.run(), ms);
    return {
      kernel,
      shape,
      threads: pool.threads,
      ...timed,
      gmacPerSecond: macs / timed.ms / 1e6,
      gbPerSecond: bytes / timed.ms / 1e6,
      shareOfRead: bytes < CACHED ? null : (1000 * bytes) / timed.ms / read,
    };
  });
}

/** Microseconds of one barrier: a run without calls has two. */
function measureBarrier(pool: KernelPool, ms: number): number {
  const nothing = Array.from({ length: pool.threads }, () => []);
  return pool.with(nothing, () => (1000 * time(() => pool.run(), ms).ms) / 2);
}

await main(async () => {
  const { values } = parseArgs({ options: ENGINE });
  const ms = values.quick ? 100 : 500;
  const threads = integers("threads", values.threads);
  const { module, dot } = await chooseKernels({ revectorize: values.revectorize });
  const space = new Space(SPACE, CONTROL_BYTES);
  const kernels = instantiate(module, space.memory);
  const setup: PoolMemory = { memory: space.memory, modules: [module], control: 0 };
  const forms = dot === "ternaryDotBaseline" ? [dot] : DOT_FORMS;

  const figures = { readBandwidth: {}, barrierMicroseconds: {}, rows: [] } as {
    readBandwidth: Record<string, number>;
    barrierMicroseconds: Record<string, number>;
    rows: KernelRow[];
  };
  for (const count of threads) {
    const pool = await KernelPool.start(setup, count);
    space.clear();
    const read = measureRead(pool, space.allocate(READ), READ, 9);
    figures.readBandwidth[count] = read / 1e9;
    figures.barrierMicroseconds[count] = measureBarrier(pool, ms);
    process.stderr.write(`${count} threads: reads ${(read / 1e9).toFixed(1)} GB/s\n`);
    for (const make of caseMakers(forms, Math.max(...threads))) {
      space.clear();
      const row = measure(make(space, kernels), pool, read, ms);
      figures.rows.push(row);
      process.stderr.write(
        `${row.kernel} ${row.shape}: ${row.ms.toFixed(3)} ms, ${row.gmacPerSecond.toFixed(1)} GMAC/s, ` +
          `${row.gbPerSecond.toFixed(1)} GB/s${row.shareOfRead === null ? "" : `, ${(100 * row.shareOfRead).toFixed(0)} %`}\n`,
      );
    }
    await pool.close();
  }
  await writeResult(values.machine, resultName("kernels"), figures satisfies KernelFigures);
});
