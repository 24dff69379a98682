/** Downloads from a server of this process that can stop halfway, refuse ranges, and change its file. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { TernionError } from "../../src/errors.js";
import { download } from "../../src/hub/pull.js";
import { modelOf } from "./server.js";

const SIZE = 300_000;
const bytesOf = (seed: number) => modelOf(SIZE, seed);

/** What the server has and how it behaves; each test sets what it needs. */
const served = {
  data: bytesOf(1),
  etag: '"one"' as string | undefined,
  ranges: true,
  length: true,
  /** closes the connection after so many bytes of the body */
  cutAfter: Number.POSITIVE_INFINITY,
  requests: [] as IncomingMessage[],
};
const initial = { ...served };

function answer(request: IncomingMessage, response: ServerResponse): void {
  served.requests.push(request);
  if (request.url !== "/model.gguf") {
    response.writeHead(404).end("no such file");
    return;
  }
  const { data, etag } = served;
  const asked = /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
  const ranged = asked !== null && served.ranges && request.headers["if-range"] === etag;
  const start = ranged ? Number(asked[1]) : 0;
  if (etag !== undefined) response.setHeader("etag", etag);
  if (ranged) response.setHeader("content-range", `bytes ${start}-${SIZE - 1}/${SIZE}`);
  if (served.length) response.setHeader("content-length", SIZE - start);
  response.writeHead(ranged ? 206 : 200);
  if (served.cutAfter >= SIZE - start) response.end(data.subarray(start));
  else response.write(data.subarray(start, start + served.cutAfter), () => response.destroy());
}

