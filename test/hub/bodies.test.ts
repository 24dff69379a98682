/** Wrong bodies never become a model: by content, by length, by checksum, by range; and a damaged copy is replaced. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rm, symlink, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { after, before, beforeEach, describe, it } from "node:test";
import { readGguf } from "../../src/engine/input.js";
import { download } from "../../src/hub/pull.js";
import { repositoryFile } from "../golden.js";
import { namesIn, rejectsWith, type Site, Sites } from "./server.js";

const model = await readFile(repositoryFile("test/golden/tiny/model.gguf"));
const sum = createHash("sha256").update(model).digest("hex");
const SIZE = model.byteLength;
const HALF = 300_000;

/** The body without a length, ended by the end of the connection. */
function raw(response: ServerResponse, body: Buffer, ...headers: string[]): void {
  response.socket?.write(["HTTP/1.1 200 OK", "connection: close", ...headers, "", ""].join("\r\n"));
  response.socket?.end(body);
}

describe("bodies of downloads", () => {
  const sites = new Sites();
  let site: Site;
  let folder: string;
  let answer: (request: IncomingMessage, response: ServerResponse, nth: number) => void;
  const get = (options = {}, path = "/model.gguf") =>
    download(`${site.origin}${path}`, { cacheDirectory: folder, retries: 0, ...options });
  const whole = (response: ServerResponse) => {
    response.setHeader("content-length", SIZE);
    response.end(model);
  };
  /** Sends half of the model and breaks off. */
  const half = (response: ServerResponse, etag = '"one"') => {
    response.setHeader("etag", etag);
    response.setHeader("content-length", SIZE);
    response.write(model.subarray(0, HALF), () => response.destroy());
  };
  const rangesAsked = () => site.requests.map(({ headers }) => headers.range);
  const expectModel = async (path: string) => assert.ok((await readFile(path)).equals(model));

  before(async () => {
    site = await sites.serve((request, response) => answer(request, response, site.requests.length));
  });
  after(() => sites.close());
  beforeEach(async () => {
    site.requests.length = 0;
    folder = await sites.folder();
  });

  it("of a web page are refused by their first bytes, with their type and what to do", async () => {
    answer = (_, response) => {
      response.setHeader("content-type", "text/html; charset=utf-8");
      response.write("<!doctype html><title>Log in</title>"); // and never ends
    };
    await rejectsWith(
      get(),
      /expected a GGUF model, got a body of type text\/html; charset=utf-8 that is none \(not a GGUF file: .*\)\. Give the/,
    );
    assert.deepEqual(await namesIn(folder), []);
  });

  it("of another format or a newer version are refused", async () => {
    answer = (_, response) => response.end("PK\x03\x04 an archive");
    await rejectsWith(get(), /got a body that is none \(not a GGUF file/);
    const newer = Buffer.from(model);
    newer.writeUInt32LE(4, 4);
    answer = (_, response) => response.end(newer);
    await rejectsWith(get(), /got a body that is none \(expected GGUF version 2 or 3, got 4/);
    assert.deepEqual(await namesIn(folder), []);
  });

  it("that are empty are refused", async () => {
    for (const headers of [["content-length: 0"], []]) {
      answer = (_, response) => raw(response, Buffer.alloc(0), ...headers);
      await rejectsWith(get(), /expected a GGUF model, got an empty body\. Give the address of the file itself/);
    }
    assert.deepEqual(await namesIn(folder), []);
  });

  it("that are encoded are refused", async () => {
    answer = (_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end("x");
    await rejectsWith(get(), /expected the file as it is, got it encoded \(gzip\)/);
  });

  it("without a length that end too early are refused, and gone on with where the server can", async () => {
    answer = (_, response) => raw(response, model.subarray(0, HALF));
    await rejectsWith(get(), /the body was cut: tensor ".*" ends at byte \d+, but the file has 300000/);
    assert.deepEqual(await namesIn(folder), []);
    answer = ({ headers }, response, nth) => {
      if (nth === 2) return raw(response, model.subarray(0, HALF), 'etag: "one"');
      assert.equal(headers.range, `bytes=${HALF}-`);
      response.writeHead(206, { etag: '"one"', "content-range": `bytes ${HALF}-${SIZE - 1}/${SIZE}` });
      response.end(model.subarray(HALF));
    };
    await expectModel(await get({ retries: 1 }));
  });

  it("cut before the head's end are seen without any length", async () => {
    answer = (_, response) => raw(response, model.subarray(0, 5000));
    await rejectsWith(get(), /the body was cut: /);
    assert.deepEqual(await namesIn(folder), []);
  });

  const wrongParts: Readonly<Record<string, Record<string, string>>> = {
    "another size of the whole": { "content-range": `bytes ${HALF}-${SIZE}/${SIZE + 1}` },
    "another beginning": { "content-range": `bytes ${HALF - 10}-${SIZE - 1}/${SIZE}` },
    "an end before the end": { "content-range": `bytes ${HALF}-${SIZE - 11}/${SIZE}` },
    "a length that is not that of the range": {
      "content-range": `bytes ${HALF}-${SIZE - 1}/${SIZE}`,
      "content-length": "10",
    },
    "another version": { etag: '"two"', "content-range": `bytes ${HALF}-${SIZE - 1}/${SIZE}` },
    "no version": { etag: "", "content-range": `bytes ${HALF}-${SIZE - 1}/${SIZE}` },
    "no range": {},
  };
  for (const [what, headers] of Object.entries(wrongParts)) {
    it(`that go on with ${what} are not taken: the file is asked for from its beginning`, async () => {
      answer = ({ headers: { range } }, response, nth) => {
        if (nth === 1) return half(response);
        if (range === undefined) return whole(response);
        response.writeHead(206, { etag: '"one"', ...headers });
        response.end(Buffer.alloc(SIZE - HALF, 7));
      };
      await expectModel(await get({ retries: 1 }));
      assert.deepEqual(rangesAsked(), [undefined, `bytes=${HALF}-`, undefined]);
    });
  }

  it("that cannot go on (416) are asked for from the beginning", async () => {
    answer = ({ headers: { range } }, response, nth) => {
      if (nth === 1) return half(response);
      if (range === undefined) return whole(response);
      response.writeHead(416, { "content-range": `bytes */${HALF}` }).end();
    };
    await expectModel(await get({ retries: 1 }));
    assert.deepEqual(rangesAsked(), [undefined, `bytes=${HALF}-`, undefined]);
  });

  it("that begin again, as the server knows no ranges, replace what is here", async () => {
    answer = (_, response, nth) => (nth === 1 ? half(response) : whole(response));
    await expectModel(await get({ retries: 1 }));
    assert.deepEqual(rangesAsked(), [undefined, `bytes=${HALF}-`]);
  });

  it("are compared with a checksum in the entity tag, over a cut too", async () => {
    const damaged = Buffer.from(model);
    damaged[SIZE - 5000] ^= 1;
    let bytes = damaged;
    answer = ({ headers: { range } }, response, nth) => {
      const start = range === undefined ? 0 : HALF;
      response.setHeader("etag", `"${sum}"`);
      response.setHeader("content-length", SIZE - start);
      if (start > 0) response.setHeader("content-range", `bytes ${start}-${SIZE - 1}/${SIZE}`);
      response.writeHead(start > 0 ? 206 : 200);
      if (nth % 2 === 1) response.write(bytes.subarray(0, HALF), () => response.destroy());
      else response.end(bytes.subarray(start));
    };
    await rejectsWith(
      get({ retries: 1 }),
      new RegExp(`expected the SHA-256 ${sum} .*, got [0-9a-f]{64}\\. The bytes were`),
    );
    assert.deepEqual(await namesIn(folder), []);
    bytes = model;
    await expectModel(await get({ retries: 1 }));
    assert.deepEqual(rangesAsked(), [undefined, `bytes=${HALF}-`, undefined, `bytes=${HALF}-`]);
  });

  it("are not taken for what the disk holds since: a damaged copy is fetched anew, once", async () => {
    answer = (_, response) => whole(response);
    const path = await get();
    for (const damage of ["", "<html>", model.subarray(0, HALF)]) {
      await writeFile(path, damage);
      site.requests.length = 0;
      assert.equal(await get(), path);
      await expectModel(path);
      await get();
      assert.equal(site.requests.length, 1);
    }
    await writeFile(path, "<html>");
    answer = (_, response) => response.end("<html>");
    site.requests.length = 0;
    await rejectsWith(get(), /got a body that is none/);
    assert.equal(site.requests.length, 1);
  });

  it("larger than the disk are refused before they come", async () => {
    answer = (_, response) => {
      response.writeHead(200, { "content-length": 2 ** 52 });
      response.write(model);
    };
    await rejectsWith(
      get(),
      /no space in .*: needs 4503599627370496 bytes more, \d+ are free\. Free some there, or set/,
    );
  });

  it("that fill the disk end with what to do", { skip: !existsSync("/dev/full") && "no /dev/full here" }, async () => {
    answer = (_, response) => whole(response);
    const path = await get();
    await symlink("/dev/full", `${path}.part`); // the kernel's own ENOSPC
    await rm(path);
    await rejectsWith(get(), /no space in .*: ENOSPC: .*\. Free some there, or set TERNION_CACHE/);
  });

  it("of different addresses with one name have each a file; queries and passwords are in no name and no message", async () => {
    answer = (_, response) => whole(response);
    const names = ["/a/model.gguf", "/b/model.gguf", "/a/model.gguf?v=secret1", "/a/model.gguf?v=secret2"];
    const paths = await Promise.all(names.map((name) => get({}, name)));
    assert.equal(new Set(paths).size, 4);
    assert.doesNotMatch(paths.join(), /secret/);
    const secret = `${site.origin.replace("//", "//user:secret%40@")}/c/model.gguf?v=secret#secret`;
    const path = await download(secret, { cacheDirectory: folder });
    assert.equal(
      site.requests.at(-1)?.headers.authorization,
      `Basic ${Buffer.from("user:secret@").toString("base64")}`,
    );
    assert.doesNotMatch(path, /secret/);
    answer = (_, response) => response.writeHead(401).end();
    const error = await rejectsWith(
      download(secret.replace("/c/", "/d/"), { cacheDirectory: folder }),
      /\/d\/model\.gguf: expected status 200, got 401 .*does not take the user and password/,
    );
    assert.doesNotMatch(`${error.message} ${error.stack} ${String(error.cause)}`, /secret/);
    await assert.rejects(download("http://user:secret@:x/a.gguf"), (error: TypeError) => {
      assert.doesNotMatch(error.message, /secret/);
      return error instanceof TypeError;
    });
  });

  it("have names that file systems take, however long the address", async () => {
    answer = (_, response) => whole(response);
    const path = await get({}, `/${"long".repeat(100)}-end.gguf`);
    assert.match(path, /long-end\.gguf$/);
    assert.equal((await readGguf(path)).byteLength, SIZE);
  });
});
