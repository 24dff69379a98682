/**
 * Server-sent events. The status line waits for the first event, so that an error before it has a status of its own; a
 * stream that is silent says so in comments; nothing is taken of an answer before the client's socket has room for it.
 */
import { setMaxListeners } from "node:events";
import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import { type ApiError, apiErrorOf, ClientGone } from "./errors.js";
import type { Settings } from "./options.js";

/** One event: `data` is sent as JSON, a string as it is. */
export function event(data: unknown, name?: string): string {
  const text = typeof data === "string" ? data : JSON.stringify(data);
  return name === undefined ? `data: ${text}\n\n` : `event: ${name}\ndata: ${text}\n\n`;
}

/** Aborts with ClientGone when the connection ends before the answer does. */
export function scopeOf({ raw }: FastifyReply): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal); // a listener for each choice
  raw.once("close", () => {
    if (!raw.writableFinished) controller.abort(new ClientGone());
  });
  return controller;
}

export const signalOf = (reply: FastifyReply): AbortSignal => scopeOf(reply).signal;

/** Ends the connection where nothing goes over it for `ms` milliseconds; what fastify injects has none. */
export function limitStall({ raw }: FastifyReply, ms: number): void {
  raw.socket?.setTimeout?.(ms);
}

export interface EventOptions extends Pick<Settings, "keepAliveMs" | "stallTimeoutMs"> {
  /** the last event of a stream that fails once its status line was sent */
  readonly onError: (error: ApiError) => string;
}

/** Sends `events`, each finished text of one or more events; they are returned when the client goes away. */
export async function sendEvents(
  reply: FastifyReply,
  events: AsyncGenerator<string, void, undefined>,
  { keepAliveMs, stallTimeoutMs, onError }: EventOptions,
): Promise<FastifyReply> {
  const stream = keptAlive(events, keepAliveMs);
  const first = await stream.next();
  limitStall(reply, stallTimeoutMs);
  reply.header("content-type", "text/event-stream; charset=utf-8");
  reply.header("cache-control", "no-cache");
  reply.header("x-accel-buffering", "no");
  return reply.send(Readable.from(after(first, stream, onError), { highWaterMark: 1 }));
}

/** A stream whose first event is there already. */
async function* after(
  first: IteratorResult<string, void>,
  rest: AsyncGenerator<string, void>,
  onError: EventOptions["onError"],
): AsyncGenerator<string, void> {
  try {
    if (!first.done) yield first.value;
    yield* rest;
  } catch (error) {
    yield onError(apiErrorOf(error));
  } finally {
    await rest.return();
  }
}

const COMMENT = ": keep-alive\n\n";

/** The same, with a comment whenever nothing came for `ms` milliseconds. */
async function* keptAlive(events: AsyncGenerator<string, void>, ms: number): AsyncGenerator<string, void> {
  let next = events.next();
  try {
    for (;;) {
      const result = await within(next, ms);
      if (result?.done) return;
      yield result === undefined ? COMMENT : result.value;
      if (result !== undefined) next = events.next();
    }
  } finally {
    next.catch(() => {}); // the one that is under way when nobody reads any more
    await events.return();
  }
}

/** Undefined where it takes longer than `ms`. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | number | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
