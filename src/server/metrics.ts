/**
 * `/metrics` in the text form of Prometheus. Labels take few values: models that were configured, routes, status codes,
 * operations and reasons; never what a client chose. `vllm:` names are those that the Gateway API inference extension reads
 * (its model server protocol): requests waiting and running, and what part of the key-value cache is in use.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { CacheUse } from "../index.js";
import type { Asked, Observer, Outcome, Rejection } from "./observer.js";

/** A model at the time of a scrape. */
export interface ModelLoad {
  readonly name: string;
  readonly running: number;
  readonly waiting: number;
  /** where it is loaded */
  readonly cache: CacheUse | undefined;
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const TOKEN_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5];

export class Metrics implements Observer {
  readonly #registry = new Registry();
  /** when an answer's last token came, by performance.now() */
  readonly #lastToken = new WeakMap<Asked, number>();
  /** models of the requests that are open, by their ids */
  readonly #models = new Map<string, string>();

  readonly #requests = this.#counter("ternion_requests_total", "HTTP requests.", ["endpoint", "status", "model"]);
  readonly #answers = this.#counter("ternion_answers_total", "Answers by how they ended.", [
    "model",
    "operation",
    "reason",
  ]);
  readonly #rejections = this.#counter("ternion_rejections_total", "Answers that never began, by reason.", [
    "model",
    "reason",
  ]);
  readonly #prompt = this.#counter("ternion_prompt_tokens_total", "Prompt tokens of finished answers.");
  readonly #cached = this.#counter("ternion_prefix_cache_hit_tokens_total", "Of them found in the prefix cache.");
  readonly #generated = this.#counter("ternion_generation_tokens_total", "Tokens generated.");
  readonly #queue = this.#histogram("ternion_queue_seconds", "From the request to its place.", SECONDS);
  readonly #first = this.#histogram("ternion_time_to_first_token_seconds", "From the request.", SECONDS);
  readonly #each = this.#histogram("ternion_time_per_output_token_seconds", "Between two tokens.", TOKEN_SECONDS);
  readonly #whole = this.#histogram("ternion_request_seconds", "From the request to the end of its answer.", SECONDS);

  /** `loads` is called at each scrape. */
  constructor(loads: () => readonly ModelLoad[]) {
    this.#gauge("ternion_requests_waiting", "Answers that wait for a place.", loads, ({ waiting }) => waiting);
    this.#gauge("ternion_requests_running", "Answers under way.", loads, ({ running }) => running);
    this.#gauge("ternion_kv_cache_blocks", "Blocks of the key-value cache.", loads, ({ cache }) => cache?.blocks);
    this.#gauge("ternion_kv_cache_blocks_used", "Of them held by answers.", loads, ({ cache }) => cache?.used);
    this.#gauge("ternion_kv_cache_blocks_cached", "Of them kept for later.", loads, ({ cache }) => cache?.cached);
    this.#gauge("ternion_kv_cache_blocks_shared", "Of those held, by several.", loads, ({ cache }) => cache?.shared);
    this.#gatewayGauges(loads);
  }

  /** The whole page, and its media type. */
  async page(): Promise<{ readonly type: string; readonly text: string }> {
    const all = Registry.merge([this.#registry, processRegistry()]);
    return { type: all.contentType, text: await all.metrics() };
  }

  /** `endpoint` is a route as it was declared. */
  requestEnded(id: string, endpoint: string, status: number): void {
    this.#requests.inc({ endpoint, status, model: this.#models.get(id) ?? "" });
    this.#models.delete(id);
  }

  queued(asked: Asked): void {
    this.#models.set(asked.requestId, asked.model);
  }

  started(asked: Asked): void {
    this.#queue.observe({ model: asked.model }, secondsSince(asked.queuedAt));
  }

  token(asked: Asked): void {
    const { model } = asked;
    const last = this.#lastToken.get(asked);
    this.#generated.inc({ model });
    if (last === undefined) this.#first.observe({ model }, secondsSince(asked.queuedAt));
    else this.#each.observe({ model }, secondsSince(last));
    this.#lastToken.set(asked, performance.now());
  }

  ended(asked: Asked, { reason, usage }: Outcome): void {
    const { model, operation } = asked;
    this.#answers.inc({ model, operation, reason });
    this.#whole.observe({ model }, secondsSince(asked.queuedAt));
    if (usage === undefined) return;
    this.#prompt.inc({ model }, usage.promptTokens);
    this.#cached.inc({ model }, usage.cachedTokens);
  }

  rejected({ model }: Asked, reason: Rejection): void {
    this.#rejections.inc({ model, reason });
  }

  #counter(name: string, help: string, labelNames: string[] = ["model"]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name, help, buckets, labelNames: ["model"], registers: [this.#registry] });
  }

  #gauge(
    name: string,
    help: string,
    loads: () => readonly ModelLoad[],
    read: (load: ModelLoad) => number | undefined,
  ): void {
    new Gauge({
      name,
      help,
      labelNames: ["model"],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const load of loads()) {
          const value = read(load);
          if (value !== undefined) this.set({ model: load.name }, value);
        }
      },
    });
  }

  /** One series each over all models, since the extension takes a server as a whole. */
  #gatewayGauges(loads: () => readonly ModelLoad[]): void {
    const sum = (read: (load: ModelLoad) => number) => loads().reduce((total, load) => total + read(load), 0);
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name,
        help,
        registers: [this.#registry],
        collect() {
          this.set(value());
        },
      });
    gauge("vllm:num_requests_waiting", "Requests that wait.", () => sum(({ waiting }) => waiting));
    gauge("vllm:num_requests_running", "Requests under way.", () => sum(({ running }) => running));
    gauge("vllm:kv_cache_usage_perc", "Part of the key-value cache in use; 1 is all of it.", () => {
      const total = sum(({ cache }) => cache?.blocks ?? 0);
      return total === 0 ? 0 : sum(({ cache }) => cache?.used ?? 0) / total;
    });
    new Gauge({
      name: "vllm:cache_config_info",
      help: "Size of a block of the key-value cache in tokens, and how many there are.",
      labelNames: ["block_size", "num_gpu_blocks"],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const { cache } of loads()) {
          if (cache !== undefined) this.set({ block_size: cache.blockPositions, num_gpu_blocks: cache.blocks }, 1);
        }
      },
    });
  }
}

let ofProcess: Registry | undefined;

/** Event loop, memory, processor time, garbage collection: once for the process, since each reading has its observer. */
function processRegistry(): Registry {
  if (ofProcess === undefined) {
    ofProcess = new Registry();
    collectDefaultMetrics({ register: ofProcess });
  }
  return ofProcess;
}

const secondsSince = (time: number) => (performance.now() - time) / 1000;
