/** What a caller may ask of an engine, checked against the model; defaults are filled in. */
import { type CacheType, type HeadKind, TERNARY_LAYOUTS, type TernaryLayout } from "../backend/backend.js";
import type { DotForm } from "../backend/cpu/choice/forms.js";
import * as check from "../check.js";
import { type ModelConfig, POOLINGS, type Pooling } from "../model/config.js";
import type { ProgressEvent } from "./load-report.js";

/** Which backend computes; "reference" is exact, slow, and for comparison. */
export type BackendName = "auto" | "cpu" | "gpu" | "reference";

/** What the defaults choose well: to compare, and to measure. */
export interface Tuning {
  /**
   * What the key-value cache holds: "i16", 16-bit integers with a scale for each head and position, or "f32", twice the
   * memory and slower over long contexts. Default "i16": it changes perplexity by 0.04 %, see docs/kernels.md.
   */
  readonly kv?: CacheType | undefined;
  /**
   * How the next token is found. "exact" scans an 8-bit copy of the output table and computes what is left from the table
   * itself: same bits as the full table at half of its bytes. "f16" reads the whole table, without the copy. "int8" uses
   * the copy alone. Default "exact". Logprobs and sampling without top-k read the whole table in any case.
   */
  readonly head?: "exact" | "f16" | "int8" | undefined;
  /** form of the ternary kernel of the CPU backend; default: the fastest that works here */
  readonly kernel?: DotForm | undefined;
  /** let V8 pair 128-bit operations into 256-bit ones: experimental there, from Node.js 24 on; default false */
  readonly revectorize?: boolean | undefined;
}

