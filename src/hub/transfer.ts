/**
 * One file from its server to its name. It arrives as NAME.part, after an interruption goes on from there if the server
 * still has the same version, and gets its name when its length, its checksum (where one is known) and, of a model, its
 * head are those of a GGUF file. What cannot become that is deleted; what may is kept.
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rename, rm, stat, statfs, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as check from "../check.js";
import { printable, type TernionError } from "../errors.js";
import { checkBeginning, readHead } from "../gguf/read.js";
import { withFile } from "../platform/file-bytes.js";
import { writeFully } from "../platform/files.js";
import { type Address, failure } from "./address.js";
import { type Headers, Interrupted, type Reply, request } from "./http.js";
import { type Held, LockLost } from "./lock.js";
import { LONGEST_WAIT_ASKED, refusal, retryAfter } from "./refusal.js";

/** What is known of a file before it comes. */
export interface Expected {
  /** bytes */
  readonly size: number;
  /** SHA-256 (64 hexadecimal digits), or its id in git (40) */
  readonly checksum?: string | undefined;
}

export interface TransferOptions {
  /** default: what the server says when it sends the file */
  readonly expected?: Expected | undefined;
  /** whether it is a GGUF file, whose head is looked at */
  readonly isModel: boolean;
  /** bytes of the file that are here, and of the whole file; 0 where the server does not say */
  readonly onProgress: (loaded: number, total: number) => void;
  readonly signal: AbortSignal | undefined;
  readonly idleTimeout: number;
  readonly retries: number;
  readonly held: Held;
}

/** What is known of NAME.part, kept beside it. */
interface PartState {
  /** entity tag or date of the version that it is a part of */
  readonly version: string;
  /** bytes of the whole file; 0 if unknown */
  readonly total: number;
  /** of the whole file, as in `Expected` */
  readonly checksum?: string | undefined;
}

interface Part extends PartState {
  /** bytes that are here */
  readonly size: number;
}

/** Defaults of the options that say how patient a download is, and the checks of these. */
export const IDLE_TIMEOUT = 60_000;
export const RETRIES = 5;
export const PATIENCE_CHECKS = {
  idleTimeout: check.integer(1, 2 ** 31 - 1), // of a timer
  retries: check.integer(0),
};

/** Milliseconds before the first retry without a word of the server; twice as many before each other one. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
/** Bytes of an attempt that make it worth going on for ever: the count of failures begins anew. */
const ENOUGH = 1 << 20;

/** Downloads to `path`. The caller holds the lock of that path. */
export async function transfer(address: Address, path: string, options: TransferOptions): Promise<void> {
  const { signal, retries } = options;
  for (let failures = 0; ; ) {
    const before = await sizeOf(partPath(path));
    try {
      return await attempt(address, path, options);
    } catch (error) {
      if (error instanceof LockLost) throw error; // the part is another's now
      if ((await readPart(path)) === undefined) await discard(path); // nobody can go on from there
      signal?.throwIfAborted(); // whatever broke off broke off because of it
      if (!(error instanceof Interrupted)) throw explained(error, address, path);
      const here = await sizeOf(partPath(path));
      failures = here - before >= ENOUGH ? 1 : failures + 1;
      const hopeless = error.early && here === 0;
      if (hopeless || failures > retries) throw gaveUp(address, error, failures);
      await pause(error.wait ?? backoff(failures), signal);
    }
  }
}

const partPath = (path: string) => `${path}.part`;
const statePath = (path: string) => `${path}.part.json`;

/** What is here and should become, for others that wait for it. */
export async function progressOf(path: string): Promise<{ loaded: number; total: number }> {
  const part = await readPart(path);
  return { loaded: part?.size ?? 0, total: part?.total ?? 0 };
}

async function attempt(address: Address, path: string, options: TransferOptions): Promise<void> {
  const part = partOf(await readPart(path), options.expected);
  const whole = part !== undefined && part.size === part.total;
  const received = whole
    ? { ...part, type: undefined, hash: await hashOf(partPath(path), part) }
    : await receive(address, path, part, options);
  await options.held.check(true);
  try {
    await checkContent(address, partPath(path), received, options);
  } catch (error) {
    if (!(error instanceof Interrupted)) await discard(path);
    throw error;
  }
  await rename(partPath(path), path);
  await rm(statePath(path), { force: true });
}

/** The part, unless it is one of another file than the expected one. */
function partOf(part: Part | undefined, expected: Expected | undefined): Part | undefined {
  const known = expected?.checksum ?? part?.checksum;
  return part?.checksum === known && (expected === undefined || part?.total === expected.size) ? part : undefined;
}

interface Received {
  readonly total: number;
  readonly checksum?: string | undefined;
  readonly hash: Hash | undefined;
  /** content type, as the server called it */
  readonly type: string | undefined;
}

