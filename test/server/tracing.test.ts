/** Spans of answers, as an SDK in the same process records them: names, attributes, parents, errors. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import type { RunningServer } from "../../src/server/index.js";
import { until } from "./load/http.js";
import { boxServer, GREEDY, MODEL, post } from "./servers.js";

const exporter = new InMemorySpanExporter();
let server: RunningServer;
before(async () => {
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  server = await boxServer();
});
after(() => server.close());

const CANARY = "canary in the prompt";
const MESSAGES = [{ role: "user", content: CANARY }];

/** The spans of what `act` does. */
async function spansOf(count: number, act: () => Promise<unknown>): Promise<ReadableSpan[]> {
  exporter.reset();
  await act();
  await until("the spans have ended", () => exporter.getFinishedSpans().length >= count);
  return exporter.getFinishedSpans();
}

const chat = (body: object, headers = {}) =>
  post(server, "/v1/chat/completions", { messages: MESSAGES, ...GREEDY, ...body }, headers);

test("an answer is a span by the conventions for generative AI", async () => {
  const [span, ...more] = await spansOf(1, async () => (await chat({ seed: 7, top_p: 0.9 })).json());
  assert.equal(more.length, 0);
  assert.equal(span.name, `chat ${MODEL}`);
  assert.equal(span.kind, SpanKind.SERVER);
  const { "gen_ai.usage.input_tokens": input, "gen_ai.response.time_to_first_chunk": first, ...rest } = span.attributes;
  assert.ok(Number(input) > 3 && Number(first) > 0);
  assert.deepEqual(rest, {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "ternion",
    "gen_ai.request.model": MODEL,
    "gen_ai.request.max_tokens": GREEDY.max_tokens,
    "gen_ai.request.temperature": 0,
    "gen_ai.request.top_p": 0.9,
    "gen_ai.request.seed": 7,
    "gen_ai.response.model": MODEL,
    "gen_ai.response.finish_reasons": ["length"],
    "gen_ai.usage.output_tokens": GREEDY.max_tokens,
    "gen_ai.usage.cache_read.input_tokens": 0,
  });
  assert.equal(span.status.code, SpanStatusCode.UNSET);
  assert.doesNotMatch(JSON.stringify([span.attributes, span.events]), /canary/);
});

test("the trace of the caller goes on", async () => {
  const [traceId, spanId] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"];
  const traceparent = `00-${traceId}-${spanId}-01`;
  const [span] = await spansOf(1, async () => (await chat({}, { traceparent })).json());
  assert.equal(span.spanContext().traceId, traceId);
  assert.equal(span.parentSpanContext?.spanId, spanId);
  const [other] = await spansOf(1, async () => (await chat({}, { traceparent: "nonsense" })).json());
  assert.equal(other.parentSpanContext, undefined);
});

test("each choice is a span", async () => {
  const spans = await spansOf(3, async () => (await chat({ n: 3 })).json());
  assert.equal(spans.length, 3);
});

test("an answer that fails says how, in no words of the request", async () => {
  const long = [{ role: "user", content: `${CANARY} `.repeat(3000) }];
  const [span] = await spansOf(1, async () => (await chat({ messages: long })).json());
  assert.equal(span.attributes["error.type"], "CONTEXT_OVERFLOW");
  assert.equal(span.status.code, SpanStatusCode.ERROR);
  assert.deepEqual(span.attributes["gen_ai.response.finish_reasons"], ["error"]);
  assert.doesNotMatch(JSON.stringify([span.attributes, span.events, span.status]), /canary/);
});

test("an answer whose client goes away ends its span", async () => {
  const [span] = await spansOf(1, async () => {
    const stop = new AbortController();
    const body = JSON.stringify({ messages: MESSAGES, stream: true, ignore_eos: true, max_tokens: 1500 });
    const headers = { "content-type": "application/json" };
    await fetch(`${server.url}/v1/chat/completions`, { method: "POST", headers, body, signal: stop.signal });
    stop.abort();
  });
  assert.equal(span.attributes["error.type"], "aborted");
});
