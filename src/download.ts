/**
 * Paths and URLs → a local file. An http(s) URL is downloaded once into a cache directory and found there ever after,
 * without asking the server again. A file has its name only when it is whole: it arrives as NAME.part, after an
 * interruption goes on from there if the server still has the same version, and is renamed at the end.
 */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { access, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { fileURLToPath } from "node:url";
import * as check from "./check.js";
import { TernionError } from "./errors.js";

export interface DownloadOptions {
  /** bytes of the file that are here, and of the whole file; 0 where the server does not tell */
  readonly onProgress?: ((loaded: number, total: number) => void) | undefined;
  /** ends the download with the signal's reason; what arrived is kept for the next call */
  readonly signal?: AbortSignal | undefined;
  /** default: `$TERNION_CACHE`, else `$XDG_CACHE_HOME/ternion`, else `~/.cache/ternion` */
  readonly cacheDirectory?: string | undefined;
}

const CHECKS: check.OptionChecks<DownloadOptions> = {
  onProgress: check.callable,
  signal: check.signal,
  cacheDirectory: check.filled,
};

/** The path of the file: of a path itself, of a file: URL its path, of an http(s) URL a copy that is kept. */
export async function download(pathOrUrl: string | URL, given: DownloadOptions = {}): Promise<string> {
  const options = check.options(given, CHECKS);
  check.pathOrUrl("model", pathOrUrl);
  if (typeof pathOrUrl === "string" && !/^[a-z][a-z\d+.-]*:\/\//i.test(pathOrUrl)) return pathOrUrl;
  if (!URL.canParse(String(pathOrUrl))) throw new TypeError(`model: expected a path or a URL, got "${pathOrUrl}"`);
  const url = new URL(pathOrUrl);
  if (url.protocol === "file:") return fileURLToPath(url);
  if (url.protocol === "http:" || url.protocol === "https:") return cached(url, options);
  throw failure(url, `expected a path or an http:, https: or file: URL, got ${url.protocol}`, "Download it by hand");
}

function defaultCacheDirectory(): string {
  const { TERNION_CACHE, XDG_CACHE_HOME } = process.env;
  return TERNION_CACHE || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "ternion");
}

/** A name that people recognise, and a hash of the whole address against mistaking one file for another. */
function fileNameOf(url: URL): string {
  const hash = createHash("sha256").update(`${url.origin}${url.pathname}${url.search}`).digest("hex").slice(0, 12);
  const name = basename(url.pathname).replace(/[^\w.-]/g, "_");
  return `${hash}-${name || "model.gguf"}`;
}

async function cached(url: URL, options: DownloadOptions): Promise<string> {
  const path = join(options.cacheDirectory ?? defaultCacheDirectory(), fileNameOf(url));
  options.signal?.throwIfAborted();
  try {
    if (await exists(path)) return path;
    await mkdir(dirname(path), { recursive: true });
    await locked(`${path}.lock`, url, () => fetchWhole(url, path, options));
    return path;
  } catch (error) {
    options.signal?.throwIfAborted(); // whatever broke off broke off because of it
    if (error instanceof TernionError) throw error;
    throw failure(
      url,
      reason(error),
      "Check the connection and the disk, then try again: it goes on from there",
      error,
    );
  }
}

/** What is known of NAME.part, kept beside it. */
interface PartState {
  /** entity tag or date of the version that it is a part of */
  readonly version: string;
  /** bytes of the whole file; 0 if unknown */
  readonly total: number;
}

interface Part extends PartState {
  /** bytes that are here */
  readonly size: number;
}

async function fetchWhole(url: URL, path: string, { onProgress, signal }: DownloadOptions): Promise<void> {
  if (await exists(path)) return; // another process was faster
  const [partPath, statePath] = [`${path}.part`, `${path}.part.json`];
  const part = await readPart(partPath, statePath);
  if (part === undefined || part.size !== part.total) {
    const { body, version, start, total } = await request(url, part, signal);
    if (version === undefined) await rm(statePath, { force: true });
    else await writeFile(statePath, JSON.stringify({ version, total } satisfies PartState));
    let loaded = start;
    const count = async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        yield chunk;
        loaded += chunk.byteLength;
        onProgress?.(loaded, total);
      }
    };
    onProgress?.(loaded, total);
    const file = createWriteStream(partPath, start > 0 ? { flags: "r+", start } : { flags: "w" });
    await pipeline(body, count, file, { signal });
    await checkLength(url, partPath, total);
  }
  await rename(partPath, path);
  await rm(statePath, { force: true });
}

