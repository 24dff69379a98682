/** 40 times load, generate, abort, close in one process: threads, handles and memory stay as they are. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Engine } from "../../src/index.js";
import { PROMPT, TINY, threadCount, VARIED } from "./engines.js";

const RUNS = 40;
/** code is compiled, pools of the runtime are filled */
const WARM_UP = 16;
/**
 * An engine that was kept would hold 2.5 MiB of touched arena beside its tokenizer, 60 MiB for all runs; what the
 * allocator and the collector keep for later differs by up to 30 MiB from one measurement to the next.
 */
const MEMORY_BOUND = 48 * 2 ** 20;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

async function once(threads: number): Promise<void> {
  const engine = await Engine.load(TINY, { backend: "cpu", threads });
  const abort = new AbortController();
  let pieces = 0;
  await assert.rejects(
    async () => {
      for await (const _ of engine.session().generate(PROMPT, { ...VARIED, signal: abort.signal })) {
        if (++pieces === 4) abort.abort();
      }
    },
    { name: "AbortError" },
  );
  assert.equal(pieces, 4);
  await engine.close();
}

interface Footprint {
  readonly threads: number | undefined;
  readonly handles: readonly string[];
  readonly resident: number;
}

async function footprint(): Promise<Footprint> {
  await new Promise((resolve) => setTimeout(resolve, 50)); // exits of threads and closed ports are reported by events
  collectGarbage();
  await new Promise((resolve) => setTimeout(resolve, 50)); // finalizers
  collectGarbage();
  const handles = process.getActiveResourcesInfo().sort();
  return { threads: threadCount(), handles, resident: process.memoryUsage().rss };
}

test(`${RUNS} runs of load, generate, abort, close`, async (t) => {
  for (let run = 0; run < WARM_UP; run++) await once(1 + (run % 2));
  const before = await footprint();
  const start = performance.now();
  for (let run = WARM_UP; run < RUNS; run++) {
    await once(1 + (run % 2));
    if (run % 10 === 0) collectGarbage();
  }
  const ms = (performance.now() - start) / (RUNS - WARM_UP);
  const after = await footprint();
  const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
  t.diagnostic(`${ms.toFixed(0)} ms a run, resident ${mib(before.resident)} → ${mib(after.resident)} MiB`);
  assert.equal(after.threads, before.threads);
  assert.deepEqual(after.handles, before.handles);
  const grown = after.resident - before.resident;
  assert.ok(grown < MEMORY_BOUND, `resident memory grew by ${mib(grown)} MiB`);
});
