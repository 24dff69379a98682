/**
 * One request, with all that stands between this machine and a file: proxies of the environment, redirects, a token that
 * only its own host gets, and a limit to the time without a byte. Asks once; what may be asked again is `Interrupted`.
 */
import { on } from "node:events";
import type { Agent, IncomingMessage } from "node:http";
import { TernionError } from "../errors.js";
import { type Address, failure, hubEndpoint } from "./address.js";
import { proxyAgent } from "./proxy.js";
import { hubToken } from "./token.js";

/** The connection failed, or the server is busy: the same request may succeed later. */
export class Interrupted extends Error {
  /** milliseconds after which the server asks for another try */
  readonly wait: number | undefined;
  /** whether another try makes no sense before any byte has come: the host may just be the wrong one */
  readonly early: boolean;

  constructor(message: string, options: { cause?: unknown; wait?: number | undefined; early?: boolean } = {}) {
    super(message, { cause: options.cause });
    this.wait = options.wait;
    this.early = options.early ?? false;
  }
}

export interface RequestOptions {
  readonly method?: "GET" | "HEAD";
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
  /** most milliseconds without a byte */
  readonly idleTimeout: number;
}

export interface Reply {
  readonly status: number;
  readonly statusText: string;
  /** by names in lower case */
  readonly headers: Headers;
  /** of the file, where Hugging Face says it in a redirect: SHA-256 and size */
  readonly sha256: string | undefined;
  readonly size: number;
  /** whether a token or password went with the request */
  readonly authorized: boolean;
  /** the body; to be read to its end, or ended */
  chunks(): AsyncGenerator<Uint8Array>;
  /** gives up the body */
  end(): void;
}

export type Headers = Readonly<Record<string, string | undefined>>;

const MOST_REDIRECTS = 10;

/** Asks for `address`; redirects are followed here, since the first answer of Hugging Face has the checksum. */
export async function request(address: Address, options: RequestOptions): Promise<Reply> {
  let url = address.source;
  let [sha256, size]: [string | undefined, number] = [undefined, 0];
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    const authorization = await authorizationFor(url, address);
    const response = await ask(url, {
      ...options,
      headers: { ...options.headers, ...(authorization && { authorization }) },
    });
    const { statusCode: status = 0, statusMessage: statusText = "" } = response;
    const headers = response.headers as Headers; // none that is read here may come twice
    sha256 ??= checksumIn(headers["x-linked-etag"]);
    size ||= Number(headers["x-linked-size"] ?? 0);
    const target = status >= 300 && status < 400 ? headers.location : undefined;
    if (target === undefined || (options.method === "HEAD" && size > 0)) {
      // after a redirect elsewhere the tag may be a hash of another kind: a store has its own
      if (url.origin === address.source.origin) sha256 ??= checksumIn(headers.etag);
      const authorized = authorization !== undefined;
      return { status, statusText, headers, sha256, size, authorized, ...bodyOf(response, options) };
    }
    response.destroy();
    url = nextUrl(address, url, target);
  }
  throw failure(address, `expected a file, got more than ${MOST_REDIRECTS} redirects`, "Check the address");
}

function nextUrl(address: Address, from: URL, target: string): URL {
  if (URL.canParse(target, from)) {
    const url = new URL(target, from);
    if (/^https?:$/.test(url.protocol)) return Object.assign(url, { username: "", password: "", hash: "" });
  }
  throw failure(address, "expected a redirect to an http or https address, got another one", "Check the address");
}

/** What was given in the URL goes to its origin, the token to Hugging Face or its mirror, and nothing to others. */
async function authorizationFor(url: URL, { source, authorization }: Address): Promise<string | undefined> {
  if (authorization !== undefined && url.origin === source.origin) return authorization;
  if (url.origin !== hubEndpoint().origin) return undefined;
  const token = await hubToken();
  return token && `Bearer ${token}`;
}

/** An entity tag of 64 hexadecimal digits is a SHA-256, as content-addressed stores have it. */
function checksumIn(tag = ""): string | undefined {
  return /^"?([0-9a-f]{64})"?$/i.exec(tag)?.[1].toLowerCase();
}

/** The answer, with its body to come. */
async function ask(
  url: URL,
  { method = "GET", headers, signal, idleTimeout }: RequestOptions,
): Promise<IncomingMessage> {
  const connecting = new AbortController();
  const agent = await proxyAgent(url, connecting.signal);
  const sent = await send(url, { method, headers, agent });
  const abort = () => {
    sent.request.destroy();
    connecting.abort(); // a connection to a proxy that does not answer is not the request's yet
  };
  signal?.addEventListener("abort", abort, { once: true });
  try {
    signal?.throwIfAborted();
    return await within(idleTimeout, sent.response);
  } catch (error) {
    abort();
    signal?.throwIfAborted();
    throw asInterrupted(error, "fetch failed");
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

type Sending = Pick<RequestOptions, "method" | "headers"> & { readonly agent: Agent | undefined };

async function send(url: URL, options: Sending) {
  // loaded only here: Node.js 22 ends the process when an ES module imports node:http where there is no WebAssembly
  const { request: begin } = url.protocol === "https:" ? await import("node:https") : await import("node:http");
  const request = begin(url, options);
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    request.once("response", resolve);
    request.on("error", reject); // for good: one that comes after the response must not be without a listener
  });
  request.end();
  return { request, response };
}

/** Chunks that wait for the disk before the connection has to. */
const MOST_WAITING = 16;

/**
 * The body as it arrives. By events, since a stream drops what it holds when its connection breaks: what came before that
 * need not come again.
 */
function bodyOf(response: IncomingMessage, { signal, idleTimeout }: RequestOptions): Pick<Reply, "chunks" | "end"> {
  const waiting = { close: ["end", "close"], highWaterMark: MOST_WAITING, lowWaterMark: 1 };
  const arrived = on(response, "data", waiting);
  const end = () => void response.destroy();
  async function* chunks() {
    signal?.addEventListener("abort", end, { once: true });
    try {
      for (;;) {
        const { done, value } = await within(idleTimeout, arrived.next());
        signal?.throwIfAborted();
        if (done) break;
        yield value[0] as Uint8Array;
      }
      if (!response.complete) throw new Interrupted("terminated: other side closed");
    } catch (error) {
      signal?.throwIfAborted();
      throw asInterrupted(error, "terminated");
    } finally {
      signal?.removeEventListener("abort", end);
      end();
    }
  }
  return { chunks, end };
}

/** Rejects where `promise` takes longer than `milliseconds`. */
async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Interrupted(`nothing came for ${milliseconds / 1000} s`)), milliseconds);
  });
  promise.catch(() => {}); // may fail when nobody waits for it any longer
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** Failures that pass: of a connection that stood, of one that was not accepted in time. */
const PASSING: readonly unknown[] = ["ECONNRESET", "EPIPE", "ETIMEDOUT"];

function asInterrupted(error: unknown, what: string): unknown {
  if (error instanceof Interrupted || error instanceof TernionError || !(error instanceof Error)) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  // that of several addresses none answers is said by an AggregateError without a message
  const reason = code === "ECONNRESET" ? "other side closed" : message || (code ?? error.name);
  return new Interrupted(`${what}: ${reason}`, { cause: error, early: !PASSING.includes(code) });
}
