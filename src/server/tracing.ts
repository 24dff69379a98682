/**
 * A span for each answer, by the conventions of OpenTelemetry for generative AI (release 0.1 of their repository). Only the
 * API package: without an SDK in the process nothing is recorded. No text of a prompt or answer, and no message of an
 * error, is an attribute.
 */

import type { IncomingHttpHeaders } from "node:http";
import {
  type Attributes,
  type Context,
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import { TernionError } from "../errors.js";
import type { Asked, Observer, Outcome, Rejection } from "./observer.js";

/** A span under way. Times are those of performance.now(). */
interface Traced {
  readonly span: Span;
  firstToken?: number;
}

export class Tracing implements Observer {
  readonly #tracer: ReturnType<typeof trace.getTracer>;
  /** where a request's trace goes on, from its headers, by its id; while it is open */
  readonly #parents = new Map<string, Context>();
  readonly #spans = new WeakMap<Asked, Traced>();

  constructor(version: string) {
    this.#tracer = trace.getTracer("ternion", version);
  }

  /** Takes the trace that the caller's headers name, by the propagator of the process. */
  requestBegan(id: string, headers: IncomingHttpHeaders): void {
    const parent = propagation.extract(context.active(), headers);
    if (trace.getSpanContext(parent) !== undefined) this.#parents.set(id, parent);
  }

  requestEnded(id: string): void {
    this.#parents.delete(id);
  }

  queued(asked: Asked): void {
    const active = context.active();
    // an instrumentation of HTTP in the same process has its own span, from the same headers
    const isInside = trace.getSpan(active) !== undefined;
    const span = this.#tracer.startSpan(
      `${operationOf(asked)} ${asked.model}`,
      { kind: isInside ? SpanKind.INTERNAL : SpanKind.SERVER, attributes: requestAttributes(asked) },
      isInside ? active : (this.#parents.get(asked.requestId) ?? active),
    );
    this.#spans.set(asked, { span });
  }

  started(asked: Asked): void {
    this.#spans.get(asked)?.span.addEvent("started");
  }

  firstToken(asked: Asked): void {
    const traced = this.#spans.get(asked);
    if (traced !== undefined) traced.firstToken = performance.now();
  }

  ended(asked: Asked, { reason, usage, completionTokens, error }: Outcome): void {
    const traced = this.#spans.get(asked);
    if (traced === undefined) return;
    const { span, firstToken } = traced;
    const failed = reason === "error" || reason === "timeout" || reason === "aborted";
    const seconds = firstToken === undefined ? undefined : (firstToken - asked.queuedAt) / 1000;
    span.setAttributes({
      "gen_ai.response.model": asked.model,
      "gen_ai.response.finish_reasons": [failed ? "error" : reason === "context" ? "length" : reason],
      "gen_ai.response.time_to_first_chunk": seconds,
      "gen_ai.usage.input_tokens": usage?.promptTokens,
      "gen_ai.usage.cache_read.input_tokens": usage?.cachedTokens,
      "gen_ai.usage.output_tokens": completionTokens,
    });
    this.#end(asked, span, failed ? errorType(reason, error) : undefined);
  }

  rejected(asked: Asked, reason: Rejection): void {
    const traced = this.#spans.get(asked);
    if (traced !== undefined) this.#end(asked, traced.span, reason);
  }

  #end(asked: Asked, span: Span, error: string | undefined): void {
    if (error !== undefined) span.setAttribute("error.type", error).setStatus({ code: SpanStatusCode.ERROR });
    span.end();
    this.#spans.delete(asked);
  }
}

/** "responses" and "messages" are other forms of a chat. */
function operationOf({ operation }: Asked): string {
  return operation === "text_completion" || operation === "embeddings" ? operation : "chat";
}

function requestAttributes(asked: Asked): Attributes {
  const { maxTokens, temperature, topP, topK, seed, presencePenalty, frequencyPenalty } = asked.options;
  return {
    "gen_ai.operation.name": operationOf(asked),
    "gen_ai.provider.name": "ternion",
    "gen_ai.request.model": asked.model,
    "gen_ai.request.max_tokens": maxTokens,
    "gen_ai.request.temperature": temperature,
    "gen_ai.request.top_p": topP,
    "gen_ai.request.top_k": topK,
    "gen_ai.request.seed": seed,
    "gen_ai.request.presence_penalty": presencePenalty,
    "gen_ai.request.frequency_penalty": frequencyPenalty,
  };
}

function errorType(reason: string, error: unknown): string {
  if (reason !== "error") return reason;
  if (error instanceof TernionError) return error.code;
  return error instanceof Error ? error.name : "error";
}
