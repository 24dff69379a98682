/**
 * One holder at a time of a path, among processes that share a folder, on one machine or in several containers.
 *
 * A claim is a file that only its owner writes: PATH.<uuid>.lock. Whoever finds no other living claim after making its own
 * is the holder; the others withdraw theirs, and try again. Of two that claim at once, each looks after its own claim is
 * there, so at least one sees the other. A claim is dead if its process is, or if its owner has not touched it for a
 * while; it is only removed, never taken over, and its name never comes again: so there is nothing to race for.
 *
 * proper-lockfile, the usual package, removes a stale lock by a name that another process may own by then.
 */
import { randomUUID } from "node:crypto";
import { readlinkSync } from "node:fs";
import { readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";

/** Milliseconds between two signs of life of a holder, and without one until it counts as dead. */
const BEAT = 1000;
const DEAD_AFTER = 20_000;
/** Milliseconds between two looks at a path that another holds. */
const LOOK = 200;

/** The claim was taken for dead, as after the machine slept: another may hold the path by now. */
export class LockLost extends Error {}

export interface Held {
  /** Rejects with LockLost where the claim is gone. Looks at most every BEAT, unless `now`. */
  check(now?: boolean): Promise<void>;
}

export interface LockOptions {
  readonly signal: AbortSignal | undefined;
  /** called before each wait for another holder */
  onWait(): Promise<void>;
}

/** Calls `use` while no other process or call that locks `path` is in its own. */
export async function locked<T>(path: string, options: LockOptions, use: (held: Held) => Promise<T>): Promise<T> {
  const claim = await acquire(path, options);
  const heart = beat(claim);
  try {
    return await use(held(claim));
  } finally {
    await heart.stop();
    await rm(claim, { force: true });
  }
}

async function acquire(path: string, { signal, onWait }: LockOptions): Promise<string> {
  for (;;) {
    const claim = `${path}.${randomUUID()}.lock`;
    await writeFile(claim, JSON.stringify({ space: processSpace(), pid: process.pid }), { flag: "wx" });
    try {
      if ((await othersAlive(path, claim)) === 0) {
        await rm(`${path}.lock`, { force: true }); // of versions that wrote their process id there
        return claim;
      }
    } catch (error) {
      await rm(claim, { force: true });
      throw error;
    }
    await rm(claim, { force: true });
    await onWait();
    await sleep(LOOK * (0.5 + Math.random()), undefined, { signal }).catch(() => signal?.throwIfAborted());
  }
}

/** Counts the living claims but `own`; removes dead ones. */
async function othersAlive(path: string, own: string): Promise<number> {
  const now = (await stat(own)).mtimeMs; // by the clock of the file system, which may be another machine's
  const prefix = `${basename(path)}.`;
  const names = (await readdir(dirname(path))).filter((name) => name.startsWith(prefix) && name.endsWith(".lock"));
  const others = names
    .map((name) => join(dirname(path), name))
    .filter((claim) => claim !== own && isClaim(path, claim));
  const alive = await Promise.all(others.map((claim) => isAlive(claim, now)));
  await Promise.all(others.filter((_, i) => !alive[i]).map((claim) => rm(claim, { force: true })));
  return alive.filter(Boolean).length;
}

const isClaim = (path: string, name: string) => name.length === path.length + ".".length + 36 + ".lock".length;

async function isAlive(claim: string, now: number): Promise<boolean> {
  try {
    const [{ mtimeMs }, text] = await Promise.all([stat(claim), readFile(claim, "utf8")]);
    return now - mtimeMs < DEAD_AFTER && !isProcessGone(text);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOENT"; // withdrawn since it was listed
  }
}

/** Whether the claim is of a process of this machine and container that runs no longer. Else only its age shows it. */
function isProcessGone(text: string): boolean {
  try {
    const { space, pid } = JSON.parse(text);
    if (space === processSpace() && Number.isInteger(pid)) process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** Where a process id means one process: containers of one machine count theirs apart. */
function processSpace(): string {
  try {
    return `${hostname()} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return hostname();
  }
}

function held(claim: string): Held {
  let last = Date.now();
  return {
    async check(now = false) {
      if (!now && Date.now() - last < BEAT) return;
      last = Date.now();
      await stat(claim).catch((cause) => {
        throw new LockLost("another process took over the download", { cause });
      });
    },
  };
}

/** Writes the first byte of the claim again, so that the file system dates it; not as a new file where it is gone. */
const HEART = `
const { openSync, writeSync, closeSync } = require("node:fs");
const { workerData: { claim, every } } = require("node:worker_threads");
setInterval(() => {
  try {
    const file = openSync(claim, "r+");
    writeSync(file, "{", 0);
    closeSync(file);
  } catch {}
}, every);`;

/** A thread of its own gives signs of life, however long this one computes; short of threads, this one does. */
function beat(claim: string): { stop(): Promise<void> } {
  const options = { eval: true, workerData: { claim, every: BEAT }, execArgv: [], name: "ternion-lock" };
  const heart = new Worker(HEART, options);
  let timer: NodeJS.Timeout | undefined;
  heart.once("error", () => {
    timer = setInterval(() => void utimes(claim, new Date(), new Date()).catch(() => {}), BEAT);
  });
  heart.unref();
  return {
    async stop() {
      await heart.terminate();
      clearInterval(timer);
    },
  };
}
