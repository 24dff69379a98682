/**
 * `verify`: does this machine, with this file and this backend, give right answers, and if not, which operation first
 * goes wrong? Runs tokens on the backend and walks over all that it computed, see walk.ts.
 */
import * as check from "../../check.js";
import { Engine } from "../../engine/engine.js";
import { openModel } from "../../engine/open.js";
import { ENGINE_CHECKS, type EngineOptions, type Tuning } from "../../engine/options.js";
import type { TracedTensor } from "../../engine/trace.js";
import { TernionError } from "../../errors.js";
import { download } from "../../hub/pull.js";
import type { OpenModel } from "../../model/open.js";
import { withLayout } from "../../model/weights.js";
import { type Agreement, agreementOf, type Fingerprint, fingerprintOf } from "./agreement.js";
import { type Dump, readDump } from "./dump.js";
import type { Rows } from "./evaluate.js";
import type { OpVerdict } from "./judge.js";
import { type Fault, type ModelFile, type Subject, type Walked, type WalkOptions, walk } from "./walk.js";

/** Of `verify`. */
export interface VerifyOptions extends Omit<EngineOptions, "contextLength" | "maxSessions" | "cachePositions"> {
  /** at least 2 ids; default: those of `against`, else the first 16 of a built-in text */
  readonly tokens?: check.TokenIds | undefined;
  /** path of a safetensors file with another engine's intermediates: judged too, and compared with */
  readonly against?: string | undefined;
  /** whether to compare with a whole float64 forward pass; default: for files of less than 200 MB */
  readonly endToEnd?: boolean | undefined;
  /** called with the layers judged so far of all, first with 0, when the backend has computed */
  readonly onLayer?: WalkOptions["onLayer"];
}

const { contextLength: _length, maxSessions: _sessions, cachePositions: _positions, ...LOAD_CHECKS } = ENGINE_CHECKS;
const CHECKS: check.OptionChecks<VerifyOptions> = {
  ...LOAD_CHECKS,
  tokens: check.ids(Number.MAX_SAFE_INTEGER),
  against: check.filled,
  endToEnd: check.boolean,
  onLayer: check.callable,
};

/** What `verify` found: every op beside the reference backend, and the whole pass. */
export interface Verdict {
  /** no op of the backend is outside its tolerance, and none of the dump */
  readonly ok: boolean;
  /** "cpu: 2 threads, relaxed SIMD, int16 dot" */
  readonly backend: string;
  readonly tokens: readonly number[];
  /** in the order of computation */
  readonly ops: readonly OpVerdict[];
  readonly firstFault?: Fault;
  /** against a float64 forward pass over the same tokens; rounding steps make single rows differ */
  readonly endToEnd?: Agreement;
  /** of the backend's logits */
  readonly fingerprint: Fingerprint;
  readonly against?: {
    readonly file: string;
    readonly ops: readonly OpVerdict[];
    readonly firstFault?: Fault;
    /** the backend's logits against those of the dump, or against what its last intermediates give */
    readonly endToEnd: Agreement;
  };
}

const TEXT = "The capital of France is Paris. In the morning the sun rises in the east, and birds begin to sing.";
const DEFAULT_TOKENS = 16;
const END_TO_END_BYTES = 200e6;

/** float32 sums in another order stay below a tenth of this; issues of precision elsewhere are listed beside it. */
const TOLERANCE = 2e-5;
/** Attention over keys and values that were rounded to 16 bits. */
const ROUNDED_CACHE_TOLERANCE = 5e-3;
/** Dumps whose values were rounded to 11 and 8 bits. */
const DUMP_TOLERANCE = { F32: TOLERANCE, F16: 5e-3, BF16: 4e-2 } as const;

/** Judges a model file on a backend, op by op; rejects as `Engine.load` does where it cannot be loaded. */
export async function verify(pathOrUrl: string | URL, given: VerifyOptions = {}): Promise<Verdict> {
  const options = check.options(given, CHECKS);
  const { signal, against, onLayer, endToEnd: wanted, tokens: asked, ...engineOptions } = options;
  const tuning = { ...options.tuning, kv: options.tuning?.kv ?? "f32" } as const;
  const dump = against === undefined ? undefined : await readDump(against);
  const path = await download(pathOrUrl, { signal });
  await using opened = await openModel(path, { signal });
  const model = modelOf(opened, options);
  const tokens = chooseTokens(asked && Array.from(asked), dump, against);
  const limits = { contextLength: Math.max(DEFAULT_TOKENS, tokens?.length ?? 0), maxSessions: 1 };
  await using engine = await Engine.load(opened.file.bytes, { ...engineOptions, signal, tuning, ...limits });
  const ids = tokens ?? engine.tokenizer.encode(TEXT).slice(0, DEFAULT_TOKENS);
  // half as a prompt, half one by one: a backend may have other kernels for either
  const traced = await engine.trace(ids, { promptLength: Math.ceil(ids.length / 2) });

  const whole = wanted ?? opened.file.byteLength < END_TO_END_BYTES;
  const subjects: Subject[] = [traceSubject(traced, tuning.kv)];
  if (whole) subjects.push({ known: new Map(), tolerance: () => TOLERANCE });
  if (dump !== undefined) subjects.push({ known: dump.rows(ids.length), tolerance: () => DUMP_TOLERANCE[dump.type] });
  const [own, ...others] = await walk(model, ids, subjects, { signal, onLayer });
  const reference = whole ? others.shift() : undefined;
  const [peer] = others;
  return {
    ok: own.firstFault === undefined && peer?.firstFault === undefined,
    backend: engine.description,
    tokens: ids,
    ops: own.ops,
    ...faultOf(own),
    ...(reference !== undefined && { endToEnd: agreementOf(own.logits, reference.logits) }),
    fingerprint: fingerprintOf(own.logits),
    ...(peer !== undefined && {
      against: {
        file: against as string,
        ops: peer.ops,
        ...faultOf(peer),
        endToEnd: agreementOf(own.logits, peer.logits),
      },
    }),
  };
}

/** A trace of a backend, as something to judge. `kv` is the type of its cache. */
export function traceSubject(traced: ReadonlyMap<string, TracedTensor>, kv: Tuning["kv"]): Subject {
  return {
    known: new Map(Array.from(traced, ([name, tensor]) => [name, rowsOf(tensor)])),
    tolerance: (op) => (op === "attn_ctx" && kv !== "f32" ? ROUNDED_CACHE_TOLERANCE : TOLERANCE),
  };
}

function rowsOf({ rows, width, data }: TracedTensor): Rows {
  return Array.from({ length: rows }, (_, row) => Float64Array.from(data.subarray(row * width, (row + 1) * width)));
}

const faultOf = ({ firstFault }: Walked) => firstFault && { firstFault };

function modelOf({ config, sources }: OpenModel, { i2sLayout = "auto" }: VerifyOptions): ModelFile {
  return { config, sources: withLayout(sources, i2sLayout === "auto" ? "block128" : i2sLayout) };
}

function chooseTokens(given: readonly number[] | undefined, dump: Dump | undefined, file: string | undefined) {
  const tokens = given ?? dump?.tokens;
  if (tokens !== undefined && tokens.length < 2)
    throw new RangeError(`tokens: expected at least 2, got ${tokens.length}`);
  if (tokens !== undefined || dump === undefined) return tokens;
  throw new TernionError(
    "VERIFY_DUMP",
    `${file}: expected the dump's tokens in its metadata key "tokens", got none. Give them (--tokens).`,
  );
}