describe("download", () => {
  let server: Server;
  let origin: string;
  let scratch: string;
  let cacheDirectory: string;
  const url = (path = "/model.gguf") => `${origin}${path}`;
  const get = (options = {}, path?: string) => download(url(path), { cacheDirectory, retries: 0, ...options });
  const names = async () => (await readdir(cacheDirectory)).map((name) => name.replace(/^[0-9a-f]{12}-/, "")).sort();
  const rejectsWith = (promise: Promise<unknown>, message: RegExp) =>
    assert.rejects(promise, (error) => {
      assert.ok(error instanceof TernionError);
      assert.equal(error.code, "MODEL_DOWNLOAD");
      assert.match(error.message, message);
      return true;
    });

  before(async () => {
    scratch = await mkdtemp(join(tmpdir(), "ternion-download-"));
    server = createServer(answer).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(async () => {
    server.closeAllConnections();
    server.close();
    await rm(scratch, { recursive: true });
  });
  beforeEach(async () => {
    Object.assign(served, initial, { requests: [] });
    cacheDirectory = await mkdtemp(join(scratch, "cache-"));
  });

  it("leaves paths and file: URLs as they are", async () => {
    assert.equal(await download("some/model.gguf"), "some/model.gguf");
    assert.equal(await download(pathToFileURL("/tmp/a b.gguf")), "/tmp/a b.gguf");
    assert.equal(await download("file:///tmp/a%20b.gguf"), "/tmp/a b.gguf");
  });

  it("fetches a file once, tells its progress, and finds it in the cache afterwards", async () => {
    const progress: number[][] = [];
    const path = await get({ onProgress: (...step: number[]) => progress.push(step) });
    assert.deepEqual(await readFile(path), served.data);
    assert.deepEqual(progress.at(0), [0, SIZE]);
    assert.deepEqual(progress.at(-1), [SIZE, SIZE]);
    assert.deepEqual(await names(), ["model.gguf"]);
    assert.equal(await get(), path);
    assert.equal(served.requests.length, 1);
  });

  it("takes a file whose length the server does not tell", async () => {
    served.length = false;
    assert.deepEqual(await readFile(await get()), served.data);
  });

  it("goes on after a cut connection", async () => {
    served.cutAfter = 100_000;
    await rejectsWith(get(), /^http:\/\/127\.0\.0\.1:\d+\/model\.gguf: terminated: other side closed\. .*try again/);
    assert.deepEqual(await names(), ["model.gguf.part", "model.gguf.part.json"]);

    served.cutAfter = Number.POSITIVE_INFINITY;
    const progress: number[][] = [];
    const path = await get({ onProgress: (...step: number[]) => progress.push(step) });
    assert.deepEqual(await readFile(path), served.data);
    assert.equal(served.requests[1]?.headers.range, "bytes=100000-");
    assert.equal(served.requests[1]?.headers["if-range"], '"one"');
    assert.deepEqual(progress.at(0), [100_000, SIZE]);
    assert.deepEqual(await names(), ["model.gguf"]);
  });

  it("begins anew when the file on the server has changed", async () => {
    served.cutAfter = 100_000;
    await rejectsWith(get(), /terminated/);
    Object.assign(served, { data: bytesOf(7), etag: '"two"', cutAfter: Number.POSITIVE_INFINITY });
    assert.deepEqual(await readFile(await get()), bytesOf(7));
  });

  it("begins anew when the server knows no ranges, or no versions", async () => {
    served.cutAfter = 100_000;
    await rejectsWith(get(), /terminated/);
    served.ranges = false;
    await rejectsWith(get(), /terminated/);
    served.etag = undefined;
    await rejectsWith(get(), /terminated/);
    served.cutAfter = Number.POSITIVE_INFINITY;
    assert.deepEqual(await readFile(await get()), served.data);
    assert.deepEqual(
      served.requests.map(({ headers }) => headers.range),
      [undefined, "bytes=100000-", "bytes=100000-", undefined],
    );
  });

  it("needs no request for a part that is whole", async () => {
    const path = await get();
    await writeFile(`${path}.part`, served.data);
    await writeFile(`${path}.part.json`, JSON.stringify({ version: '"one"', total: SIZE }));
    await rm(path);
    assert.deepEqual(await readFile(await get()), served.data);
    assert.equal(served.requests.length, 1);
  });

  it("keeps what arrived before an abort", async () => {
    const controller = new AbortController();
    const stop = new Error("enough");
    served.cutAfter = 100_000;
    const onProgress = (loaded: number) => loaded >= 100_000 && controller.abort(stop);
    await assert.rejects(get({ signal: controller.signal, onProgress }), stop);
    assert.deepEqual(await names(), ["model.gguf.part", "model.gguf.part.json"]);
    await assert.rejects(get({ signal: controller.signal }), stop);
    assert.equal(served.requests.length, 1);

    served.cutAfter = Number.POSITIVE_INFINITY;
    assert.deepEqual(await readFile(await get()), served.data);
    assert.match(served.requests[1]?.headers.range ?? "", /^bytes=[1-9]\d*-$/);
  });

  it("says what is wrong with an address, and never shows its query", async () => {
    await rejectsWith(
      get({}, "/other.gguf?token=secret"),
      /\/other\.gguf: expected status 200, got 404 Not Found\. Check/,
    );
    await rejectsWith(download("http://127.0.0.1:1/a.gguf", { cacheDirectory }), /a\.gguf: fetch failed: .+\. Check/);
    await rejectsWith(download("ftp://host/a.gguf"), /^ftp:\/\/host\/a\.gguf: expected a path or an http:.*got ftp:/);
    await assert.rejects(download("http://"), TypeError);
    assert.deepEqual(await names(), []);
  });

  it("lets one download of a file run at a time: another waits for it, and forgets those of processes that are gone", async () => {
    const [path, same] = await Promise.all([get(), get()]);
    assert.equal(same, path);
    assert.equal(served.requests.length, 1);
    await rm(path);
    await writeFile(`${path}.lock`, "4194305"); // above the largest process id of Linux
    assert.equal(await get(), path);
    assert.deepEqual(await names(), ["model.gguf"]);
  });

  it("puts files where TERNION_CACHE says", async () => {
    const before = process.env.TERNION_CACHE;
    process.env.TERNION_CACHE = cacheDirectory;
    try {
      assert.ok((await download(url())).startsWith(cacheDirectory));
    } finally {
      if (before === undefined) delete process.env.TERNION_CACHE;
      else process.env.TERNION_CACHE = before;
    }
  });
});
