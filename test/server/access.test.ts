/** Who may ask, from where, by which name, and whose turn comes when many do. */
import assert from "node:assert/strict";
import { request } from "node:http";
import { after, test } from "node:test";
import { AuthenticationError } from "openai";
import type { Asked } from "../../src/server/index.js";
import { until } from "./load/http.js";
import { boxServer, ENGINE, GREEDY, HELLO, MODEL, openai, post } from "./servers.js";

const starts: string[] = [];
const server = await boxServer({
  apiKeys: ["one", "two"],
  corsOrigins: ["https://a.example"],
  engine: { ...ENGINE, maxSessions: 1 },
  observers: [{ started: ({ client }: Asked) => starts.push(client) }],
});
const open = await boxServer({ corsOrigins: ["*"], allowedHosts: ["Proxy.example"] });
after(() => Promise.all([server.close(), open.close()]));

const ask = { model: MODEL, messages: HELLO, ...GREEDY };
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

test("a key: either of them, in either header, and no other", async () => {
  for (const apiKey of ["one", "two"]) assert.ok((await openai(server, { apiKey }).models.list()).data.length > 0);
  assert.equal((await fetch(`${server.url}/v1/models`, { headers: { "x-api-key": "two" } })).status, 200);
  for (const apiKey of ["on", "onetwo", "x".repeat(1000)]) {
    await assert.rejects(openai(server, { apiKey }).chat.completions.create(ask), AuthenticationError);
  }
  const wrong = [{}, { authorization: "one" }, { authorization: "Basic one" }, { "x-api-key": "" }];
  for (const headers of wrong) {
    const response = await post(server, "/v1/chat/completions", "{broken", headers as Record<string, string>);
    assert.equal(response.status, 401, "before the body is looked at");
    assert.doesNotMatch(await response.text(), /one|two/);
  }
});

test("without a key: health alone", async () => {
  const paths = ["/v1/models", "/v1/nothing", "/props", "/metrics", "/tokenize", "/v1/chat/completions"];
  for (const path of paths) assert.equal((await fetch(server.url + path)).status, 401, path);
  for (const path of ["/health", "/ready"]) assert.equal((await fetch(server.url + path)).status, 200, path);
});

test("pages of other origins: those that were named, never with credentials", async () => {
  const preflight = (url: string, origin: string) =>
    fetch(`${url}/v1/chat/completions`, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization" },
    });
  const allowed = await preflight(server.url, "https://a.example");
  assert.equal(allowed.status, 204);
  assert.equal(allowed.headers.get("access-control-allow-origin"), "https://a.example");
  const other = await preflight(server.url, "https://b.example");
  assert.equal(other.headers.get("access-control-allow-origin"), null);
  const any = await preflight(open.url, "https://b.example");
  assert.equal(any.headers.get("access-control-allow-origin"), "*");
  const error = await fetch(`${server.url}/v1/models`, { headers: { origin: "https://a.example" } });
  assert.deepEqual([error.status, error.headers.get("access-control-allow-origin")], [401, "https://a.example"]);
  for (const { headers } of [allowed, other, any, error]) {
    assert.equal(headers.get("access-control-allow-credentials"), null);
  }
});

test("a stream has the headers of its origin too", async () => {
  const headers = { ...bearer("one"), origin: "https://a.example" };
  const response = await post(server, "/v1/chat/completions", { ...ask, stream: true }, headers);
  assert.equal(response.headers.get("access-control-allow-origin"), "https://a.example");
  assert.match(await response.text(), /\[DONE\]/);
});

test("names of other machines are refused where no key is asked for", async () => {
  const status = (url: string, host: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const asked = request(`${url}/v1/models`, { headers: { host, ...bearer("one") } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      asked.on("error", reject).end();
    });
  for (const host of ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example"]) {
    assert.equal(await status(open.url, host), 403, host);
  }
  for (const host of ["localhost", "LOCALHOST:1", "app.localhost", "127.0.0.2:80", "[::1]:8080", "proxy.example"]) {
    assert.equal(await status(open.url, host), 200, host);
  }
  assert.equal(await status(server.url, "any.example"), 200); // it asks for a key
});

test("clients take turns, however many requests each has", async () => {
  const [many, few] = ["one", "two"].map((apiKey) => openai(server, { apiKey }));
  const [{ queue }] = server.service.models.all;
  const controller = new AbortController();
  const long = { ...ask, max_tokens: 900, ignore_eos: true, stream: true as const };
  const running = await few.chat.completions.create(long, { signal: controller.signal });
  await running[Symbol.asyncIterator]().next();
  const first = Array.from({ length: 6 }, () => many.chat.completions.create(ask));
  await until("they wait", () => queue.waiting === 6);
  const second = [few.chat.completions.create(ask), few.chat.completions.create(ask)];
  await until("all wait", () => queue.waiting === 8);
  starts.length = 0;
  controller.abort();
  await Promise.all([...first, ...second]);
  assert.deepEqual(starts.map((client) => client.replace("key ", "")).join(""), "01010000");
});
