/**
 * What the report measures of a model on a backend, within a time limit: what there is no time for is left out and named.
 */
import type { OpTime } from "../../backend/backend.js";
import * as check from "../../check.js";
import { Engine } from "../../engine/engine.js";
import type { LoadReport } from "../../engine/load-report.js";
import { modelSummary } from "../../engine/open.js";
import { ENGINE_CHECKS, type EngineOptions } from "../../engine/options.js";
import type { SelfCheck } from "../../engine/self-check.js";
import type { ModelSummary } from "../../model/summary.js";
import { describeMachine, type Machine } from "../../platform/machine.js";
import { type Perplexity, perplexity } from "../../run/perplexity.js";
import { PROBE } from "./probe.js";
import { type PromptResult, runPrompts } from "./prompts.js";
import { measureSpeeds, type SpeedPoint } from "./speeds.js";
import { type Traffic, trafficOf } from "./traffic.js";
import { askVerify, NOT_RUN, type ReportVerdict } from "./verdict.js";

/** Of `measureReport`. */
export interface ReportOptions extends EngineOptions {
  /** context lengths at which speed is measured, in tokens; default 16, 128, 512 */
  readonly contexts?: readonly number[] | undefined;
  /** about how long the measurements may take; default 60. Loading, verifying and one round of each come on top */
  readonly seconds?: number | undefined;
  /** most tokens of each answer; default 100 */
  readonly maxTokens?: number | undefined;
  /** whether to judge the answers first, see `verify`; default true */
  readonly verify?: boolean | undefined;
  /** called at the beginning of each */
  readonly onStage?: ((stage: ReportStage) => void) | undefined;
}

/** What `measureReport` is at, as its option `onStage` reports it. */
export type ReportStage = "verify" | "load" | "prompts" | "perplexity" | "speeds" | "ops" | "traffic";

const CHECKS: check.OptionChecks<ReportOptions> = {
  ...ENGINE_CHECKS,
  contexts: checkContexts,
  seconds: check.number(Number.MIN_VALUE, 1e6),
  maxTokens: check.integer(1),
  verify: check.boolean,
  onStage: check.callable,
};

function checkContexts(name: string, value: unknown): number[] {
  if (!Array.isArray(value)) throw check.wrongType(name, "an array of context lengths", value);
  return Array.from(value, (length, i) => check.integer(1)(`${name}[${i}]`, length));
}

/** What `measureReport` measured: plain data, which `renderHtml` and `renderMarkdown` show. */
export interface ReportData {
  readonly machine: Machine;
  readonly model: ModelSummary;
  /** "cpu: 2 threads, relaxed SIMD, int16 dot" */
  readonly backend: string;
  readonly load: LoadReport;
  readonly memory: { readonly engineBytes: number; readonly processBytes: number; readonly mostProcessBytes: number };
  readonly verdict: ReportVerdict;
  readonly speeds: readonly SpeedPoint[];
  /** context lengths left out, with the reason */
  readonly leftOut: readonly { readonly context: number; readonly reason: string }[];
  /** of `PROFILED_TOKENS` generated tokens; empty where the backend measures no ops */
  readonly ops: readonly OpTime[];
  readonly traffic: Traffic | undefined;
  readonly prompts: readonly PromptResult[];
  readonly perplexity: Perplexity;
  /** whether the text is plainer to the model than chance makes it */
  readonly selfCheck: SelfCheck;
}

export const PROFILED_TOKENS = 16;
const CONTEXTS = [16, 128, 512];

/** Loads the model twice: once for speed, once with the measurement of ops, which costs time itself. */
export async function measureReport(path: string, given: ReportOptions = {}): Promise<ReportData> {
  check.filled("path", path);
  const options = check.options(given, CHECKS);
  const { contexts = CONTEXTS, seconds = 60, maxTokens = 100, verify = true, onStage, ...engineOptions } = options;
  const {
    contextLength: _length,
    maxSessions: _sessions,
    cachePositions: _positions,
    ...verifyOptions
  } = engineOptions;
  if (verify) onStage?.("verify");
  const verdict = verify ? await askVerify(path, verifyOptions) : NOT_RUN;
  const share = (part: number) => 1000 * seconds * part;
  onStage?.("load");
  const { config, ...figures } = await measurePlain(path, engineOptions, async (engine) => {
    onStage?.("prompts");
    const prompts = await runPrompts(engine, { maxTokens, ms: share(0.35), signal: options.signal });
    onStage?.("perplexity");
    const score = await perplexity(engine, PROBE, { signal: options.signal });
    onStage?.("speeds");
    const { points, leftOut } = await measureSpeeds(engine, contexts, { ms: share(0.45), signal: options.signal });
    const selfCheck = await engine.selfCheck({ signal: options.signal });
    return { prompts, selfCheck, perplexity: score, speeds: points, leftOut };
  });
  const model = await modelSummary(path, config);
  onStage?.("ops");
  const ops = await profileOps(path, engineOptions);
  onStage?.("traffic");
  const traffic = await trafficOf({
    model,
    config,
    speeds: figures.speeds,
    backend: figures.backend,
    tuning: engineOptions.tuning ?? {},
  });
  return {
    machine: describeMachine(),
    model,
    verdict,
    ops,
    traffic,
    ...figures,
  };
}

async function measurePlain<T>(path: string, options: EngineOptions, use: (engine: Engine) => Promise<T>) {
  await using engine = await Engine.load(path, { ...options, maxSessions: 1 });
  const figures = await use(engine);
  const { rss } = process.memoryUsage();
  const memory = {
    engineBytes: engine.memoryBytes,
    processBytes: rss,
    mostProcessBytes: 1024 * process.resourceUsage().maxRSS,
  };
  const { description: backend, loadReport: load, config } = engine;
  return { ...figures, memory, backend, load, config };
}

async function profileOps(path: string, options: EngineOptions): Promise<readonly OpTime[]> {
  await using engine = await Engine.load(path, { ...options, maxSessions: 1, profile: true });
  await using session = engine.session();
  const generation = { maxTokens: PROFILED_TOKENS + 1, ignoreEnd: true, temperature: 0, signal: options.signal };
  const prompt = engine.tokenizer.encode(PROBE).slice(0, 8);
  for await (const piece of session.generate(prompt, generation)) {
    if (session.tokens.length === prompt.length && piece.id !== undefined) engine.takeProfile(); // the prompt's
  }
  return engine.takeProfile().filter(({ place }) => place === undefined);
}
