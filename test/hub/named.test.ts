/** Models by name, against a server that answers as Hugging Face does: what is chosen, fetched, kept, found offline. */
import assert from "node:assert/strict";
import { readdir, readFile, rename, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { pullModel, viewRepository } from "../../src/hub/named.js";
import { formatName, KNOWN_MODELS, parseName } from "../../src/hub/names.js";
import { download } from "../../src/hub/pull.js";
import { HubSite } from "./hub-site.js";
import { modelOf, namesIn, rejectsWith, Sites, until } from "./server.js";

const REPOSITORY = "org/repo";
const NEW_COMMIT = "fedcba9876543210fedcba9876543210fedcba98";
const DIRECTORY = {
  "README.md": Buffer.from("# model"),
  "config.json": Buffer.from('{"model_type":"llama"}'),
  "tokenizer.json": Buffer.from("{}"),
  "model.safetensors.index.json": Buffer.from("{}"),
  "model-00001-of-00002.safetensors": Buffer.alloc(5000, 1),
  "model-00002-of-00002.safetensors": Buffer.alloc(3000, 2),
  "consolidated.safetensors": Buffer.alloc(9000, 3),
  "original/config.json": Buffer.from("{}"),
};

describe("models by name", () => {
  const sites = new Sites();
  const hub = new HubSite();
  let folder: string;
  const get = (name: string) => hub.with(folder, () => download(name, { retries: 0 }));
  const pull = (name: string) => hub.with(folder, () => pullModel(name, { retries: 0 }));

  before(() => hub.open(sites));
  after(() => sites.close());
  beforeEach(async () => {
    hub.clear();
    folder = join(await sites.folder(), "models");
  });

  it("are fetched by repository, found by it without a server, and share the copy of their URL", async () => {
    const model = modelOf(50_000);
    hub.put(REPOSITORY, { "README.md": Buffer.from("#"), "m-Q8_0.gguf": model });
    const path = await get("hf:org/repo");
    assert.ok((await readFile(path)).equals(model));
    assert.deepEqual(hub.asked(), ["api", "m-Q8_0.gguf"]);
    assert.match(hub.site.requests[1].url ?? "", /\/resolve\/0123456789abcdef/, "at the commit that was listed");
    hub.clear(); // the server has nothing any more
    for (const name of ["hf:org/repo", "hf:org/repo:m-Q8_0.gguf", "hf:org/repo@main"]) {
      assert.equal(await get(name), path, name);
    }
    assert.equal(await get("https://huggingface.co/org/repo/blob/main/m-Q8_0.gguf"), path);
    assert.deepEqual(hub.asked(), []);
  });

  it("of a repository with several GGUFs are those of the fastest ternary type", async () => {
    const files = (...names: string[]) =>
      Object.fromEntries(names.map((name, i) => [name, modelOf(1000 + i, i)] as const));
    const chosen = async (...names: string[]) => {
      hub.put(REPOSITORY, files(...names));
      return (await hub.with(folder, () => viewRepository(REPOSITORY))).chosen;
    };
    assert.deepEqual(await chosen("m-F16.gguf", "m-TQ2_0.gguf", "ggml-model-i2_s.gguf"), ["ggml-model-i2_s.gguf"]);
    assert.deepEqual(await chosen("m-F16.gguf", "m-TQ1_0.gguf", "m-TQ2_0.gguf"), ["m-TQ2_0.gguf"]);
    assert.deepEqual(await chosen("B-F16.gguf", "B-Q2_0.gguf", "B-Q2_0_g64.gguf", "B-PQ2_0.gguf"), ["B-Q2_0.gguf"]);
    assert.deepEqual(await chosen("mmproj-F16.gguf", "sub/only.gguf"), ["sub/only.gguf"]);
    const parts = ["m-i2_s-00001-of-00002.gguf", "m-i2_s-00002-of-00002.gguf"];
    assert.deepEqual(await chosen("m-F16.gguf", ...parts), parts);
    assert.deepEqual(await chosen("a-Q8_0.gguf", "b-Q4_K_M.gguf"), []);
    await rejectsWith(
      get("hf:org/repo"),
      /^hf:org\/repo: expected one GGUF, .* a-Q8_0\.gguf \(0\.0 MB\), b-Q4_K_M\.gguf .*Name one, as in hf:org\/repo:a-Q8_0\.gguf/,
    );
    assert.equal(basename(await get("hf:org/repo:b-Q4_K_M.gguf")).slice(13), "b-Q4_K_M.gguf");
    await rejectsWith(get("hf:org/repo:c.gguf"), /c\.gguf, which it does not have\. It has a-Q8_0\.gguf/);
  });

  it("of a tag or commit are kept apart", async () => {
    hub.put(REPOSITORY, { "m.gguf": modelOf(2000, 1) });
    hub.put(REPOSITORY, { "m.gguf": modelOf(2000, 2) }, { commit: NEW_COMMIT, revision: "refs/pr/1" });
    const [first, second] = [await get("hf:org/repo"), await get("hf:org/repo@refs/pr/1:m.gguf")];
    assert.notEqual(first, second);
    assert.ok((await readFile(second)).equals(modelOf(2000, 2)));
    await rejectsWith(get("hf:org/repo@v2"), /^https:\/\/huggingface\.co\/org\/repo: got 404: there is no such/);
  });

  it("are brought up to date by a pull, and downloaded once", async () => {
    hub.put(REPOSITORY, { "m.gguf": modelOf(2000, 1) });
    const first = await pull(REPOSITORY);
    assert.deepEqual([first.isNew, first.name, first.bytes], [true, "hf:org/repo", 2000]);
    assert.equal((await pull(REPOSITORY)).isNew, false);
    hub.put(REPOSITORY, { "m.gguf": modelOf(2000, 2) }, { commit: NEW_COMMIT });
    assert.ok((await readFile(await get("hf:org/repo"))).equals(modelOf(2000, 1)), "as it was until a pull");
    const second = await pull(REPOSITORY);
    assert.deepEqual([second.isNew, second.path, second.commit], [true, first.path, NEW_COMMIT]);
    assert.ok((await readFile(second.path)).equals(modelOf(2000, 2)));
  });

  it("that came by their URL are not downloaded again, if their bytes are right", async () => {
    hub.put(REPOSITORY, { "m.gguf": modelOf(2000, 1) });
    const path = await get("https://huggingface.co/org/repo/resolve/main/m.gguf");
    assert.equal((await pull(REPOSITORY)).isNew, false);
    await Promise.all([writeFile(path, modelOf(2000, 3)), rename(`${path}.json`, `${path}.old`)]);
    assert.equal((await pull(REPOSITORY)).isNew, true);
    assert.ok((await readFile(path)).equals(modelOf(2000, 1)));
  });

  it("go on where they were interrupted, and hold to the checksum of the list", async () => {
    const model = modelOf(300_000);
    hub.put(REPOSITORY, { "m.gguf": model });
    hub.instead = ({ url = "" }, response) => {
      if (url.startsWith("/api/") || hub.asked().length > 2) return false;
      response.writeHead(200, { "content-length": model.length, etag: '"v1"' });
      response.write(model.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 20));
      return true;
    };
    await rejectsWith(get("hf:org/repo"), /Check the connection/);
    assert.deepEqual(await namesIn(folder), ["m.gguf.part", "m.gguf.part.json"]);
    hub.instead = ({ url = "", headers }, response) => {
      if (url.startsWith("/api/")) return false;
      const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? "")?.[1]);
      response.writeHead(206, {
        "content-range": `bytes ${from}-${model.length - 1}/${model.length}`,
        etag: '"v1"',
      });
      response.end(model.subarray(from));
      return true;
    };
    const path = await get("hf:org/repo");
    assert.match(hub.site.requests.at(-1)?.headers.range ?? "", /^bytes=[1-9]\d+-$/);
    assert.ok((await readFile(path)).equals(model));
    hub.put("org/other", { "m.gguf": model });
    hub.instead = ({ url = "" }, response) => {
      if (!url.startsWith("/api/")) response.end(Buffer.from(model).fill(9, 200_000, 200_001));
      return !url.startsWith("/api/");
    };
    await rejectsWith(get("hf:org/other"), /expected the SHA-256 [0-9a-f]{64} that the server says, got/);
    hub.instead = ({ url = "" }, response) => {
      if (!url.startsWith("/api/")) response.end(modelOf(200_000));
      return !url.startsWith("/api/");
    };
    await rejectsWith(get("hf:org/other"), /expected 300000 bytes, as listed, got 200000/);
  });

  it("without a GGUF become a folder, whole or not there", async () => {
    hub.put(REPOSITORY, DIRECTORY);
    hub.instead = ({ url = "" }, response) => {
      if (!url.endsWith("00002-of-00002.safetensors")) return false;
      response.writeHead(403).end();
      return true;
    };
    await rejectsWith(get("hf:org/repo"), /got 403 Forbidden\. The model is gated or private/);
    hub.instead = () => false;
    hub.site.requests.length = 0;
    const path = await get("hf:org/repo");
    assert.deepEqual(hub.asked(), ["api", "model-00002-of-00002.safetensors"], "what was there already is kept");
    assert.match(basename(path), /^[0-9a-f]{12}-repo$/);
    const names = Object.keys(DIRECTORY).filter((name) => !/README|consolidated|original/.test(name));
    assert.deepEqual((await readdir(path)).sort(), names.sort());
    for (const name of names) {
      assert.ok((await readFile(join(path, name))).equals(DIRECTORY[name as keyof typeof DIRECTORY]), name);
    }
    hub.clear();
    assert.equal(await get("hf:org/repo"), path);
    await writeFile(join(path, "tokenizer.json"), "cut");
    hub.put(REPOSITORY, DIRECTORY);
    assert.equal(await get("hf:org/repo"), path);
    assert.equal(await readFile(join(path, "tokenizer.json"), "utf8"), "{}");
    hub.put("org/none", { "README.md": Buffer.from("#"), "pytorch_model.bin": Buffer.alloc(10) });
    await rejectsWith(get("hf:org/none"), /expected a GGUF, or config\.json with safetensors, got README\.md, pytorch/);
  });

  it("of small files hold to git's checksum", async () => {
    hub.put(REPOSITORY, DIRECTORY);
    hub.instead = ({ url = "" }, response) => {
      if (!url.endsWith("/tokenizer.json")) return false;
      response.end("[]");
      return true;
    };
    await rejectsWith(get("hf:org/repo"), /tokenizer\.json: expected the git object id [0-9a-f]{40} that/);
  });

  it("that are gated, missing or not listed are one clear error", async () => {
    for (const status of [401, 403]) {
      hub.instead = (_, response) => Boolean(response.writeHead(status).end());
      await rejectsWith(get("hf:org/repo"), new RegExp(`^https://huggingface.co/org/repo: .*${status}.*set HF_TOKEN`));
    }
    hub.instead = () => false;
    await rejectsWith(get("hf:org/repo"), /no such repository or revision\. Check the name/);
    for (const body of ["<html>", "{}", '{"sha":"x","siblings":[]}', `{"sha":"${NEW_COMMIT}","siblings":[{}]}`]) {
      hub.instead = (_, response) => Boolean(response.end(body));
      await rejectsWith(get("hf:org/repo"), /expected the API's list of files of hf:org\/repo, got/);
    }
    assert.deepEqual(await readdir(dirname(folder)), [], "nothing was made");
  });

  it("end with their signal", async () => {
    hub.put(REPOSITORY, { "m.gguf": modelOf(100_000) });
    hub.instead = ({ url = "" }) => !url.startsWith("/api/"); // never answers
    const controller = new AbortController();
    const reason = new Error("enough");
    const end = hub.with(folder, () => download("hf:org/repo", { signal: controller.signal }));
    const ended = assert.rejects(end, reason);
    await until(() => (hub.asked().length === 2 ? true : undefined));
    controller.abort(reason);
    await ended;
  });

  it("with odd characters stay in the cache", async () => {
    const odd = "w eird/ü (1) %2e%2e ..gguf.gguf";
    hub.put(REPOSITORY, { [odd]: modelOf(3000), "../../up.gguf": modelOf(40), "a\\..\\b.gguf": modelOf(40) });
    const path = await get("hf:org/repo");
    assert.equal(dirname(path), folder);
    assert.ok((await readFile(path)).equals(modelOf(3000)));
    assert.equal(await get(`hf:org/repo:${odd}`), path);
    assert.deepEqual(await readdir(dirname(folder)), ["models"]);
  });
});

