/**
 * Paths and URLs → a local file. An http(s) URL is downloaded once into a cache directory and found there ever after,
 * without asking the server again. A file has its name there only when it is whole and a GGUF model, see transfer.ts; one
 * that was damaged since is fetched anew. Of a split model all parts are fetched. Processes that want the same file wait
 * for the one that downloads it.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as check from "../check.js";
import { printable, TernionError } from "../errors.js";
import type { GgufHead } from "../gguf/file.js";
import { readHead } from "../gguf/read.js";
import { partNames, splitOf } from "../gguf/split.js";
import { cacheDirectory } from "../platform/cache.js";
import { withFile } from "../platform/file-bytes.js";
import { makeFolder } from "../platform/files.js";
import { type Address, addressOf, cacheName, failure, partOf } from "./address.js";
import { request } from "./http.js";
import { LockLost, locked } from "./lock.js";
import { IDLE_TIMEOUT, PATIENCE_CHECKS, progressOf, RETRIES, transfer } from "./transfer.js";

/** Of `download`. */
export interface DownloadOptions {
  /** bytes of the model that are here, and of the whole model; 0 where the server does not say */
  readonly onProgress?: ((loaded: number, total: number) => void) | undefined;
  /** ends the download with the signal's reason; what arrived is kept for the next call */
  readonly signal?: AbortSignal | undefined;
  /** default: `$TERNION_CACHE`, else `$XDG_CACHE_HOME/ternion`, else `~/.cache/ternion` */
  readonly cacheDirectory?: string | undefined;
  /** most milliseconds without a byte from the server; default 60,000 */
  readonly idleTimeout?: number | undefined;
  /** tries after one that failed by connection or because the server is busy, and brought less than 1 MB; default 5 */
  readonly retries?: number | undefined;
}

const CHECKS: check.OptionChecks<DownloadOptions> = {
  onProgress: check.callable,
  signal: check.signal,
  cacheDirectory: check.filled,
  ...PATIENCE_CHECKS,
};

/**
 * The path of the model: of a path itself, of a file: URL its path, of an http(s) URL a copy that is kept. Where the model
 * is split into parts, that of the first. Rejects with MODEL_DOWNLOAD where no whole model comes, and with the reason of
 * `signal`.
 */
export async function download(pathOrUrl: string | URL, given: DownloadOptions = {}): Promise<string> {
  const options = check.options(given, CHECKS);
  check.pathOrUrl("model", pathOrUrl);
  if (typeof pathOrUrl === "string" && !/^[a-z][a-z\d+.-]*:\/\//i.test(pathOrUrl)) return pathOrUrl;
  // what cannot be parsed is not shown: it may hold a password
  if (!URL.canParse(String(pathOrUrl))) throw new TypeError("model: expected a path or a URL, got a malformed URL");
  const url = new URL(pathOrUrl);
  if (url.protocol === "file:") return fileURLToPath(url);
  if (url.protocol === "http:" || url.protocol === "https:") return pull(addressOf(url), options);
  throw failure(
    { url },
    `expected a path or an http:, https: or file: URL, got ${url.protocol}`,
    "Download it by hand",
  );
}

/** The whole model that `given` is all or a part of. */
async function pull(given: Address, options: DownloadOptions): Promise<string> {
  options.signal?.throwIfAborted();
  const address = partOf(given, 1) ?? given;
  const first = await cached(address, options);
  const split = splitOf(first);
  if (split === undefined) return first.name;
  partNames(first.name, split); // or else says which name it should have
  const others = Array.from({ length: split.count - 1 }, (_, i) => partOf(address, i + 2) as Address);
  let loaded = first.byteLength;
  const total = await sizeOfAll(others, loaded, options);
  for (const part of others) {
    const onProgress = (bytes: number) => options.onProgress?.(loaded + bytes, total);
    loaded += (await cached(part, { ...options, onProgress })).byteLength;
  }
  return first.name;
}

/** Bytes of all parts, those that are here included; 0 where the server does not say. */
async function sizeOfAll(parts: readonly Address[], first: number, options: DownloadOptions): Promise<number> {
  if (options.onProgress === undefined) return 0;
  let total = first;
  for (const address of parts) {
    const here = await found(pathOf(address, options), options.signal);
    const size = here?.byteLength ?? (await sizeOf(address, options));
    if (size === 0) return 0;
    total += size;
  }
  return total;
}

async function sizeOf(address: Address, { signal, idleTimeout = IDLE_TIMEOUT }: DownloadOptions): Promise<number> {
  try {
    const { status, size, headers, end } = await request(address, { method: "HEAD", signal, idleTimeout });
    end();
    return size || (status === 200 ? Number(headers["content-length"] ?? 0) : 0);
  } catch {
    signal?.throwIfAborted();
    return 0;
  }
}

const pathOf = (address: Address, options: DownloadOptions) =>
  join(options.cacheDirectory ?? cacheDirectory(), cacheName(address));

/** The head of the one file at `address`, which is in the cache then. */
async function cached(address: Address, options: DownloadOptions): Promise<GgufHead> {
  const { onProgress = () => {}, signal, idleTimeout = IDLE_TIMEOUT, retries = RETRIES } = options;
  const path = pathOf(address, options);
  const onWait = async () => {
    const { loaded, total } = await progressOf(path);
    if (loaded > 0) onProgress(loaded, total);
  };
  try {
    const here = await found(path, signal);
    if (here !== undefined) return here;
    await makeFolder(dirname(path));
    const fetchOnce = () =>
      locked(path, { signal, onWait }, async (held): Promise<GgufHead> => {
        const whole = await found(path, signal); // another process was faster
        if (whole !== undefined) return whole;
        await transfer(address, path, { onProgress, signal, idleTimeout, retries, held });
        return headOf(path, signal);
      });
    return await fetchOnce().catch((error) => (error instanceof LockLost ? fetchOnce() : Promise.reject(error)));
  } catch (error) {
    signal?.throwIfAborted();
    const { syscall, message } = error as NodeJS.ErrnoException;
    if (error instanceof TernionError || syscall === undefined) throw error;
    throw failure(address, printable(message, 300), "Check the disk, then try again", error);
  }
}

const headOf = (path: string, signal: AbortSignal | undefined) => withFile(path, (file) => readHead(file, { signal }));

/** The head of a file of the cache; undefined where there is none, or one that was damaged since it came. */
async function found(path: string, signal: AbortSignal | undefined): Promise<GgufHead | undefined> {
  try {
    return await headOf(path, signal);
  } catch (error) {
    if (error instanceof TernionError && error.code !== "GGUF_READ") return undefined;
    throw error;
  }
}
