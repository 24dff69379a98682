/** Hugging Face: addresses of pages, mirrors, who gets the token, checksums in redirects, gated models. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { addressOf, cacheName } from "../../src/hub/address.js";
import { download } from "../../src/hub/pull.js";
import { modelOf, namesIn, rejectsWith, type Site, Sites, withEnvironment } from "./server.js";

const model = modelOf(100_000);
const sum = createHash("sha256").update(model).digest("hex");
const PAGE = "https://huggingface.co/org/repo/blob/main/model.gguf";

describe("downloads from Hugging Face", () => {
  const sites = new Sites();
  let mirror: Site;
  let store: Site;
  let folder: string;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  let fromStore: (request: IncomingMessage, response: ServerResponse) => void;
  /** Downloads with the mirror as the site, and no token but those given. */
  const get = (url: string, variables: Record<string, string | undefined> = {}, options = {}) =>
    withEnvironment(
      {
        HF_ENDPOINT: mirror.origin,
        HF_HOME: folder,
        HF_TOKEN: undefined,
        HUGGING_FACE_HUB_TOKEN: undefined,
        HF_TOKEN_PATH: undefined,
        HF_HUB_DISABLE_IMPLICIT_TOKEN: undefined,
        ...variables,
      },
      () => download(url, { cacheDirectory: join(folder, "models"), retries: 0, ...options }),
    );
  const redirect = (headers: Record<string, string>) => (_: IncomingMessage, response: ServerResponse) => {
    response.writeHead(302, { location: `${store.origin}/blobs/x?signature=secret`, ...headers }).end();
  };

  before(async () => {
    mirror = await sites.serve((request, response) => answer(request, response));
    store = await sites.serve((request, response) => fromStore(request, response));
  });
  after(() => sites.close());
  beforeEach(async () => {
    for (const { requests } of [mirror, store]) requests.length = 0;
    folder = await sites.folder();
    answer = redirect({ "x-linked-etag": `"${sum}"`, "x-linked-size": String(model.length) });
    fromStore = (_, response) => response.end(model);
  });

  it("take the address of a page for that of its file", async () => {
    const path = await get(`${PAGE}?download=true`);
    assert.ok((await readFile(path)).equals(model));
    assert.equal(mirror.requests[0].url, "/org/repo/resolve/main/model.gguf");
    assert.equal(await get(PAGE.replace("blob", "resolve")), path);
    assert.equal(await get(`${PAGE.replace("huggingface.co", "hf.co")}#L1`), path);
    assert.equal(mirror.requests.length, 1);
    await get(`${mirror.origin}/org/repo/blob/main/other.gguf`);
    assert.equal(mirror.requests[1].url, "/org/repo/resolve/main/other.gguf");
  });

  it("leave /blob/ of other sites as it is", () => {
    assert.equal(
      addressOf(new URL("https://host/a/b/blob/main/m.gguf")).source.href,
      "https://host/a/b/blob/main/m.gguf",
    );
  });

  it("have one name in the cache, whatever mirror they come from", async () => {
    const nameVia = (HF_ENDPOINT: string | undefined) =>
      withEnvironment({ HF_ENDPOINT }, async () => cacheName(addressOf(new URL(PAGE))));
    assert.equal(await nameVia("https://mirror.example/hf/"), await nameVia(undefined));
    const viaPath = await withEnvironment({ HF_ENDPOINT: "https://mirror.example/hf/" }, async () =>
      addressOf(new URL(PAGE)),
    );
    assert.equal(viaPath.source.href, "https://mirror.example/hf/org/repo/resolve/main/model.gguf");
    await rejectsWith(get(PAGE, { HF_ENDPOINT: "mirror" }), /^HF_ENDPOINT: expected a URL/);
  });

  it("send the token to the site alone, not to the store that it names", async () => {
    await get(PAGE, { HF_TOKEN: "hf_secret" });
    assert.equal(mirror.requests[0].headers.authorization, "Bearer hf_secret");
    assert.equal(store.requests[0].headers.authorization, undefined);
    await get(`${store.origin}/m.gguf`, { HF_TOKEN: "hf_secret" });
    assert.equal(store.requests[1].headers.authorization, undefined);
  });

  it("find the token where Hugging Face's tools keep it", async () => {
    await mkdir(join(folder, "xdg", "huggingface"), { recursive: true });
    const files = { HF_TOKEN_PATH: "a", HF_HOME: "token", XDG_CACHE_HOME: "xdg/huggingface/token" };
    for (const [name, file] of Object.entries(files)) await writeFile(join(folder, file), `hf_of_${name}\n`);
    const sent: (string | undefined)[] = [];
    let count = 0;
    for (const variables of [
      { HF_TOKEN_PATH: join(folder, "a") },
      {},
      { HF_HOME: undefined, XDG_CACHE_HOME: join(folder, "xdg") },
      { HF_TOKEN: " hf_of_HF_TOKEN\n" },
      { HUGGING_FACE_HUB_TOKEN: "hf_old" },
      { HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" },
      { HF_HOME: join(folder, "nowhere") },
    ]) {
      await get(PAGE.replace("model", `model${count++}`), variables);
      sent.push(mirror.requests.at(-1)?.headers.authorization?.replace("Bearer ", ""));
    }
    assert.deepEqual(sent, [
      "hf_of_HF_TOKEN_PATH",
      "hf_of_HF_HOME",
      "hf_of_XDG_CACHE_HOME",
      "hf_of_HF_TOKEN",
      "hf_old",
      undefined,
      undefined,
    ]);
    const error = await rejectsWith(get(PAGE, { HF_TOKEN: "two secrets" }), /^HF_TOKEN: expected one token/);
    assert.doesNotMatch(error.message, /secrets/);
  });

  it("compare the bytes with the checksum of the redirect", async () => {
    fromStore = (_, response) => response.end(Buffer.from(model).fill(1, 50_000, 50_001));
    await rejectsWith(
      get(PAGE),
      new RegExp(`^https://huggingface\\.co/org/repo/resolve/.*: expected the SHA-256 ${sum}`),
    );
    assert.deepEqual(await namesIn(join(folder, "models")), []);
    answer = redirect({ "x-linked-etag": '"0123456789abcdef0123456789abcdef01234567"' }); // of git, not of the bytes
    await get(PAGE);
  });

  it("compare the length with that of the redirect, where the store gives none", async () => {
    answer = redirect({ "x-linked-size": String(model.length + 10) });
    fromStore = (_, response) => {
      response.write(model);
      response.end();
    };
    await rejectsWith(get(PAGE), /expected 100010 bytes, got 100000/);
    answer = redirect({ "x-linked-size": String(model.length - 10) });
    await rejectsWith(get(PAGE), /expected 99990 bytes, got \d+/);
    assert.deepEqual(await namesIn(join(folder, "models")), []);
  });

  it("say what a gated model wants, with and without a token, and nothing of a signature", async () => {
    for (const status of [401, 403]) {
      answer = (_, response) => response.writeHead(status).end();
      await rejectsWith(
        get(PAGE),
        new RegExp(`expected status 200, got ${status} .* The model is gated or private, or .*set HF_TOKEN to a token`),
      );
      await rejectsWith(
        get(PAGE, { HF_TOKEN: "hf_x" }),
        /accept its terms on its page.*the token that was sent \(HF_TOKEN/,
      );
    }
    answer = redirect({});
    fromStore = (_, response) => response.writeHead(403).end();
    const error = await rejectsWith(get(PAGE), /got 403/);
    assert.doesNotMatch(`${error.message}${error.stack}`, /secret/);
  });
});
