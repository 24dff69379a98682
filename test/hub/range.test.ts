/** Bytes on a server, read by ranges: what the server sends is held to what was asked for. */
import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { after, before, beforeEach, describe, it } from "node:test";
import { httpBytes } from "../../src/hub/range.js";
import { modelOf, rejectsWith, type Site, Sites } from "./server.js";

const SIZE = 10_000;
const BODY = modelOf(SIZE);

/** Answers as a server does that knows ranges. */
export function giveRange(body: Uint8Array, { headers }: IncomingMessage, response: ServerResponse, etag = '"one"') {
  const [first, last] = (/^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "") ?? []).slice(1).map(Number);
  assert.ok(first <= last && last < body.byteLength, `range ${headers.range}`);
  response.writeHead(206, { etag, "content-range": `bytes ${first}-${last}/${body.byteLength}` });
  response.end(body.subarray(first, last + 1));
}

describe("bytes on a server", () => {
  const sites = new Sites();
  let site: Site;
  let answer: (request: IncomingMessage, response: ServerResponse, nth: number) => void;
  before(async () => {
    site = await sites.serve((request, response) => answer(request, response, site.requests.length));
  });
  after(() => sites.close());
  beforeEach(() => {
    site.requests.length = 0;
    answer = (request, response) => giveRange(BODY, request, response);
  });
  const url = () => `${site.origin}/model.gguf?token=secret`;
  const readAt = async (offset: number, length: number) => {
    const into = new Uint8Array(length);
    await (await httpBytes(url(), { retries: 1 })).read(offset, into);
    return Buffer.from(into);
  };

  it("are read where they are asked for, and their size is known", async () => {
    const bytes = await httpBytes(url());
    assert.equal(bytes.size, SIZE);
    assert.equal(bytes.name, `${site.origin}/model.gguf`);
    for (const [offset, length] of [
      [0, 1],
      [17, 4000],
      [SIZE - 5, 5],
    ]) {
      assert.ok((await readAt(offset, length)).equals(BODY.subarray(offset, offset + length)));
    }
  });

  it("are asked for by six requests at the same time, no more", async () => {
    let [now, most] = [0, 0];
    answer = (request, response) => {
      most = Math.max(most, ++now);
      setTimeout(() => {
        now--;
        giveRange(BODY, request, response);
      }, 20);
    };
    const bytes = await httpBytes(url());
    const parts = Array.from({ length: 20 }, () => new Uint8Array(500));
    await Promise.all(parts.map((part, i) => bytes.read(500 * i, part)));
    assert.ok(Buffer.concat(parts).equals(BODY));
    assert.equal(most, 6);
  });

  it("are refused where the server gives whole files only", async () => {
    answer = (_, response) => response.writeHead(200).end(BODY);
    await rejectsWith(
      httpBytes(url()),
      /model\.gguf: expected status 206 to a request for a range, got 200\. The server does not give parts of files: download/,
    );
  });

  it("are refused where there is no such file", async () => {
    answer = (_, response) => response.writeHead(404).end();
    await rejectsWith(
      httpBytes(url()),
      /expected status 206, got 404 Not Found\. Check the URL: there is no such file/,
    );
  });

  it("are refused where the file has changed, or another range comes", async () => {
    answer = (request, response, nth) => giveRange(BODY, request, response, nth === 1 ? '"one"' : '"two"');
    await rejectsWith(readAt(100, 10), /expected the file as it was, got another version\. Load the model again/);
    answer = ({ headers }, response) => {
      const range = headers.range === "bytes=0-0" ? "bytes 0-0" : "bytes 101-110";
      response.writeHead(206, { "content-range": `${range}/${SIZE}` }).end(BODY.subarray(0, 1));
    };
    await rejectsWith(readAt(100, 10), /expected the range 100-109, got bytes 101-110\/10000\. Download the whole/);
  });

  it("are asked for again where the connection breaks, and then given up", async () => {
    const broken = (request: IncomingMessage, response: ServerResponse) => {
      response.writeHead(206, { "content-range": `${request.headers.range?.replace("=", " ")}/${SIZE}` });
      response.write(BODY.subarray(0, 3), () => response.destroy());
    };
    answer = (request, response, nth) =>
      nth === 2 ? broken(request, response) : giveRange(BODY, request, response, "");
    assert.ok((await readAt(0, 100)).equals(BODY.subarray(0, 100)));
    site.requests.length = 0;
    answer = (request, response, nth) => (nth > 1 ? broken(request, response) : giveRange(BODY, request, response, ""));
    await rejectsWith(readAt(0, 100), /other side closed.*\. Check the connection, then try again/);
    assert.equal(site.requests.length, 3);
  });

  it("end with the signal's reason", async () => {
    const controller = new AbortController();
    const bytes = await httpBytes(url(), { signal: controller.signal });
    answer = () => controller.abort(new Error("enough"));
    await assert.rejects(bytes.read(0, new Uint8Array(10)), /enough/);
  });

  it("are of an http or https URL", async () => {
    await assert.rejects(httpBytes("file:///model.gguf"), /^TypeError: url: expected an http: or https: URL/);
  });
});