async function receive(
  address: Address,
  path: string,
  part: Part | undefined,
  { onProgress, signal, idleTimeout, held, expected, isModel }: TransferOptions,
): Promise<Received> {
  const answer = await ask(address, part, { signal, idleTimeout });
  const { reply, version, start } = answer;
  const total = answer.total || (expected?.size ?? 0);
  const checksum = expected?.checksum ?? answer.checksum;
  const type = reply.headers["content-type"];
  try {
    if (expected !== undefined && total !== expected.size) {
      throw await wrong(address, path, `expected ${expected.size} bytes, as listed, got ${total}`);
    }
    await checkSpace(address, path, total - start);
    await held.check();
    if (version === undefined) await rm(statePath(path), { force: true });
    else await writeFile(statePath(path), JSON.stringify({ version, total, checksum } satisfies PartState));
    const hash = await hashOf(partPath(path), { checksum, total }, start);
    onProgress(start, total);
    const file = await open(partPath(path), start > 0 ? "r+" : "w");
    try {
      let loaded = start;
      for await (const chunk of reply.chunks()) {
        if (loaded === 0 && isModel) await checkStart(address, path, chunk, { total, type });
        await held.check();
        await writeFully(file, chunk, loaded);
        hash?.update(chunk);
        loaded += chunk.byteLength;
        onProgress(loaded, total);
      }
      await file.datasync(); // a name must not outlive its bytes when the power fails
      if (total > 0 && loaded < total) throw new Interrupted(`expected ${total} bytes, got ${loaded}`);
      if (total > 0 && loaded > total) throw await wrong(address, path, `expected ${total} bytes, got ${loaded}`);
      return { total, checksum, hash, type };
    } finally {
      await file.close();
    }
  } finally {
    reply.end();
  }
}

/** The part of an earlier attempt, if it says of which version it is. */
async function readPart(path: string): Promise<Part | undefined> {
  try {
    const { version, total, checksum } = JSON.parse(await readFile(statePath(path), "utf8")) as Partial<PartState>;
    const size = await sizeOf(partPath(path));
    const sound = checksum === undefined || typeof checksum === "string";
    if (typeof version === "string" && typeof total === "number" && sound && size > 0) {
      return { version, total, checksum, size };
    }
  } catch {
    // absent or unreadable: begin anew
  }
  return undefined;
}

interface Answer {
  readonly reply: Reply;
  readonly version: string | undefined;
  /** where in the file the body begins */
  readonly start: number;
  readonly total: number;
  readonly checksum: string | undefined;
}

type Limits = Pick<TransferOptions, "signal" | "idleTimeout">;

/** Asks for what `part` lacks; takes the whole file where the server gives that, or has another version. */
async function ask(address: Address, part: Part | undefined, limits: Limits): Promise<Answer> {
  // a compressed body would make lengths and ranges those of something else
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (part !== undefined) Object.assign(headers, { range: `bytes=${part.size}-`, "if-range": part.version });
  const reply = await request(address, { headers, ...limits });
  const version = versionOf(reply.headers);

  if (part !== undefined && (reply.status === 206 || reply.status === 416)) {
    const total = continues(reply, part, version);
    if (total !== undefined)
      return { reply, version, start: part.size, total, checksum: reply.sha256 ?? part.checksum };
    reply.end();
    return ask(address, undefined, limits);
  }
  if (reply.status !== 200) {
    reply.end();
    throw refused(address, reply);
  }
  const encoding = reply.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity") {
    reply.end();
    throw failure(
      address,
      `expected the file as it is, got it encoded (${printable(encoding)})`,
      "Download it by hand",
    );
  }
  const total = Number(reply.headers["content-length"] ?? reply.size);
  return { reply, version, start: 0, total, checksum: reply.sha256 };
}

/** The size of the whole file, if the reply is exactly the rest of it: same version, from where the part ends to its end. */
function continues({ status, headers }: Reply, part: Part, version: string | undefined): number | undefined {
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers["content-range"] ?? "");
  if (status !== 206 || range === null || version !== part.version) return undefined;
  const [first, last, total] = range.slice(1).map(Number);
  const length = Number(headers["content-length"] ?? total - first);
  const fits = first === part.size && last === total - 1 && length === total - first;
  return fits && (part.total === 0 || total === part.total) ? total : undefined;
}

/** What If-Range may carry: a weak entity tag does not promise the same bytes. */
export function versionOf(headers: Headers): string | undefined {
  const { etag } = headers;
  return etag?.startsWith('"') ? etag : headers["last-modified"];
}

export function refused(address: Address, reply: Reply, expected = 200): Error {
  const { status, statusText, headers } = reply;
  const busy = status === 408 || status === 429 || status >= 500;
  const wait = retryAfter(headers["retry-after"]);
  if (busy && wait !== undefined && wait > LONGEST_WAIT_ASKED) return refusal(address, reply, { expected, wait });
  if (busy)
    return new Interrupted(`expected status ${expected}, got ${status} ${printable(statusText)}`.trimEnd(), { wait });
  return refusal(address, reply, { expected });
}

