/**
 * The two WebAssembly binaries: loads the one that this machine and this Node.js can run and chooses the form of the
 * ternary dot by a self-test with extreme values, so that a miscompiled kernel is never used, and by a timing.
 */
import { readFile } from "node:fs/promises";
import v8 from "node:v8";
import { relaxedSimd, simd, threads } from "wasm-feature-detect";
import { TernionError } from "../../errors.js";
import { packageFile } from "../../package.js";
import type { DotForm, Trial } from "./forms.js";

type Dot = (
  w: number,
  x: number,
  out: number,
  cols: number,
  groups: number,
  sum: number,
  m3: number,
  mC: number,
) => void;
type Decode = (src: number, dst: number, n: number) => void;
type Gate = (gate: number, up: number, out: number, n: number) => void;

/** Half-precision constants of asm/dense.ts: its mask and 2^112. */
export const HALF = [0x8fffe000 | 0, 2 ** 112] as const;

/** Exports of asm/index.ts; all numbers are byte addresses, counts of elements, or values. */
export interface Kernels {
  ternaryDot16: Dot;
  ternaryDot32: Dot;
  ternaryDotBaseline: Dot;
  ternaryScale(acc: number, out: number, addTo: number, n: number, factor: number): void;
  ternaryPack(src: number, dst: number, columns: number, rows: number): number;
  tableTranspose(x: number, out: number, columns: number, tile: number): void;
  tableDot(
    w: number,
    x: number,
    acc: number,
    scratch: number,
    columns: number,
    groups: number,
    tile: number,
    mask: number,
  ): void;
  tableScale(
    acc: number,
    out: number,
    addTo: number,
    stride: number,
    rows: number,
    tokens: number,
    factors: number,
    tile: number,
  ): void;
  norm(x: number, weight: number, out: number, n: number, eps: number): number;
  normQuantize(
    x: number,
    weight: number,
    normed: number,
    q: number,
    scale: number,
    sum: number,
    n: number,
    eps: number,
  ): void;
  gateRelu2: Gate;
  gateSilu: Gate;
  decodeF32: Decode;
  decodeF16: Decode;
  decodeBF16: Decode;
  decodeQ8_0: Decode;
  decodeQ6_K: Decode;
  dotF32(x: number, y: number, n: number): number;
  logitsF16(table: number, x: number, out: number, n: number, rows: number, mask: number, half: number): void;
  rope(x: number, table: number, heads: number, headDim: number): void;
  storeKey(k: number, keys: number, position: number, headDim: number): void;
  storeValue(v: number, values: number, position: number, headDim: number): void;
  attendChunk(
    q: number,
    keys: number,
    values: number,
    first: number,
    count: number,
    heads: number,
    headDim: number,
    scores: number,
    partial: number,
  ): void;
  storeKey16(k: number, keys: number, scales: number, position: number, headDim: number, limit: number): void;
  storeValue16(v: number, values: number, scales: number, position: number, headDim: number): void;
  attendChunk16(
    q: number,
    keys: number,
    values: number,
    keyScales: number,
    valueScales: number,
    first: number,
    count: number,
    heads: number,
    headDim: number,
    scores: number,
    partial: number,
    limit: number,
  ): void;
  fold(state: number, next: number, headDim: number): void;
  finish(state: number, out: number, headDim: number): void;
  headPack(row: number, dst: number, numbers: number, lane: number, n: number): void;
  headQuantize(x: number, u: number, factors: number, n: number, limit: number): void;
  headScan(
    codes: number,
    numbers: number,
    u: number,
    factors: number,
    lower: number,
    upper: number,
    n: number,
    groups: number,
  ): void;
  atLeast(values: number, n: number, threshold: number, found: number): number;
  firstNonFinite(at: number, count: number, stride: number, exponent: number): number;
  read(from: number, bytes: number): number;
  barrier(count: number, generation: number, sleepers: number, failed: number, threads: number, spins: number): number;
}

export interface KernelChoice {
  readonly module: WebAssembly.Module;
  readonly dot: DotForm;
  /** "relaxed SIMD, int16 dot" */
  readonly description: string;
  /** the forms that were tried, in order */
  readonly trials: readonly Trial[];
}

/** Masks of the codes of even and odd rows, as asm/ternary.ts wants them. */
export const MASKS = [0x03, 0x0c] as const;

/** The forms in each binary. */
const FORMS: Readonly<Record<"relaxed" | "baseline", readonly DotForm[]>> = {
  relaxed: ["ternaryDot16", "ternaryDot32"],
  baseline: ["ternaryDotBaseline"],
};

const DESCRIPTIONS: Readonly<Record<DotForm, string>> = {
  ternaryDot16: "relaxed SIMD, int16 dot",
  ternaryDot32: "relaxed SIMD, int32 dot",
  ternaryDotBaseline: "baseline SIMD",
};

