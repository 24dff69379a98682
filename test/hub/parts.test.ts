/** Split models by URL: whichever part is given, all are fetched, and found together. */
import assert from "node:assert/strict";
import { readdir, readFile, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { readGguf } from "../../src/engine/input.js";
import { download } from "../../src/hub/pull.js";
import { Engine } from "../../src/index.js";
import { repositoryFile } from "../golden.js";
import { splitModel } from "../splits.js";
import { namesIn, rejectsWith, type Site, Sites } from "./server.js";

const TINY = repositoryFile("test/golden/tiny/model.gguf");

describe("split models by URL", () => {
  const sites = new Sites();
  let site: Site;
  let parts: string[];
  let folder: string;
  const url = (number: number) => `${site.origin}/repo/${basename(parts[number - 1])}?v=1`;
  const names = () => site.requests.map(({ method, url = "" }) => `${method} ${/-0000(\d)-of/.exec(url)?.[1]}`);

  before(async () => {
    const source = await sites.folder();
    parts = await splitModel(TINY, source);
    site = await sites.serve(async ({ url = "", method }, response) => {
      const body = await readFile(join(source, basename(new URL(url, "http://x").pathname))).catch(() => undefined);
      if (body === undefined) return void response.writeHead(404).end();
      response.setHeader("content-length", body.byteLength);
      response.end(method === "HEAD" ? undefined : body);
    });
  });
  after(() => sites.close());
  beforeEach(async () => {
    site.requests.length = 0;
    folder = await sites.folder();
  });

  it("are fetched whole, whichever part is given, and compute what the whole file does", async () => {
    const path = await download(url(2), { cacheDirectory: folder });
    assert.equal(await download(url(1), { cacheDirectory: folder }), path);
    assert.deepEqual(names(), ["GET 1", "GET 2", "GET 3"]);
    assert.deepEqual(
      await namesIn(folder),
      parts.map((part) => basename(part)),
    );
    const [whole, joined] = [await readGguf(TINY), await readGguf(path)];
    assert.deepEqual([...joined.tensors.keys()], [...whole.tensors.keys()]);
    const logits = async (model: string) => {
      await using engine = await Engine.load(model, { backend: "cpu", threads: 2, contextLength: 32 });
      return (await engine.trace([1, 2, 3])).get("logits")?.data;
    };
    assert.deepEqual(await logits(path), await logits(TINY));
  });

  it("tell progress over all parts", async () => {
    const steps: number[][] = [];
    const onProgress = (...step: number[]) => steps.push(step);
    const path = await download(url(1), { cacheDirectory: folder, onProgress });
    const { byteLength } = await readGguf(path);
    assert.deepEqual(steps.at(-1), [byteLength, byteLength]);
    const loaded = steps.map(([bytes]) => bytes);
    assert.deepEqual(
      loaded,
      [...loaded].sort((a, b) => a - b),
    );
  });

  it("fetch again only the part that is missing", async () => {
    const path = await download(url(1), { cacheDirectory: folder });
    const names2 = (await readdir(dirname(path))).filter((name) => name.includes("-00002-"));
    await rm(join(folder, names2[0]));
    site.requests.length = 0;
    await download(url(3), { cacheDirectory: folder });
    assert.deepEqual(names(), ["GET 2"]);
  });

  it("name the part that the server does not have", async () => {
    await rm(parts[2]);
    await rejectsWith(
      download(url(1), { cacheDirectory: folder }),
      /model-00003-of-00003\.gguf: expected status 200, got 404 Not Found\. Check the URL: there is no such file/,
    );
  });
});
