/** Proxies of the environment, with a real one: plain http is asked for through it, https by a tunnel, or not at all. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, beforeEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { download } from "../../src/hub/pull.js";
import { certificateFor } from "./certificate.js";
import { modelOf, rejectsWith, type Site, Sites, withEnvironment } from "./server.js";

const model = modelOf(50_000);
const certified = certificateFor("models.example");
const NONE = Object.fromEntries(
  ["http_proxy", "https_proxy", "all_proxy", "no_proxy"].flatMap((name) => [
    [name, undefined],
    [name.toUpperCase(), undefined],
  ]),
);

describe("proxies of downloads", () => {
  const sites = new Sites();
  let site: Site;
  let securePort: number;
  let proxy: string;
  /** what the proxy was asked for, and its credentials */
  const asked: string[] = [];
  const credentials: (string | undefined)[] = [];
  let folder: string;
  const get = (url: string) => download(url, { cacheDirectory: folder, retries: 0 });
  const within = <T>(variables: Record<string, string>, use: () => Promise<T>) =>
    withEnvironment({ ...NONE, ...variables }, use);

  before(async () => {
    site = await sites.serve((_, response) => response.end(model));
    securePort = await sites.listen(createSecureServer(certified, (_, response) => response.end(model)));
    const server = createServer(({ url = "", headers }, response) => {
      asked.push(url);
      credentials.push(headers["proxy-authorization"]);
      // whatever the host, our server answers
      request(`${site.origin}${new URL(url).pathname}`, (answer) => answer.pipe(response)).end();
    });
    server.on("connect", ({ url = "", headers }, client) => {
      asked.push(`CONNECT ${url}`);
      credentials.push(headers["proxy-authorization"]);
      if (url.startsWith("refused.")) return void client.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
      const target = connect(securePort, "127.0.0.1", () => {
        client.write("HTTP/1.1 200 Connection established\r\n\r\n");
        target.pipe(client).pipe(target);
      });
      // one side may end or reset while the other one still sends
      client.on("error", () => target.destroy());
      target.on("error", () => client.destroy());
    });
    proxy = `http://127.0.0.1:${await sites.listen(server)}`;
  });
  after(() => sites.close());
  beforeEach(async () => {
    asked.length = 0;
    credentials.length = 0;
    folder = await sites.folder();
  });

  for (const name of ["HTTP_PROXY", "http_proxy", "ALL_PROXY"]) {
    it(`${name} is asked for plain http, with a user and password if it has them`, async () => {
      const path = await within({ [name]: proxy.replace("//", "//user:pass%40@") }, () =>
        get("http://models.example/m.gguf"),
      );
      assert.ok((await readFile(path)).equals(model));
      assert.deepEqual(asked, ["http://models.example/m.gguf"]);
      assert.deepEqual(credentials, [`Basic ${Buffer.from("user:pass@").toString("base64")}`]);
    });
  }

  for (const name of ["NO_PROXY", "no_proxy"]) {
    it(`${name} names hosts that are asked without it`, async () => {
      for (const hosts of ["localhost,127.0.0.1", "*", `127.0.0.1:${new URL(site.origin).port}`, ".0.0.1"]) {
        folder = await sites.folder();
        await within({ HTTP_PROXY: proxy, [name]: hosts }, () => get(`${site.origin}/m.gguf`));
      }
      assert.deepEqual(asked, []);
      await within({ HTTP_PROXY: proxy, [name]: "other.example" }, () => get(`${site.origin}/n.gguf`));
      assert.deepEqual(asked, [`${site.origin}/n.gguf`]);
    });
  }

  it("HTTPS_PROXY tunnels https", async () => {
    const trusted = join(await sites.folder(), "trusted.pem");
    await writeFile(trusted, certified.cert);
    // in a process of its own: certificates to trust are read at the start
    const child = spawn(process.execPath, [fileURLToPath(new URL("./processes.js", import.meta.url))], {
      env: { ...process.env, https_proxy: "", HTTPS_PROXY: proxy, NODE_EXTRA_CA_CERTS: trusted },
    });
    child.stdin.end(`${JSON.stringify({ url: "https://models.example/m.gguf", cacheDirectory: folder })}\n`);
    const [out] = await Promise.all([text(child.stdout), once(child, "close")]);
    const { path } = JSON.parse(out);
    assert.ok((await readFile(path)).equals(model));
    assert.deepEqual(asked, ["CONNECT models.example:443"]);
  });

  it("a certificate that nobody vouches for is refused", async () => {
    await within({ HTTPS_PROXY: proxy }, () =>
      rejectsWith(get("https://models.example/m.gguf"), /fetch failed: .*certificate/),
    );
    assert.deepEqual(asked, ["CONNECT models.example:443"]);
  });

  it("a proxy that wants a password says so", async () => {
    await within({ HTTPS_PROXY: proxy }, () =>
      rejectsWith(
        get("https://refused.example/m.gguf"),
        /got 407 .*The proxy wants a name and password: set HTTPS_PROXY/,
      ),
    );
  });

  it("what is no proxy is refused without being shown", async () => {
    for (const wrong of ["socks5://user:secret@host:1", "http://user:secret@:::"]) {
      const error = await within({ HTTP_PROXY: wrong }, () =>
        rejectsWith(
          get("http://models.example/m.gguf"),
          /the proxy for http:\/\/models\.example: expected http:\/\/HOST:PORT/,
        ),
      );
      assert.doesNotMatch(error.message, /secret/);
    }
  });

  it("a proxy that does not answer is given up, and its connection with it", async () => {
    let closed = () => {};
    const ended = new Promise<void>((resolve) => {
      closed = resolve;
    });
    const silent = createServer().on("connect", (_, client) =>
      client.resume().once("end", closed).once("error", closed),
    );
    const port = await sites.listen(silent);
    await within({ HTTPS_PROXY: `http://127.0.0.1:${port}` }, () =>
      rejectsWith(
        download("https://models.example/m.gguf", { cacheDirectory: folder, retries: 0, idleTimeout: 100 }),
        /nothing came for 0\.1 s/,
      ),
    );
    await ended;
  });

  it("a proxy that is not there is an error that names the failure", async () => {
    await within({ HTTP_PROXY: "http://127.0.0.1:1" }, () =>
      rejectsWith(get("http://models.example/m.gguf"), /models\.example\/m\.gguf: fetch failed: connect ECONNREFUSED/),
    );
  });
});