export interface KernelOptions {
  /** force one form of the dot (for tests and comparisons); it still has to pass its self-test */
  readonly form?: DotForm | undefined;
  /** let V8 pair 128-bit operations into 256-bit ones: experimental there, from Node.js 24 on; ignored before */
  readonly revectorize?: boolean | undefined;
}

export async function chooseKernels({ form, revectorize = false }: KernelOptions = {}): Promise<KernelChoice> {
  if (!(await simd()) || !(await threads())) {
    throw new TernionError(
      "BACKEND_UNAVAILABLE",
      "The CPU backend needs WebAssembly with SIMD and threads, which this JavaScript engine lacks. Use Node.js 20 or later.",
    );
  }
  const relaxed = form !== "ternaryDotBaseline" && (await enableRelaxedSimd());
  const trials: Trial[] = [];
  for (const binary of relaxed ? (["relaxed", "baseline"] as const) : (["baseline"] as const)) {
    const wide = revectorize && nodeMajor >= 24;
    const module = await compile(binary, wide);
    const forms = (form === undefined ? FORMS[binary] : [form]).filter((dot) => FORMS[binary].includes(dot));
    const tried = forms.map((dot) => trial(module, dot));
    trials.push(...tried);
    const sound = tried.filter(({ exact }) => exact);
    if (sound.length === 0) continue;
    const { dot } = sound.reduce((best, next) => (next.ms < best.ms ? next : best));
    return { module, dot, description: `${DESCRIPTIONS[dot]}${wide ? ", revectorized" : ""}`, trials };
  }
  throw new TernionError(
    "BACKEND_UNAVAILABLE",
    `CPU kernels: expected exact sums in the self-test of ${form ?? "some form"}, got none that passes. ` +
      "Use another version of Node.js.",
  );
}

const nodeMajor = Number.parseInt(process.versions.node, 10);

/** Node.js 20 has relaxed SIMD behind a flag that later versions no longer know: so it is asked for only if missing. */
async function enableRelaxedSimd(): Promise<boolean> {
  if (await relaxedSimd()) return true;
  if (nodeMajor >= 22) return false;
  v8.setFlagsFromString("--experimental-wasm-relaxed-simd");
  return relaxedSimd();
}

async function compile(binary: "baseline" | "relaxed", revectorize: boolean): Promise<WebAssembly.Module> {
  const bytes = await readFile(packageFile(`dist/asm/kernels.${binary}.wasm`));
  // V8 would begin with its baseline compiler, which is slower for seconds and in Node.js 20 miscompiles relaxed dots.
  // The flags hold for this one synchronous call; compiling takes 12 ms.
  v8.setFlagsFromString("--no-liftoff");
  v8.setFlagsFromString("--no-wasm-lazy-compilation");
  if (revectorize) v8.setFlagsFromString("--experimental-wasm-revectorize");
  try {
    return new WebAssembly.Module(bytes);
  } finally {
    v8.setFlagsFromString("--liftoff");
    v8.setFlagsFromString("--wasm-lazy-compilation");
    if (revectorize) v8.setFlagsFromString("--no-experimental-wasm-revectorize");
  }
}

export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Kernels;
}

const TRIAL_COLUMNS = 512; // two runs of int16 accumulation
const TRIAL_GROUPS = 24; // 24 KB of weights: stays in the first cache, so that the kernel is timed and not the memory

/** Self-test and timing of one form; takes about a millisecond. Which form is faster depends on processor and V8. */
function trial(module: WebAssembly.Module, dot: DotForm): Trial {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65_536, shared: true });
  const kernel = instantiate(module, memory)[dot];
  const [x, out, w] = [1024, 2048, 4096];
  const run = (groups: number, sum: number) => kernel(w, x, out, TRIAL_COLUMNS, groups, sum, ...MASKS);
  if (!passesSelfTest(memory, { x, out, w }, run)) return { dot, exact: false, ms: 0 };
  const times = Array.from({ length: 5 }, () => {
    const start = performance.now();
    for (let i = 0; i < 50; i++) run(TRIAL_GROUPS, 0);
    return performance.now() - start;
  });
  return { dot, exact: true, ms: Math.min(...times) };
}

/** Activations at both ends of their range against codes 0, 1 and 2 in every field, in one group of 8 rows. */
function passesSelfTest(
  memory: WebAssembly.Memory,
  at: { x: number; out: number; w: number },
  run: (groups: number, sum: number) => void,
): boolean {
  const bytes = new Uint8Array(memory.buffer);
  const sums = new Int32Array(memory.buffer, at.out, 8);
  for (const [code, value] of [2, 1, 0].flatMap((c) => [127, -127, -128].map((v) => [c, v]))) {
    bytes.fill(code * 0x55, at.w, at.w + 2 * TRIAL_COLUMNS);
    bytes.fill(value & 255, at.x, at.x + TRIAL_COLUMNS);
    run(1, value * TRIAL_COLUMNS);
    if (sums.some((sum) => sum !== (code - 1) * value * TRIAL_COLUMNS)) return false;
  }
  return true;
}