/** Of `Engine.load`. */
export interface EngineOptions {
  /** default "auto": the GPU where there is one that can run the model, else the CPU */
  readonly backend?: BackendName | undefined;
  /** worker threads of the CPU backend; default: as many as the system can run in parallel */
  readonly threads?: number | undefined;
  /** positions of one session; default: the model's own, at most 2048 */
  readonly contextLength?: number | undefined;
  /**
   * sessions that compute at the same time; more may be open, and wait. Costs no memory by itself: see `cachePositions`.
   * Default 32
   */
  readonly maxSessions?: number | undefined;
  /**
   * positions of the cache that all sessions share, at least `contextLength`. Where they do not do, sessions wait, and the
   * ones that came last are interrupted and go on later. Default: 4 contexts, or `maxSessions` where that is fewer, and at
   * most what takes 1 GiB, on a GPU 2 GiB
   */
  readonly cachePositions?: number | undefined;
  /** calls that may wait for a place at the same time; one more is refused with BUSY. Default 256 */
  readonly maxWaiting?: number | undefined;
  /** most rows of one pass: the chunk in which prompts are computed; default 64, on a GPU 512 */
  readonly batchSize?: number | undefined;
  /** refuse a file whose metadata needs repair, instead of repairing it; default false */
  readonly strict?: boolean | undefined;
  /**
   * Order of the ternary codes in the file, see docs/model.md. Default "auto": found out by evidence, and a file that
   * makes sense in none is refused.
   */
  readonly i2sLayout?: "auto" | TernaryLayout | undefined;
  /** how `embed` makes one vector of a text; default: as the model's metadata says, and `embed` refuses where it does not */
  readonly pooling?: Pooling | undefined;
  /** part of the name of the GPU adapter, see `ternion doctor`; default: the best hardware adapter */
  readonly adapter?: string | undefined;
  /** what the defaults choose well: to compare, and to measure */
  readonly tuning?: Tuning | undefined;
  /** measure time by op, see `takeProfile`; default false */
  readonly profile?: boolean | undefined;
  /** called as a download and the load go on */
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined;
  /** called when backend "auto" goes on with the CPU, because of `reason`: at load, or in the middle of an answer */
  readonly onFallback?: ((reason: unknown) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

const CHOICES = {
  backend: ["auto", "cpu", "gpu", "reference"] satisfies BackendName[],
  kv: ["f32", "i16"] satisfies CacheType[],
  head: ["exact", "f16", "int8"] satisfies Tuning["head"][],
  kernel: ["ternaryDot16", "ternaryDot32", "ternaryDotBaseline"] satisfies DotForm[],
} as const;

/** Of the option wherever it is one. */
export const checkLayout = check.choice<"auto" | TernaryLayout>(["auto", ...TERNARY_LAYOUTS]);

export const TUNING_CHECKS: check.OptionChecks<Tuning> = {
  kv: check.choice(CHOICES.kv),
  head: check.choice(CHOICES.head),
  kernel: check.choice<DotForm>(CHOICES.kernel),
  revectorize: check.boolean,
};

export const ENGINE_CHECKS: check.OptionChecks<EngineOptions> = {
  backend: check.choice(CHOICES.backend),
  threads: check.threads,
  contextLength: check.integer(1),
  maxSessions: check.integer(1, 1024),
  cachePositions: check.integer(1),
  maxWaiting: check.integer(0),
  batchSize: check.integer(1, 4096),
  strict: check.boolean,
  i2sLayout: checkLayout,
  pooling: check.choice(POOLINGS),
  adapter: check.filled,
  tuning: check.group(TUNING_CHECKS),
  profile: check.boolean,
  onProgress: check.callable,
  onFallback: check.callable,
  signal: check.signal,
};

type BackendKind = Exclude<BackendName, "auto">;

const DEFAULT_CONTEXT = 2048;
const DEFAULT_BATCH: Record<BackendKind, number> = { cpu: 64, reference: 64, gpu: 512 };
const DEFAULT_SESSIONS = 32;
const DEFAULT_CONTEXTS = 4;
/** On a GPU for float32 values; elsewhere half of that for 16-bit values, and 2 % for their scales. */
const DEFAULT_CACHE_BYTES: Record<BackendKind, number> = {
  cpu: 1.02 * 2 ** 30,
  reference: 1.02 * 2 ** 30,
  gpu: 2 ** 31,
};

/** The sizes that a backend is asked for. */
export interface Limits {
  readonly contextLength: number;
  /** sessions that compute at the same time */
  readonly maxSessions: number;
  /** of the cache, all sessions together */
  readonly cachePositions: number;
  readonly maxRows: number;
  readonly kv: CacheType;
  readonly head: HeadKind;
  readonly i2sLayout: "auto" | TernaryLayout;
}

/** What checked `options` come to for a model. Throws a RangeError if its context is shorter than the one asked for. */
export function limitsOf(
  options: EngineOptions,
  backend: BackendKind,
  { contextLength: trained }: ModelConfig,
): Omit<Limits, "maxSessions" | "cachePositions"> {
  const { tuning: { kv = "i16", head = "exact" } = {}, i2sLayout = "auto" } = options;
  const wanted = options.contextLength ?? Math.min(trained, DEFAULT_CONTEXT);
  const contextLength = check.integer(1, trained)("contextLength", wanted);
  return {
    contextLength,
    maxRows: options.batchSize ?? DEFAULT_BATCH[backend],
    kv,
    head: head === "f16" ? "full" : head,
    i2sLayout,
  };
}

/** What a position of the cache costs on a backend, and how many one can have at the least. */
export interface CacheCosts {
  readonly kind: BackendKind;
  readonly positionBytes: number;
  readonly blockPositions: number;
}

/** How much of a cache there is to be: as asked for, or else as may be afforded. */
export function cacheLimits(
  { maxSessions = DEFAULT_SESSIONS, cachePositions }: Pick<EngineOptions, "maxSessions" | "cachePositions">,
  { kind, positionBytes, blockPositions: block }: CacheCosts,
  { contextLength }: Pick<Limits, "contextLength">,
): Pick<Limits, "maxSessions" | "cachePositions"> {
  if (cachePositions !== undefined) {
    return { maxSessions, cachePositions: check.integer(contextLength)("cachePositions", cachePositions) };
  }
  const context = Math.ceil(contextLength / block) * block; // what a full one takes
  const affordable = Math.floor(DEFAULT_CACHE_BYTES[kind] / (positionBytes * block)) * block;
  const usual = Math.min(context * Math.min(maxSessions, DEFAULT_CONTEXTS), affordable);
  return { maxSessions, cachePositions: Math.max(context, usual) };
}

/** Of `engine.session`. */
export interface SessionOptions {
  /**
   * Beginnings in the cache are shared among the sessions of the same salt only: how fast a prompt is answered says nothing
   * about the prompts of others. Default: among all that have none
   */
  readonly cacheSalt?: string | undefined;
}

export const SESSION_CHECKS: check.OptionChecks<SessionOptions> = { cacheSalt: check.filled };
