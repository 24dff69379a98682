/** One row of `bench --json`: llama-bench's field names where it has one, then ours. */
import { cpus } from "node:os";
import type { Engine, LoadStep, ModelSummary, OpTime } from "../index.js";
import type { Test } from "./measure.js";

export interface BenchRow {
  readonly cpu_info: string;
  /** "cpu", "gpu" or "reference" */
  readonly backends: string;
  readonly model_filename: string;
  readonly model_type: string;
  /** bytes of all tensors */
  readonly model_size: number;
  readonly model_n_params: number;
  readonly n_batch: number;
  readonly n_threads: number;
  readonly n_prompt: number;
  readonly n_gen: number;
  readonly test_time: string;
  readonly avg_ns: number;
  readonly stddev_ns: number;
  /** tokens a second */
  readonly avg_ts: number;
  readonly stddev_ts: number;
  readonly samples_ns: readonly number[];
  readonly samples_ts: readonly number[];
  // from here on not llama-bench's
  readonly backend_description: string;
  /** `bytesPerToken` over the time of a generated token; null for prompts, where many tokens share a read */
  readonly gb_per_s: number | null;
  readonly load_ms: number;
  readonly load_steps: readonly LoadStep[];
  /** the most memory that the process has taken so far */
  readonly max_rss_bytes: number;
  readonly logits_hash: string;
  /** what a device's runs cost the processor, and their dispatches; null where the backend is the processor */
  readonly host_ns_per_token: number | null;
  readonly dispatches_per_token: number | null;
}

export function benchRow(result: {
  model: ModelSummary;
  engine: Engine;
  options: { readonly threads?: number };
  test: Test;
  /** nanoseconds */
  samples: readonly number[];
  logitsHash: string;
  profile: readonly OpTime[];
}): BenchRow {
  const { model, engine, options, test, samples } = result;
  const rates = samples.map((ns) => (1e9 * test.tokens) / ns);
  const host = result.profile.find(({ place }) => place === "host");
  const tokens = test.tokens * samples.length;
  const [kind] = engine.description.split(":");
  return {
    cpu_info: cpus()[0]?.model ?? "unknown",
    backends: kind,
    model_filename: model.filename,
    model_type: model.type,
    model_size: model.bytes,
    model_n_params: model.weights,
    n_batch: engine.batchSize,
    n_threads:
      kind === "reference" ? 1 : (options.threads ?? Number(/(\d+) thread/.exec(engine.description)?.[1] ?? 1)),
    n_prompt: test.kind === "pp" ? test.tokens : 0,
    n_gen: test.kind === "tg" ? test.tokens : 0,
    test_time: new Date().toISOString(),
    avg_ns: Math.round(mean(samples)),
    stddev_ns: Math.round(deviation(samples)),
    avg_ts: mean(rates),
    stddev_ts: deviation(rates),
    samples_ns: samples,
    samples_ts: rates,
    backend_description: engine.description,
    gb_per_s: test.kind === "tg" ? (model.bytesPerToken * mean(rates)) / 1e9 : null,
    load_ms: engine.loadReport.totalMs,
    load_steps: engine.loadReport.steps,
    max_rss_bytes: 1024 * process.resourceUsage().maxRSS,
    logits_hash: result.logitsHash,
    host_ns_per_token: host === undefined ? null : Math.round((1e6 * host.ms) / tokens),
    dispatches_per_token: host === undefined ? null : host.calls / tokens,
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of the sample: n - 1 in the denominator, and 0 for one value, as llama-bench has it. */
function deviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}