describe("names of models", () => {
  it("have parts", () => {
    const parts = { repository: "org/re.po-1", revision: "v1/x", file: "a b/m@1:2.gguf" };
    assert.deepEqual(parseName("hf:org/re.po-1@v1/x:a b/m@1:2.gguf"), parts);
    assert.equal(formatName(parts), "hf:org/re.po-1@v1/x:a b/m@1:2.gguf");
    assert.deepEqual(parseName("org/repo"), { repository: "org/repo", revision: "main" });
    for (const { name, model } of KNOWN_MODELS) assert.equal(formatName(parseName(name)), model);
  });

  const WRONG = [
    ..."hf: hf:repo repo hf:org/ hf:/repo hf:../.. hf:org/.. hf:org/.repo hf:org/repo/more hf:org/repo@".split(" "),
    ..."hf:org/repo: hf:org/repo@../x hf:org/repo@a//b hf:org/repo:x.bin hf:org/repo:../x.gguf".split(" "),
    ..."hf:org/repo:a/../x.gguf hf:org/repo:/x.gguf hf:org/repo:a\\x.gguf hf:org/re\u0000po hf:o%2e/repo".split(" "),
    "hf:org/repo:\n.gguf",
    "hf:org /repo",
    "hf:org/repo@a b",
  ];
  for (const name of WRONG) {
    it(`are not ${JSON.stringify(name)}`, () => {
      assert.throws(() => parseName(name), { name: "RangeError", message: /^model name: expected / });
    });
  }
});
