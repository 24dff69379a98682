/**
 * A file on a server as a byte source: each read is a request for a range, and nothing is kept on this machine. An answer is
 * held to what was asked for: the range, its length, and the version that the first answer had.
 */
import type { ByteSource } from "../backend/backend.js";
import * as check from "../check.js";
import { printable } from "../errors.js";
import { type Address, addressOf, failure } from "./address.js";
import { Interrupted, type Reply, request } from "./http.js";
import { backoff, IDLE_TIMEOUT, PATIENCE_CHECKS, pause, RETRIES, refused, versionOf } from "./transfer.js";

/** Of `httpBytes`. */
export interface RangeOptions {
  /** ends reads with the signal's reason */
  readonly signal?: AbortSignal | undefined;
  /** most milliseconds without a byte from the server; default 60,000 */
  readonly idleTimeout?: number | undefined;
  /** tries after one that failed by connection or because the server is busy; default 5 */
  readonly retries?: number | undefined;
}

const CHECKS: check.OptionChecks<RangeOptions> = {
  signal: check.signal,
  ...PATIENCE_CHECKS,
};

/** Requests under way at the same time, as browsers have it. */
const MOST_REQUESTS = 6;

/**
 * Asks the server for the size of the file at an http(s) URL, and whether it gives ranges: rejects with MODEL_DOWNLOAD where
 * it does not. Reads reject so too where the file has changed since.
 */
export async function httpBytes(url: string | URL, given: RangeOptions = {}): Promise<ByteSource> {
  const options = check.options(given, CHECKS);
  check.pathOrUrl("url", url);
  if (!URL.canParse(String(url)) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new TypeError("url: expected an http: or https: URL, got another one");
  }
  return RangeSource.open(addressOf(new URL(url)), options);
}

class RangeSource implements ByteSource {
  readonly name: string;
  #underWay = 0;
  readonly #waiting: (() => void)[] = [];

  private constructor(
    readonly address: Address,
    readonly options: RangeOptions,
    readonly size: number,
    readonly version: string | undefined,
  ) {
    this.name = `${address.url.origin}${address.url.pathname}`; // a query may hold a secret
  }

  static async open(address: Address, options: RangeOptions): Promise<RangeSource> {
    const first = new Uint8Array(1);
    const { size, version } = await persistently(address, options, () => readRange(address, 0, first, { options }));
    return new RangeSource(address, options, size, version);
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    if (into.byteLength === 0) return;
    if (this.#underWay === MOST_REQUESTS) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#underWay++;
    try {
      const { address, options } = this;
      await persistently(address, options, () => readRange(address, offset, into, { options, expected: this }));
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#underWay--;
      else next(); // which takes this one's place
    }
  }
}

/** Tries again where the connection failed or the server is busy. */
export async function persistently<T>(
  address: Address,
  { signal, retries = RETRIES }: RangeOptions,
  read: () => Promise<T>,
) {
  for (let failures = 1; ; failures++) {
    try {
      return await read();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof Interrupted)) throw error;
      if (failures > retries || error.early) {
        throw failure(address, error.message, "Check the connection, then try again", error);
      }
      await pause(error.wait ?? backoff(failures), signal);
    }
  }
}

interface Known {
  readonly size: number;
  readonly version: string | undefined;
}

/** Fills `into` from `offset` on, and gives what the answer says of the whole file. */
async function readRange(
  address: Address,
  offset: number,
  into: Uint8Array,
  { options, expected }: { readonly options: RangeOptions; readonly expected?: Known },
): Promise<Known> {
  const { signal, idleTimeout = IDLE_TIMEOUT } = options;
  const last = offset + into.byteLength - 1;
  // a compressed body would make lengths and ranges those of something else
  const headers = { "accept-encoding": "identity", range: `bytes=${offset}-${last}` };
  const reply = await request(address, { headers, signal, idleTimeout });
  try {
    const known = checkAnswer(address, reply, { offset, last, expected });
    let at = 0;
    for await (const chunk of reply.chunks()) {
      if (at + chunk.byteLength > into.byteLength) throw unlike(address, `${into.byteLength} bytes`, "more");
      into.set(chunk, at);
      at += chunk.byteLength;
    }
    if (at < into.byteLength) throw new Interrupted(`expected ${into.byteLength} bytes, got ${at}`);
    return known;
  } finally {
    reply.end();
  }
}

function checkAnswer(
  address: Address,
  reply: Reply,
  { offset, last, expected }: { offset: number; last: number; expected: Known | undefined },
): Known {
  const { status, headers } = reply;
  if (status === 200) {
    const advice =
      "The server does not give parts of files: download the whole model, as Engine.load does with its URL";
    throw failure(address, "expected status 206 to a request for a range, got 200", advice);
  }
  if (status !== 206) throw refused(address, reply, 206);
  const encoding = headers["content-encoding"] ?? "identity";
  if (encoding !== "identity") throw unlike(address, "the bytes as they are", `them encoded (${printable(encoding)})`);
  const range = headers["content-range"] ?? "none";
  const [first, end, size] = (/^bytes (\d+)-(\d+)\/(\d+)$/.exec(range) ?? []).slice(1).map(Number);
  if (first !== offset || end !== last) throw unlike(address, `the range ${offset}-${last}`, printable(range));
  const version = versionOf(headers);
  if (expected !== undefined && (size !== expected.size || version !== expected.version)) {
    throw failure(address, "expected the file as it was, got another version", "Load the model again");
  }
  return { size, version };
}

function unlike(address: Address, expected: string, got: string): Error {
  return failure(
    address,
    `expected ${expected}, got ${got}`,
    "Download the whole model, as Engine.load does with its URL",
  );
}
