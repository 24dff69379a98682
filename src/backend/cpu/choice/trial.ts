/**
 * Chooses by trial between forms of the ternary dot that are all right: self-test with extreme values, so that a miscompiled
 * kernel is never used, then a timing of the code that will run for most of the time.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { instantiate, MASKS } from "../kernels.js";
import { sharedMemory } from "../memory.js";
import type { DotForm, Trial } from "./forms.js";

const COLUMNS = 512; // two runs of int16 accumulation
const GROUPS = 24; // 24 KB of weights: stays in the first cache, so that the kernel is timed and not the memory
const [X, OUT, W] = [1024, 2048, 4096];

/** V8 begins to optimise a form after 30 to 42 calls: these few are timed before, in slices of as many. */
const SLICE = 3;
/** Slices after which V8 has seen enough. */
const ENOUGH = 20;
/** Of the time of V8's first code optimised code takes 0.2 to 0.6, that of the baseline form 0.8. */
const FASTER = 0.7;
/** Optimising takes 5 to 10 ms in the background, longer on a busy machine; a form without a rival need not be faster. */
const PATIENCE_MS = { rivals: 150, alone: 20 } as const;

class Form {
  readonly #memory = sharedMemory(1, 1);
  readonly #run: (groups: number, sum: number) => void;
  /** of V8's first code, and of what runs now */
  #first = Number.NaN;
  #best = Number.POSITIVE_INFINITY;

  constructor(
    module: WebAssembly.Module,
    readonly dot: DotForm,
  ) {
    const kernel = instantiate(module, this.#memory)[dot];
    this.#run = (groups, sum) => kernel(W, X, OUT, COLUMNS, groups, sum, ...MASKS);
  }

  /** Activations at both ends of their range against codes 0, 1 and 2 in every field, in one group of 8 rows. */
  isExact(): boolean {
    const bytes = new Uint8Array(this.#memory.buffer);
    const sums = new Int32Array(this.#memory.buffer, OUT, 8);
    for (const [code, value] of [2, 1, 0].flatMap((c) => [127, -127, -128].map((v) => [c, v]))) {
      bytes.fill(code * 0x55, W, W + 2 * COLUMNS);
      bytes.fill(value & 255, X, X + COLUMNS);
      this.#run(1, value * COLUMNS);
      if (sums.some((sum) => sum !== (code - 1) * value * COLUMNS)) return false;
    }
    return true;
  }

  /** Milliseconds of the fastest of some slices of `calls` calls. */
  time(calls: number, slices: number): number {
    const times = Array.from({ length: slices }, () => {
      const start = performance.now();
      for (let i = 0; i < calls; i++) this.#run(GROUPS, 0);
      return performance.now() - start;
    });
    return Math.min(...times);
  }

  /** Whether V8's optimised code has come; each call runs the kernel, which is what makes it come. */
  isOptimised(): boolean {
    if (Number.isNaN(this.#first)) {
      this.time(SLICE, 1); // whose first call is slow
      this.#first = this.time(SLICE, 3);
    }
    this.#best = Math.min(this.#best, this.time(SLICE, ENOUGH));
    return this.#best < FASTER * this.#first;
  }
}

/** Trials of this process, since optimised code stays with its module and never gets faster again. */
const known = new WeakMap<WebAssembly.Module, Map<DotForm, Trial>>();

/** Self-test and timing of each form. `optimised`: the module has been compiled so that it will not get any faster. */
export async function tryForms(
  module: WebAssembly.Module,
  forms: readonly DotForm[],
  optimised: boolean,
): Promise<readonly Trial[]> {
  const before = known.get(module);
  if (before !== undefined && forms.every((dot) => before.has(dot)))
    return forms.map((dot) => before.get(dot) as Trial);
  const trials = await tryAll(module, forms, optimised);
  known.set(module, new Map(trials.map((trial) => [trial.dot, trial])));
  return trials;
}

async function tryAll(module: WebAssembly.Module, forms: readonly DotForm[], optimised: boolean): Promise<Trial[]> {
  const tried = forms.map((dot) => new Form(module, dot));
  const exact = new Set(tried.filter((form) => form.isExact()));
  const slow = new Set(optimised ? [] : exact);
  const end = performance.now() + (exact.size > 1 ? PATIENCE_MS.rivals : PATIENCE_MS.alone);
  for (; slow.size > 0 && performance.now() < end; await sleep(1)) {
    for (const form of slow) if (form.isOptimised()) slow.delete(form);
  }
  // times of code before and after it was optimised do not compare; where all is slow, it may have been optimised elsewhere
  const incomparable = slow.size < exact.size ? slow : new Set();
  return tried.map((form): Trial => {
    const { dot } = form;
    if (!exact.has(form) || !form.isExact()) return { dot, exact: false, ms: 0 };
    return { dot, exact: true, ms: incomparable.has(form) ? Number.POSITIVE_INFINITY : form.time(50, 5) };
  });
}
