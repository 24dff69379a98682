/** What passes is tried again, as often and as late as is sensible; what does not ends at once with what to do. */
import assert from "node:assert/strict";
import { readdir, readFile, stat } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { download } from "../../src/hub/pull.js";
import { retryAfter } from "../../src/hub/refusal.js";
import { modelOf, namesIn, rejectsWith, type Site, Sites, until } from "./server.js";

const model = modelOf(100_000);

describe("retries of downloads", () => {
  const sites = new Sites();
  let site: Site;
  let folder: string;
  let answer: (request: IncomingMessage, response: ServerResponse, nth: number) => void;
  const get = (options = {}) => download(`${site.origin}/model.gguf`, { cacheDirectory: folder, ...options });
  /** of the file that is on its way */
  const bytesHere = async () => {
    const part = (await readdir(folder)).find((name) => name.endsWith(".part"));
    return part === undefined ? 0 : (await stat(join(folder, part))).size;
  };
  const whole = (response: ServerResponse) => {
    response.setHeader("content-length", model.length);
    response.end(model);
  };

  before(async () => {
    site = await sites.serve((request, response) => answer(request, response, site.requests.length));
  });
  after(() => sites.close());
  beforeEach(async () => {
    site.requests.length = 0;
    folder = await sites.folder();
  });

  it("ask again when the server is busy, as soon as it says", async () => {
    const busy = [429, 503, 500, 502, 504, 408];
    answer = (_, response, nth) => {
      const status = busy[nth - 1];
      if (status === undefined) return whole(response);
      const wait = nth % 2 === 0 ? "0" : new Date(Date.now() - 1000).toUTCString();
      response.writeHead(status, { "retry-after": wait }).end("busy");
    };
    assert.ok((await readFile(await get({ retries: 6 }))).equals(model));
    assert.equal(site.requests.length, 7);
  });

  it("understand seconds and dates", () => {
    assert.equal(retryAfter("120"), 120_000);
    const wait = retryAfter(new Date(Date.now() + 90_000).toUTCString());
    assert.ok(wait !== undefined && wait > 80_000 && wait <= 90_000, String(wait));
    assert.equal(retryAfter("soon"), undefined);
    assert.equal(retryAfter(undefined), undefined);
  });

  it("end after so many tries", async () => {
    answer = (_, response) => response.writeHead(503, { "retry-after": "0" }).end();
    await rejectsWith(
      get({ retries: 2 }),
      /expected status 200, got 503 Service Unavailable, in 3 tries\. Check the conn/,
    );
    assert.equal(site.requests.length, 3);
    assert.deepEqual(await namesIn(folder), []);
  });

  it("wait for no server that asks for more than minutes", async () => {
    answer = (_, response) => response.writeHead(429, { "retry-after": "3600" }).end();
    await rejectsWith(get(), /got 429 Too Many Requests\. The server wants to be asked again in 3600 s/);
    assert.equal(site.requests.length, 1);
  });

  it("obey the abort signal while they wait", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    answer = (_, response) => {
      response.writeHead(429, { "retry-after": "100" }).end();
      response.on("close", () => setTimeout(() => controller.abort(reason), 20));
    };
    await assert.rejects(get({ signal: controller.signal }), reason);
    assert.equal(site.requests.length, 1);
    assert.deepEqual(await namesIn(folder), []);
  });

  it("obey the abort signal before an answer comes, and amid a body", async () => {
    for (const start of [() => {}, (response: ServerResponse) => response.write(model.subarray(0, 5000))]) {
      const controller = new AbortController();
      const reason = new Error("enough");
      answer = (_, response) => {
        start(response);
        setTimeout(() => controller.abort(reason), 50);
      };
      await assert.rejects(get({ signal: controller.signal }), reason);
    }
  });

  it("go on after connections that are reset, before and after the answer began", async () => {
    answer = ({ headers: { range } }, response, nth) => {
      const start = Number(/\d+/.exec(range ?? "")?.[0] ?? 0);
      if (nth === 1) return void response.socket?.resetAndDestroy();
      response.setHeader("etag", '"one"');
      response.setHeader("content-length", model.length - start);
      if (range !== undefined)
        response.setHeader("content-range", `bytes ${start}-${model.length - 1}/${model.length}`);
      response.writeHead(range === undefined ? 200 : 206);
      if (nth === 4) return void response.end(model.subarray(start));
      const piece = model.subarray(start, start + 40_000);
      response.write(piece);
      // a reset drops what the system has not handed out
      void until(async () => ((await bytesHere()) === start + piece.length ? true : undefined)).then(() =>
        response.socket?.resetAndDestroy(),
      );
    };
    assert.ok((await readFile(await get({ retries: 3 }))).equals(model));
    assert.deepEqual(
      site.requests.map(({ headers }) => headers.range),
      [undefined, undefined, "bytes=40000-", "bytes=80000-"],
    );
  });

  it("end a silence, before the answer and amid a body, with what arrived kept", async () => {
    answer = () => {};
    await rejectsWith(get({ idleTimeout: 50, retries: 0 }), /nothing came for 0\.05 s\. Check the connection/);
    answer = (_, response) => {
      response.writeHead(200, { etag: '"one"', "content-length": model.length });
      response.write(model.subarray(0, 5000));
    };
    await rejectsWith(get({ idleTimeout: 200, retries: 0 }), /nothing came for 0\.2 s/);
    assert.deepEqual(await namesIn(folder), ["model.gguf.part", "model.gguf.part.json"]);
  });

  it("do not take a slow server for a silent one", async () => {
    answer = (_, response) => {
      response.writeHead(200, { "content-length": model.length });
      let at = 0;
      const timer = setInterval(() => {
        if (at < model.length) response.write(model.subarray(at, at + 10_000));
        else response.end(() => clearInterval(timer));
        at += 10_000;
      }, 60);
    };
    assert.ok((await readFile(await get({ idleTimeout: 500, retries: 0 }))).equals(model));
  });

  it("are not made where they change nothing", async () => {
    const advice: Readonly<Record<number, RegExp>> = {
      400: /got 400 Bad Request\. Check the URL\.$/,
      401: /got 401 Unauthorized\. The server wants a login/,
      403: /got 403 Forbidden\. The server wants a login/,
      404: /got 404 Not Found\. Check the URL: there is no such file/,
      204: /got 204 No Content\. Check the URL/,
    };
    for (const [status, message] of Object.entries(advice)) {
      answer = (_, response) => response.writeHead(Number(status)).end();
      site.requests.length = 0;
      await rejectsWith(get(), message);
      assert.equal(site.requests.length, 1);
    }
    await rejectsWith(
      download("http://no-such-host.invalid/a.gguf", { cacheDirectory: folder }),
      /fetch failed: getaddrinfo/,
    );
  });

  it("pass on what a callback throws", async () => {
    answer = (_, response) => whole(response);
    const thrown = new RangeError("of the callback");
    const onProgress = () => {
      throw thrown;
    };
    await assert.rejects(get({ onProgress }), thrown);
    assert.equal(site.requests.length, 1);
  });

  it("follow redirects, but not for ever and not to other protocols", async () => {
    answer = ({ url }, response) => {
      if (url === "/model.gguf") response.writeHead(302, { location: "/b" }).end();
      else if (url === "/b") response.writeHead(307, { location: `${site.origin}/c` }).end();
      else whole(response);
    };
    assert.ok((await readFile(await get())).equals(model));
    folder = await sites.folder();
    answer = (_, response) => response.writeHead(302, { location: "/model.gguf" }).end();
    await rejectsWith(get(), /expected a file, got more than 10 redirects/);
    answer = (_, response) => response.writeHead(302, { location: "file:///etc/passwd" }).end();
    await rejectsWith(get(), /expected a redirect to an http or https address/);
  });
});
