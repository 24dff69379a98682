/** `ternion pull`, `list`, `show` and `rm`, and models by name in other commands, against a server of this process. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { after, before, describe, it } from "node:test";
import { HubSite } from "../hub/hub-site.js";
import { Sites } from "../hub/server.js";
import { TINY, ternion } from "./program.js";

describe("ternion's commands for models by name", () => {
  const sites = new Sites();
  const hub = new HubSite();
  let env: Record<string, string>;
  let folder: string;
  const run = (...args: string[]) => ternion(args, "", env);

  before(async () => {
    await hub.open(sites);
    folder = await sites.folder();
    env = { HF_ENDPOINT: hub.site.origin, TERNION_CACHE: folder, HF_HOME: folder };
    hub.put("org/repo", { "README.md": Buffer.from("#"), "tiny-i2_s.gguf": await readFile(TINY) });
  });
  after(() => sites.close());

  it("show what a repository has, and fetch it", async () => {
    const shown = await run("show", "org/repo");
    assert.deepEqual([shown.code, shown.stderr], [0, ""]);
    assert.match(
      shown.stdout,
      /^hf:org\/repo at commit [0-9a-f]{40}, not in the cache\n.*\n.*README\.md.*\n {2}\* *tiny-i2_s\.gguf +0\.6/,
    );
    const pulled = await run("pull", "org/repo");
    assert.equal(pulled.code, 0, pulled.stderr);
    assert.equal(dirname(pulled.stdout.trim()), folder);
    assert.equal(pulled.stderr, "ternion: hf:org/repo: 0.6 MB at commit 0123456789ab\n");
  });

  it("load, list, show and delete what was fetched, without a server", async () => {
    hub.clear();
    const tokenized = await run("tokenize", "Hi", "--model", "hf:org/repo");
    assert.equal(tokenized.code, 0, tokenized.stderr);
    const listed = await run("list");
    assert.match(listed.stdout, /^ {2}model +MB +pulled +state\n {2}hf:org\/repo +0\.6 +\d{4}-\d\d-\d\d\n$/);
    const shown = await run("show", "org/repo");
    assert.match(shown.stdout, /^ {2}name +hf:org\/repo\n.*commit +0123.*type +bitnet-b1\.58 I2_S\n/s);
    const removed = await run("rm", "org/repo");
    assert.deepEqual([removed.code, removed.stderr], [0, "ternion: deleted hf:org/repo, 0.6 MB\n"]);
    assert.deepEqual(await readdir(folder), []);
    assert.equal((await run("list", "--json")).stdout, "[]\n");
  });

  it("say what is wrong in a line", async () => {
    const wrong = await run("pull", "bitnet2b");
    assert.equal(wrong.code, 2);
    assert.match(
      wrong.stderr,
      /^ternion: model name: expected hf:ORG\/REPO\[@REVISION\]\[:FILE\] or one of bitnet-2b, .*, got "bitnet2b"\n$/,
    );
    const absent = await run("rm", "bitnet-2b");
    assert.deepEqual([absent.code, absent.stderr.includes("`ternion list` shows them")], [1, true]);
  });
});
