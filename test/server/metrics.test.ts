/** `/metrics`: what is counted, by the names that a scrape and the Gateway API inference extension read. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { RunningServer } from "../../src/server/index.js";
import { until } from "./load/http.js";
import { boxServer, GREEDY, HELLO, MODEL, post } from "./servers.js";

let server: RunningServer;
before(async () => {
  server = await boxServer({ maxQueue: 0, engine: { backend: "cpu", threads: 2, maxSessions: 1 } });
});
after(() => server.close());

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The text form, read by its grammar: a line that does not fit throws. */
async function scrape(): Promise<Sample[]> {
  const response = await fetch(`${server.url}/metrics`);
  assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  const lines = (await response.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => {
    const [, name, labels = "", value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? assert.fail(line);
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key, text]);
    return { name, labels: Object.fromEntries(pairs), value: Number(value) };
  });
}

/** The one series of `name` whose labels hold those of `labels`. */
function sampleOf(samples: readonly Sample[], name: string, labels: Readonly<Record<string, string>> = {}): number {
  const found = samples.filter(
    (sample) => sample.name === name && Object.entries(labels).every(([key, text]) => sample.labels[key] === text),
  );
  assert.equal(found.length, 1, `${name} ${JSON.stringify(labels)}`);
  return found[0].value;
}

const chat = (body: object) => post(server, "/v1/chat/completions", { messages: HELLO, ...GREEDY, ...body });

test("answers, tokens, times and requests are counted", async () => {
  const body = (await (await chat({})).json()) as { usage: { prompt_tokens: number; completion_tokens: number } };
  const samples = await scrape();
  const of = (name: string, labels = {}) => sampleOf(samples, name, { model: MODEL, ...labels });
  const { prompt_tokens, completion_tokens } = body.usage;
  assert.equal(of("ternion_prompt_tokens_total"), prompt_tokens);
  assert.equal(of("ternion_generation_tokens_total"), completion_tokens);
  assert.equal(of("ternion_answers_total", { operation: "chat", reason: "length" }), 1);
  assert.equal(of("ternion_requests_total", { endpoint: "/v1/chat/completions", status: "200" }), 1);
  assert.equal(of("ternion_time_to_first_token_seconds_count"), 1);
  assert.equal(of("ternion_time_per_output_token_seconds_count"), completion_tokens - 1);
  assert.equal(of("ternion_request_seconds_count"), 1);
  assert.equal(of("ternion_queue_seconds_count"), 1);
  assert.ok(of("ternion_request_seconds_sum") >= of("ternion_time_to_first_token_seconds_sum"));
  assert.ok(sampleOf(samples, "nodejs_eventloop_lag_p99_seconds") >= 0);
  assert.ok(sampleOf(samples, "process_resident_memory_bytes") > 1e7);
});

test("a prompt that is in the cache is counted as found there", async () => {
  const before = sampleOf(await scrape(), "ternion_prefix_cache_hit_tokens_total");
  const body = (await (await chat({})).json()) as { usage: { prompt_tokens_details: { cached_tokens: number } } };
  const found = sampleOf(await scrape(), "ternion_prefix_cache_hit_tokens_total") - before;
  assert.equal(found, body.usage.prompt_tokens_details.cached_tokens);
  assert.ok(found > 0, "the prompt was asked before");
});

test("what runs and what waits is there under the names of the inference extension, and who is refused is counted", async () => {
  const stop = new AbortController();
  const body = JSON.stringify({ messages: HELLO, stream: true, ignore_eos: true, max_tokens: 1500 });
  const headers = { "content-type": "application/json" };
  const url = `${server.url}/v1/chat/completions`;
  const running = await fetch(url, { method: "POST", headers, body, signal: stop.signal });
  const during = await scrape();
  assert.equal(sampleOf(during, "vllm:num_requests_running"), 1);
  assert.equal(sampleOf(during, "vllm:num_requests_waiting"), 0);
  assert.equal(sampleOf(during, "ternion_requests_running", { model: MODEL }), 1);
  const [used, all] = ["ternion_kv_cache_blocks_used", "ternion_kv_cache_blocks"].map((name) => sampleOf(during, name));
  assert.ok(used >= 1 && used < all, `${used} of ${all}`);
  assert.equal(sampleOf(during, "vllm:kv_cache_usage_perc"), used / all);
  assert.equal(sampleOf(during, "vllm:cache_config_info", { num_gpu_blocks: `${all}` }), 1);
  const refused = await chat({});
  assert.equal(refused.status, 429);
  stop.abort();
  await running.text().catch(() => {});
  await until("the place is free", async () => sampleOf(await scrape(), "vllm:num_requests_running") === 0);
  const end = await scrape();
  assert.equal(sampleOf(end, "ternion_rejections_total", { model: MODEL, reason: "queue_full" }), 1);
  assert.equal(sampleOf(end, "ternion_answers_total", { reason: "aborted" }), 1);
});

test("labels hold nothing that a client chose", async () => {
  await chat({ model: "canary-model" });
  await fetch(`${server.url}/canary-path?canary-query`);
  await fetch(`${server.url}/v1/models/canary-name`);
  await post(server, "/v1/chat/completions", "{canary", { "x-canary": "canary" });
  const text = await (await fetch(`${server.url}/metrics`)).text();
  assert.doesNotMatch(text, /canary/);
  assert.match(text, /ternion_requests_total\{endpoint="none",status="404",model=""\} 1/);
});

test("a server without answers has every gauge", async () => {
  const names = new Set((await scrape()).map(({ name }) => name));
  for (const name of ["num_requests_waiting", "num_requests_running", "kv_cache_usage_perc"])
    assert.ok(names.has(`vllm:${name}`), name);
});
