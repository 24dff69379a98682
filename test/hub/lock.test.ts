/**
 * Locks of downloads among real processes: whatever a dead one left behind, one downloads and the others wait; a holder
 * that is busy keeps its lock, and one that lost it goes on once it has it again.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { hostname } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { locked } from "../../src/hub/lock.js";
import { download } from "../../src/hub/pull.js";
import type { Answered, Order } from "./processes.js";
import { modelOf, type Site, Sites, until } from "./server.js";

const model = modelOf(300_000);
const PROCESSES = 4;

/** A process that downloads on demand. */
class Downloader {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(env: Readonly<Record<string, string>> = {}) {
    const script = fileURLToPath(new URL("./processes.js", import.meta.url));
    const child = spawn(process.execPath, [script], {
      env: { ...process.env, ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  async get(order: Order): Promise<Answered> {
    this.child.stdin?.write(`${JSON.stringify(order)}\n`);
    const { value, done } = await this.#lines.next();
    return done ? { error: "ended" } : JSON.parse(value);
  }

  async end(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill(signal);
    await ended;
  }
}

describe("locks of downloads", () => {
  const sites = new Sites();
  let site: Site;
  let folder: string;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  const processes: Downloader[] = [];
  const whole = (_: unknown, response: ServerResponse) => {
    response.setHeader("content-length", model.length);
    // slow enough that all have begun before it ends
    response.write(model.subarray(0, 100_000), () => setTimeout(() => response.end(model.subarray(100_000)), 100));
  };
  const url = () => `${site.origin}/model.gguf`;
  const claimOf = async () =>
    (await readdir(folder)).filter((name) => name.endsWith(".lock")).map((name) => join(folder, name))[0];
  const dead = async () => {
    const child = spawn(process.execPath, ["-e", ""]);
    await new Promise((resolve) => child.once("exit", resolve));
    return child.pid as number;
  };

  before(async () => {
    site = await sites.serve((request, response) => answer(request, response));
    for (let i = 0; i < PROCESSES; i++) processes.push(new Downloader());
  });
  after(async () => {
    await Promise.all(processes.map((each) => each.end()));
    await sites.close();
  });
  beforeEach(async () => {
    site.requests.length = 0;
    folder = await sites.folder();
    answer = whole;
  });

  /** What may lie there when the processes start, given the path of the file. */
  const left: Readonly<Record<string, (path: string) => Promise<void>>> = {
    nothing: async () => {},
    "a lock of a process that is gone": async (path) => {
      await locked(path, { signal: undefined, onWait: async () => {} }, async () => {
        const claim = (await claimOf()) as string;
        const text = (await readFile(claim, "utf8")).replace(`${process.pid}`, `${await dead()}`);
        await writeFile(`${path}.${randomUUID()}.lock`, text);
      });
    },
    "a lock of a process id that another process has by now": async (path) => {
      const claim = `${path}.${randomUUID()}.lock`;
      await writeFile(claim, JSON.stringify({ space: hostname(), pid: process.pid }));
      await utimes(claim, new Date(), new Date(Date.now() - 60_000));
    },
    "an empty lock": async (path) => {
      const claim = `${path}.${randomUUID()}.lock`;
      await writeFile(claim, "");
      await utimes(claim, new Date(), new Date(Date.now() - 60_000));
    },
    "a lock of process 1, as older versions wrote it": (path) => writeFile(`${path}.lock`, "1"),
    "an empty lock of an older version": (path) => writeFile(`${path}.lock`, ""),
  };
  for (const [what, leave] of Object.entries(left)) {
    it(`${PROCESSES} processes that start on ${what} download once`, async () => {
      const path = await download(url(), { cacheDirectory: folder });
      for (let round = 0; round < 2; round++) {
        await rm(path);
        await leave(path);
        site.requests.length = 0;
        const answers = await Promise.all(processes.map((each) => each.get({ url: url(), cacheDirectory: folder })));
        assert.deepEqual(answers, Array(PROCESSES).fill({ path }));
        assert.equal(site.requests.length, 1);
        assert.deepEqual(await readdir(folder), [basename(path)]);
      }
    });
  }

  it("a download whose process is killed is gone on with by the next", async () => {
    let release = () => {};
    answer = ({ headers: { range } }, response) => {
      const start = range === undefined ? 0 : 100_000;
      response.setHeader("etag", '"one"');
      response.setHeader("content-length", model.length - start);
      if (start > 0) response.setHeader("content-range", `bytes ${start}-${model.length - 1}/${model.length}`);
      response.writeHead(start > 0 ? 206 : 200);
      if (start > 0) response.end(model.subarray(start));
      else response.write(model.subarray(0, 100_000), () => release());
    };
    const written = new Promise<void>((resolve) => {
      release = resolve;
    });
    const killed = new Downloader();
    const answered = killed.get({ url: url(), cacheDirectory: folder });
    await written;
    await until(async () => {
      const part = (await readdir(folder)).find((name) => name.endsWith(".part"));
      return part && (await stat(join(folder, part))).size === 100_000 ? part : undefined;
    });
    await killed.end();
    assert.deepEqual(await answered, { error: "ended" });
    assert.ok(await claimOf());
    const path = await download(url(), { cacheDirectory: folder });
    assert.ok((await readFile(path)).equals(model));
    assert.equal(site.requests[1]?.headers.range, "bytes=100000-");
    assert.deepEqual(await readdir(folder), [basename(path)]);
  });

  it("a holder whose thread is busy gives signs of life all the same", async () => {
    const [busy] = processes;
    const answered = busy.get({ url: url(), cacheDirectory: folder, busy: 2500 });
    const claim = await until(claimOf);
    const first = (await stat(claim)).mtimeMs;
    const later = await until(async () => {
      const { mtimeMs } = await stat(claim);
      return mtimeMs > first ? mtimeMs : undefined;
    });
    assert.ok(later - first < 2400, `${later - first} ms between two signs of life`);
    assert.ok((await answered).path);
  });

  it("a holder that lost its lock takes it again and goes on", async () => {
    let finish = () => {};
    answer = (_, response) => {
      response.writeHead(200, { "content-length": model.length });
      response.write(model.subarray(0, 100_000));
      finish = () => response.end(model.subarray(100_000));
      if (site.requests.length > 1) finish();
    };
    const downloading = download(url(), { cacheDirectory: folder });
    const claim = await until(claimOf);
    await until(() => (site.requests.length === 1 ? true : undefined));
    await rm(claim);
    finish();
    const path = await downloading;
    assert.ok((await readFile(path)).equals(model));
    assert.equal(site.requests.length, 2);
    assert.deepEqual(await readdir(folder), [basename(path)]);
  });

  it("waiting for a lock obeys the abort signal", async () => {
    const path = join(folder, "a");
    const reason = new Error("enough");
    const controller = new AbortController();
    const onWait = async () => controller.abort(reason);
    await locked(path, { signal: undefined, onWait }, () =>
      assert.rejects(
        locked(path, { signal: controller.signal, onWait }, async () => assert.fail("two hold it")),
        reason,
      ),
    );
    assert.deepEqual(await readdir(folder), []);
  });

  it("many callers of one process hold it one at a time", async () => {
    const path = join(folder, "a");
    let [inside, most] = [0, 0];
    const hold = () =>
      locked(path, { signal: undefined, onWait: async () => {} }, async () => {
        most = Math.max(most, ++inside);
        await sleep(5);
        inside--;
      });
    await Promise.all(Array.from({ length: 6 }, hold));
    assert.equal(most, 1);
    assert.deepEqual(await readdir(folder), []);
  });
});
