/**
 * The log of the server, by pino: one line a request. It says who asked for what kind of thing and how long it took, and
 * never what was said: no prompt, answer, key, address with its query, nor the words of an error that a body caused.
 */
import type { FastifyBaseLogger, FastifyServerOptions } from "fastify";
import type { ApiError } from "./errors.js";
import type { Asked, Observer, Outcome, Rejection } from "./observer.js";

export const LOG_LEVELS = ["error", "warn", "info", "debug", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const LOG_FORMATS = ["json", "pretty"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** How a request ended, for its line. */
export interface Ended {
  readonly id: string;
  readonly method: string;
  /** as it was declared; "" where there is none of that name */
  readonly route: string;
  readonly status: number;
  readonly ms: number;
}

/** What fastify is made with; lines go to `write`, stderr by default. */
export function loggerOptions(
  level: LogLevel,
  format: LogFormat,
  write: (line: string) => void = (line) => process.stderr.write(line),
): FastifyServerOptions["logger"] {
  return {
    level,
    base: null,
    serializers: { err: errorFields, req: () => ({}), res: () => ({}) },
    stream: { write: format === "json" ? write : (line: string) => write(prettyLine(line)) },
  };
}

/** Of all answers of a request. Times in ms. */
interface Summary {
  readonly model: string;
  readonly operation: string;
  readonly queuedAt: number;
  queueMs?: number;
  firstTokenMs?: number;
  promptTokens: number;
  cachedTokens: number;
  completionTokens: number;
  reason: string;
}

export class RequestLog implements Observer {
  readonly #summaries = new Map<string, Summary>();

  requestEnded(log: FastifyBaseLogger, { id, method, route, status, ms }: Ended): void {
    const { queuedAt: _, ...summary } = this.#summaries.get(id) ?? {};
    this.#summaries.delete(id);
    const fields = { method, route, status, ms: Math.round(ms), ...summary };
    if (QUIET.has(route)) log.debug(fields, "request");
    else if (status >= 500) log.error(fields, "request");
    else log.info(fields, "request");
  }

  queued({ requestId, model, operation, queuedAt }: Asked): void {
    if (this.#summaries.has(requestId)) return;
    const none = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, reason: "none" };
    this.#summaries.set(requestId, { model, operation, queuedAt, ...none });
  }

  started({ requestId }: Asked): void {
    const summary = this.#summaries.get(requestId);
    if (summary !== undefined) summary.queueMs ??= msSince(summary.queuedAt);
  }

  firstToken({ requestId }: Asked): void {
    const summary = this.#summaries.get(requestId);
    if (summary !== undefined) summary.firstTokenMs ??= msSince(summary.queuedAt);
  }

  ended({ requestId }: Asked, { reason, usage, completionTokens }: Outcome): void {
    const summary = this.#summaries.get(requestId);
    if (summary === undefined) return;
    summary.reason = reason;
    summary.promptTokens += usage?.promptTokens ?? 0;
    summary.cachedTokens += usage?.cachedTokens ?? 0;
    summary.completionTokens += completionTokens;
  }

  rejected({ requestId }: Asked, reason: Rejection): void {
    const summary = this.#summaries.get(requestId);
    if (summary !== undefined) summary.reason = reason;
  }
}

/** Says what a client is not told. A request that was wrong is no failure. */
export function logFailure({ log }: { readonly log: FastifyBaseLogger }, error: ApiError): void {
  const isExpected = error.statusCode === 503 && error.cause === undefined; // not ready, or closing
  if (error.statusCode >= 500 && !isExpected) log.error({ err: error.cause ?? error }, "request failed");
}

/** Asked for every few seconds by whoever watches the server. */
const QUIET = new Set(["/health", "/ready", "/metrics"]);

/** Without what Node.js attaches to an error: the bytes of a request that could not be parsed, for one. */
function errorFields(error: Error & { readonly code?: unknown }) {
  const { name, message, code } = error;
  return { type: name, message, stack: stackOf(error), ...(code !== undefined && { code }) };
}

const MOST_CAUSES = 5;

/** With those of its causes. */
function stackOf(error: unknown, depth = 0): string {
  if (!(error instanceof Error) || depth > MOST_CAUSES) return String(error);
  const { stack = String(error), cause } = error;
  return cause === undefined ? stack : `${stack}\ncaused by: ${stackOf(cause, depth + 1)}`;
}

const LEVELS: Readonly<Record<number, string>> = { 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal" };

/** A line of pino for a person: `20:15:01 info  request POST /v1/chat/completions status=200 ms=120 ...` */
export function prettyLine(line: string): string {
  const { level, time, msg, err, method, route, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const clock = new Date(Number(time)).toTimeString().slice(0, 8);
  const rest = Object.entries(fields).map(([name, value]) => `${name}=${plain(value)}`);
  const head = [clock, (LEVELS[Number(level)] ?? "").padEnd(5), msg, method, route, ...rest];
  const stack = err === undefined ? "" : `\n${(err as { stack?: string }).stack}`;
  return `${head.filter((part) => part !== undefined && part !== "").join(" ")}${stack}\n`;
}

const plain = (value: unknown) => (typeof value === "object" ? JSON.stringify(value) : String(value));
const msSince = (time: number) => Math.round(performance.now() - time);