/**
 * The hash of the first `length` bytes of a file, to go on with; undefined where there is nothing to compare with. Git's is
 * of the size and the bytes, a blob's.
 */
async function hashOf(path: string, { checksum, total }: Pick<PartState, "checksum" | "total">, length?: number) {
  if (checksum === undefined) return undefined;
  const hash = checksum.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${total}\0`);
  if (length === 0) return hash;
  const end = (length ?? Number.POSITIVE_INFINITY) - 1;
  for await (const chunk of createReadStream(path, { end })) hash.update(chunk as Buffer);
  return hash;
}

/** Whether a file is the one that is expected: by its length, then by all of its bytes. */
export async function isExpected(path: string, { size, checksum }: Expected): Promise<boolean> {
  if ((await sizeOf(path)) !== size) return false;
  return (await hashOf(path, { checksum, total: size }))?.digest("hex") === checksum;
}

/** Refuses what is no GGUF file by its first bytes, not only after an hour. */
async function checkStart(
  address: Address,
  path: string,
  chunk: Uint8Array,
  { total, type }: Pick<Received, "total" | "type">,
): Promise<void> {
  try {
    checkBeginning(chunk, total || Number.MAX_SAFE_INTEGER, "");
  } catch (error) {
    throw await wrong(address, path, noModel(error, "", type), error);
  }
}

/** Whether the part, which has its full length if that is known, is what it should be. */
async function checkContent(
  address: Address,
  part: string,
  { total, checksum, hash, type }: Received,
  { isModel }: Pick<TransferOptions, "isModel">,
): Promise<void> {
  if (isModel && (await sizeOf(part)) === 0)
    throw failure(address, "expected a GGUF model, got an empty body", CHECK_SOURCE);
  const digest = hash?.digest("hex");
  if (digest !== checksum) {
    const kind = checksum?.length === 64 ? "SHA-256" : "git object id";
    const problem = `expected the ${kind} ${checksum} that the server says, got ${digest}`;
    throw failure(address, problem, "The bytes were changed on their way, and are deleted. Try again");
  }
  if (!isModel) return;
  try {
    await withFile(part, readHead);
  } catch (error) {
    const { code } = error as TernionError;
    const cut = code === "GGUF_TRUNCATED" || code === "GGUF_COUNT";
    if (total === 0 && cut) throw new Interrupted(`the body was cut: ${said(error, part)}`, { cause: error });
    throw failure(address, noModel(error, part, type), CHECK_SOURCE, error);
  }
}

const CHECK_SOURCE =
  "Give the address of the file itself: a page about it, or one that asks to log in, is none (on Hugging Face, " +
  "/resolve/ and not /blob/)";

function noModel(error: unknown, path: string, type: string | undefined): string {
  const got = type === undefined ? "" : ` of type ${printable(type)}`;
  return `expected a GGUF model, got a body${got} that is none (${said(error, path)})`;
}

/** The message without the path that it begins with. */
function said(error: unknown, path: string): string {
  const { message } = error as Error;
  return message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message;
}

async function wrong(address: Address, path: string, problem: string, cause?: unknown): Promise<TernionError> {
  await discard(path);
  return failure(address, problem, CHECK_SOURCE, cause);
}

async function discard(path: string): Promise<void> {
  await Promise.all([rm(partPath(path), { force: true }), rm(statePath(path), { force: true })]);
}

/** Better before a download of an hour than at its end. */
async function checkSpace(address: Address, path: string, needed: number): Promise<void> {
  const disk = await statfs(dirname(path)).catch(() => undefined); // not known everywhere
  const free = disk === undefined ? Number.POSITIVE_INFINITY : disk.bavail * disk.bsize;
  if (needed > free) throw full(address, path, `needs ${needed} bytes more, ${free} are free`);
}

function full(address: Address, path: string, problem: string, cause?: unknown): TernionError {
  const advice = `Free some there, or set TERNION_CACHE to a folder on another disk; what arrived is kept as ${partPath(path)}`;
  return failure(address, `no space in ${dirname(path)}: ${problem}`, advice, cause);
}

/** Errors of the disk as ours; all others, such as those of a callback, as they are. */
function explained(error: unknown, address: Address, path: string): unknown {
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (syscall === undefined) return error;
  if (code === "ENOSPC" || code === "EDQUOT") return full(address, path, message, error);
  return failure(address, message, "Check the disk, then try again: it goes on from there", error);
}

function gaveUp(address: Address, error: Interrupted, failures: number): TernionError {
  const tries = failures > 1 ? `${error.message}, in ${failures} tries` : error.message;
  return failure(address, tries, "Check the connection and the disk, then try again: it goes on from there", error);
}

/** With chance, so that those whom one failure stopped do not all come back at once. */
export function backoff(failures: number): number {
  return Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
}

export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => signal?.throwIfAborted());
}

function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