/** The part of an earlier attempt, if it says of which version it is. */
async function readPart(partPath: string, statePath: string): Promise<Part | undefined> {
  try {
    const { version, total } = JSON.parse(await readFile(statePath, "utf8")) as Partial<PartState>;
    const { size } = await stat(partPath);
    if (typeof version === "string" && typeof total === "number" && size > 0) return { version, total, size };
  } catch {
    // absent or unreadable: begin anew
  }
  return undefined;
}

interface Answer {
  readonly body: Readable;
  readonly version: string | undefined;
  /** where in the file the body begins */
  readonly start: number;
  readonly total: number;
}

/** Asks for what `part` lacks; takes the whole file where the server gives that, or has another version. */
async function request(url: URL, part: Part | undefined, signal: AbortSignal | undefined): Promise<Answer> {
  // a compressed body would make lengths and ranges those of something else
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (part !== undefined) Object.assign(headers, { range: `bytes=${part.size}-`, "if-range": part.version });
  const response = await fetch(url, { headers, signal: signal ?? null });
  const version = versionOf(response.headers);
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "");

  if (part !== undefined && (response.status === 206 || response.status === 416)) {
    const fits = range !== null && Number(range[1]) === part.size && version === part.version;
    if (response.status === 416 || !fits) {
      await response.body?.cancel();
      return request(url, undefined, signal);
    }
    return { body: bodyOf(response), version, start: part.size, total: Number(range[2]) };
  }
  if (response.status !== 200) {
    await response.body?.cancel();
    throw failure(url, `expected status 200, got ${response.status} ${response.statusText}`.trimEnd(), "Check the URL");
  }
  const length = response.headers.has("content-encoding") ? null : response.headers.get("content-length");
  return { body: bodyOf(response), version, start: 0, total: Number(length ?? 0) };
}

function bodyOf(response: Response): Readable {
  if (response.body === null) return Readable.from([]);
  return Readable.fromWeb(response.body as ReadableStream<Uint8Array>);
}

/** What If-Range may carry: a weak entity tag does not promise the same bytes. */
function versionOf(headers: Headers): string | undefined {
  const tag = headers.get("etag");
  return tag?.startsWith('"') ? tag : (headers.get("last-modified") ?? undefined);
}

async function checkLength(url: URL, partPath: string, total: number): Promise<void> {
  const { size } = await stat(partPath);
  if (total === 0 || size === total) return;
  if (size > total) await rm(partPath);
  throw failure(url, `expected ${total} bytes, got ${size}`, "Try again: what is missing is fetched then");
}

/** One download of a file at a time. A lock whose process is gone does not count. */
async function locked(lock: string, url: URL, use: () => Promise<void>): Promise<void> {
  const take = () => writeFile(lock, String(process.pid), { flag: "wx" });
  try {
    await take();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const owner = Number(await readFile(lock, "utf8"));
    if (isAlive(owner)) {
      const advice = `Wait for it, or delete ${lock} if it downloads nothing`;
      throw failure(url, `expected to be the only download of it, got one in process ${owner}`, advice);
    }
    await rm(lock, { force: true });
    await take();
  }
  try {
    await use();
  } finally {
    await rm(lock, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** The words nearest to what happened: fetch says "fetch failed" or "terminated" and keeps the reason in `cause`. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause !== undefined) return `${error.message}: ${reason(error.cause)}`;
  return error.message || ((error as NodeJS.ErrnoException).code ?? error.name);
}

/** The address is shown without its query, which may hold a secret. */
function failure(url: URL, problem: string, advice: string, cause?: unknown): TernionError {
  const address = `${url.origin === "null" ? `${url.protocol}//${url.host}` : url.origin}${url.pathname}`;
  return new TernionError("MODEL_DOWNLOAD", `${address}: ${problem}. ${advice}.`, { cause });
}
