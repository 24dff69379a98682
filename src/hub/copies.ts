/**
 * Addresses → files in the cache. A file is downloaded once and found there ever after, without asking the server again. It
 * has its name there only when it is whole and what it should be, see transfer.ts; a model that was damaged since is fetched
 * anew. Of a split model all parts are fetched. Processes that want the same file wait for the one that downloads it.
 */
import { dirname, join } from "node:path";
import * as check from "../check.js";
import { printable, TernionError } from "../errors.js";
import type { GgufHead } from "../gguf/file.js";
import { readHead } from "../gguf/read.js";
import { partNames, splitOf } from "../gguf/split.js";
import { cacheDirectory } from "../platform/cache.js";
import { withFile } from "../platform/file-bytes.js";
import { makeFolder } from "../platform/files.js";
import { type Address, cacheName, failure, partOf } from "./address.js";
import { request } from "./http.js";
import { LockLost, locked } from "./lock.js";
import { type Expected, IDLE_TIMEOUT, PATIENCE_CHECKS, progressOf, RETRIES, transfer } from "./transfer.js";

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

export const DOWNLOAD_CHECKS: check.OptionChecks<DownloadOptions> = {
  onProgress: check.callable,
  signal: check.signal,
  cacheDirectory: check.filled,
  ...PATIENCE_CHECKS,
};

export const folderOf = (options: Pick<DownloadOptions, "cacheDirectory">) =>
  options.cacheDirectory ?? cacheDirectory();

/** Where the copy of a file is, or would be. */
export const pathOf = (address: Address, options: Pick<DownloadOptions, "cacheDirectory">) =>
  join(folderOf(options), cacheName(address));

/** The path of the whole model that `given` is all or a part of, of its first part; downloads what is not here. */
export async function fetchModel(given: Address, options: DownloadOptions): Promise<string> {
  options.signal?.throwIfAborted();
  const address = partOf(given, 1) ?? given;
  const first = await fetchHead(address, options);
  const others = otherParts(first, address);
  let loaded = first.byteLength;
  const total = others.length === 0 ? 0 : await sizeOfAll(others, loaded, options);
  for (const part of others) {
    const onProgress = (bytes: number) => options.onProgress?.(loaded + bytes, total);
    loaded += (await fetchHead(part, { ...options, onProgress })).byteLength;
  }
  return first.name;
}

/** The path of the same model where all of it is here; asks no server. */
export async function findModel(given: Address, options: DownloadOptions): Promise<string | undefined> {
  const address = partOf(given, 1) ?? given;
  const first = await found(pathOf(address, options), options.signal);
  if (first === undefined) return undefined;
  const others = await Promise.all(
    otherParts(first, address).map((part) => found(pathOf(part, options), options.signal)),
  );
  return others.includes(undefined) ? undefined : first.name;
}

/** The addresses of the parts after the first. Throws where it does not have the name of one. */
function otherParts(first: GgufHead, address: Address): Address[] {
  const split = splitOf(first);
  if (split === undefined) return [];
  partNames(first.name, split); // or else says which name it should have
  return Array.from({ length: split.count - 1 }, (_, i) => partOf(address, i + 2) as Address);
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

/** The head of the one file at `address`, which is in the cache then. */
async function fetchHead(address: Address, options: DownloadOptions): Promise<GgufHead> {
  const path = pathOf(address, options);
  const find = () => found(path, options.signal);
  return (await find()) ?? fetchFile(address, path, { find, isModel: true }, options);
}

export interface Wanted<T> {
  /** what `path` holds if it is what it should be; `isFresh`: it was downloaded and checked just now */
  find(isFresh: boolean): Promise<T | undefined>;
  readonly isModel: boolean;
  readonly expected?: Expected | undefined;
}

/** Downloads to `path` unless another process did so, and gives what `find` finds there. */
export async function fetchFile<T>(
  address: Address,
  path: string,
  { find, isModel, expected }: Wanted<T>,
  options: DownloadOptions,
): Promise<T> {
  const { onProgress = () => {}, signal, idleTimeout = IDLE_TIMEOUT, retries = RETRIES } = options;
  const onWait = async () => {
    const { loaded, total } = await progressOf(path);
    if (loaded > 0) onProgress(loaded, total);
  };
  const fetchOnce = () =>
    locked(path, { signal, onWait }, async (held): Promise<T> => {
      const whole = await find(false); // another process was faster
      if (whole !== undefined) return whole;
      await transfer(address, path, { onProgress, signal, idleTimeout, retries, held, isModel, expected });
      return (
        (await find(true)) ?? Promise.reject(failure(address, "the copy changed as soon as it was there", TRY_AGAIN))
      );
    });
  try {
    await makeFolder(dirname(path));
    return await fetchOnce().catch((error) => (error instanceof LockLost ? fetchOnce() : Promise.reject(error)));
  } catch (error) {
    signal?.throwIfAborted();
    const { syscall, message } = error as NodeJS.ErrnoException;
    if (error instanceof TernionError || syscall === undefined) throw error;
    throw failure(address, printable(message, 300), TRY_AGAIN, error);
  }
}

const TRY_AGAIN = "Check the disk, then try again";

/** The head of a file of the cache; undefined where there is none, or one that was damaged since it came. */
export async function found(path: string, signal: AbortSignal | undefined): Promise<GgufHead | undefined> {
  try {
    return await withFile(path, (file) => readHead(file, { signal }));
  } catch (error) {
    if (error instanceof TernionError && error.code !== "GGUF_READ") return undefined;
    throw error;
  }
}
