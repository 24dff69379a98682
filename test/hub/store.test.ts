/** What the cache holds: listed, found by any of its names, deleted with all that belongs to it and nothing else. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, beforeEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { addressOf, cacheName } from "../../src/hub/address.js";
import { locked } from "../../src/hub/lock.js";
import { pullModel } from "../../src/hub/named.js";
import { download } from "../../src/hub/pull.js";
import { cachedModel, cachedModels, removeModel } from "../../src/hub/store.js";
import { HubSite } from "./hub-site.js";
import { modelOf, rejectsWith, Sites } from "./server.js";

const DIRECTORY = { "config.json": Buffer.from("{}"), "model.safetensors": Buffer.alloc(3000, 1) };

describe("the models of the cache", () => {
  const sites = new Sites();
  const hub = new HubSite();
  let folder: string;
  const pull = (name: string) => hub.with(folder, () => pullModel(name, { retries: 0 }));
  const list = () => cachedModels({ cacheDirectory: folder });
  const remove = (name: string) => hub.with(folder, () => removeModel(name));

  before(() => hub.open(sites));
  after(() => sites.close());
  beforeEach(async () => {
    hub.clear();
    folder = await sites.folder();
  });

  it("are listed by the names that load them", async () => {
    const url = `${hub.site.origin}/org/url/resolve/main/u.gguf`;
    hub.put("org/url", { "u.gguf": modelOf(700) });
    hub.put("org/many", { "a-i2_s.gguf": modelOf(1000), "b.gguf": modelOf(2000) });
    hub.put("org/directory", DIRECTORY);
    assert.deepEqual(await cachedModels({ cacheDirectory: join(folder, "nowhere") }), []);
    const [many, b, directory] = [await pull("org/many"), await pull("org/many:b.gguf"), await pull("org/directory")];
    const fromUrl = await hub.with(folder, () => download(url));
    await mkdir(join(folder, "v8-flags"));
    await writeFile(join(folder, "mine.txt"), "x");
    await writeFile(join(folder, "0123456789ab-cut.gguf.part"), "GGUF");
    const rows = (await list()).map(({ name, path, bytes, isWhole }) => [name, path, bytes, isWhole]);
    assert.deepEqual(
      rows.sort((x, y) => Number(x[2]) - Number(y[2])),
      [
        [join(folder, "0123456789ab-cut.gguf"), join(folder, "0123456789ab-cut.gguf"), 4, false],
        [fromUrl, fromUrl, 700, true],
        ["hf:org/many", many.path, 1000, true],
        ["hf:org/many:b.gguf", b.path, 2000, true],
        ["hf:org/directory", directory.path, 3002, true],
      ],
    );
  });

  it("are found and deleted by name, file, path or URL", async () => {
    hub.put("org/many", { "a-i2_s.gguf": modelOf(1000), "b.gguf": modelOf(2000) });
    const { path } = await pull("org/many");
    const file = path.slice(folder.length + 1);
    const url = "https://huggingface.co/org/many/resolve/main/a-i2_s.gguf";
    for (const name of ["org/many", "hf:org/many", "org/many@main:a-i2_s.gguf", file, path, url]) {
      await pull("org/many");
      assert.equal((await hub.with(folder, () => cachedModel(name)))?.path, path, name);
      await remove(name);
      assert.deepEqual(await readdir(folder), [], name);
    }
  });

  it("are deleted whole: parts, folders, what is unfinished, and no file of others", async () => {
    const head = await readFile(fileURLToPath(new URL("../../../test/golden/tiny/model.gguf", import.meta.url)));
    hub.put("org/split", { "m-00001-of-00002.gguf": head, "m-00002-of-00002.gguf": head });
    hub.put("org/directory", DIRECTORY);
    await writeFile(join(folder, "mine.txt"), "x");
    await pull("org/split");
    const { path } = await pull("org/directory");
    await writeFile(join(path, "model.safetensors.part"), "x");
    assert.equal((await readdir(folder)).length, 6);
    await remove("org/split");
    await remove("org/directory");
    assert.deepEqual(await readdir(folder), ["mine.txt"]);
  });

  it("are not deleted by another name, nor while they are downloaded", async () => {
    hub.put("org/repo", { "m.gguf": modelOf(1000) });
    const { path } = await pull("org/repo");
    await writeFile(join(folder, "mine.gguf"), "x");
    const outside = join(folder, "..", "ternion-hub-none.gguf");
    for (const name of [
      "org/other",
      "mine.gguf",
      join(folder, "mine.gguf"),
      "../x.gguf",
      outside,
      ".",
      folder,
      "hf:..",
    ]) {
      await rejectsWith(remove(name), /expected a model of the cache, got none of that name/);
    }
    const busy = locked(path, { signal: undefined, onWait: async () => {} }, () =>
      rejectsWith(remove("org/repo"), /another process downloads it/),
    );
    await busy;
    assert.ok(await stat(path));
  });

  it("are listed, whatever a record says", async () => {
    const url = new URL("https://huggingface.co/org/repo/resolve/main/m.gguf");
    const path = join(folder, cacheName(addressOf(url)));
    const sound = {
      repository: "org/repo",
      revision: "main",
      commit: "c",
      files: [],
      isDefault: true,
      pulledAt: "2026",
    };
    for (const record of ["", "null", "[]", "{", '{"repository":1}', JSON.stringify({ ...sound, files: [null] })]) {
      await writeFile(path, modelOf(500));
      await writeFile(`${path}.json`, record);
      assert.deepEqual(
        (await list()).map(({ name }) => name),
        [path],
        record,
      );
    }
    await writeFile(`${path}.json`, JSON.stringify({ ...sound, file: "../../../etc/x.gguf" }));
    await remove("org/repo");
    assert.deepEqual(await readdir(folder), []);
  });

  it("are downloaded once by four processes that want one name at the same time", async () => {
    hub.put("org/repo", DIRECTORY);
    hub.put("org/model", { "m.gguf": modelOf(300_000) });
    const script = fileURLToPath(new URL("./processes.js", import.meta.url));
    const env = { ...process.env, ...hub.environment(folder) } as NodeJS.ProcessEnv;
    const children = Array.from({ length: 4 }, () => spawn(process.execPath, [script], { env }));
    const lines = children.map(({ stdout }) => createInterface({ input: stdout })[Symbol.asyncIterator]());
    for (const url of ["hf:org/repo", "hf:org/model"]) {
      hub.site.requests.length = 0;
      for (const { stdin } of children) stdin.write(`${JSON.stringify({ url, cacheDirectory: folder })}\n`);
      const answers = await Promise.all(lines.map(async (line) => JSON.parse((await line.next()).value)));
      assert.equal(new Set(answers.map(({ path }) => path)).size, 1, JSON.stringify(answers));
      const files = hub.asked().filter((path) => path !== "api");
      assert.equal(files.length, new Set(files).size, `each once: ${files}`);
    }
    for (const { stdin } of children) stdin.end();
  });
});
