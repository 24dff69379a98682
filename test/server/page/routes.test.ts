/** What is served as the chat page, and with which headers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fastify from "fastify";
import { pageFiles } from "../../../src/server/page/files.js";
import { pageRoutes } from "../../../src/server/page/routes.js";

async function served(prefix?: string) {
  const app = fastify();
  await app.register(async (scope) => pageRoutes(scope), { prefix });
  return app;
}

test("every file that the page names is served, as its kind", async () => {
  const app = await served();
  const page = await app.inject("/");
  assert.equal(page.headers["content-type"], "text/html; charset=utf-8");
  const named = [...page.body.matchAll(/(?:src|href)="(page\/[^"]+)"/g)].map(([, path]) => path);
  const modules = pageFiles().filter(({ path }) => path.endsWith(".js"));
  const imported = modules.flatMap(({ path, bytes }) => {
    const text = bytes.toString();
    // the packages stand alone, and everything else names its neighbours
    if (/marked|purify/.test(path)) assert.doesNotMatch(text, /^\s*(import|export)\s[^;]*\sfrom\s/m);
    return [...text.matchAll(/^(?:import|export)\s[^;]*?from "([^"]+)"/gm)].map(([, name]) => `page/${name.slice(2)}`);
  });
  const paths = new Set([...named, ...imported]);
  assert.ok(paths.size > 15, [...paths].join(" "));
  for (const path of paths) {
    const { statusCode, headers } = await app.inject(`/${path}`);
    assert.equal(statusCode, 200, path);
    if (path.endsWith(".js")) assert.equal(headers["content-type"], "text/javascript; charset=utf-8", path);
  }
});

test("headers: a strict policy, and no type or referrer that a browser guesses", async () => {
  const { headers, body } = await (await served()).inject("/");
  const policy = String(headers["content-security-policy"]).split("; ");
  for (const part of [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
  ]) {
    assert.ok(policy.includes(part), part);
  }
  assert.equal(headers["x-content-type-options"], "nosniff");
  assert.equal(headers["referrer-policy"], "no-referrer");
  assert.doesNotMatch(body, /<script(?![^>]* src=)|<style|\sstyle=|\son\w+=/);
});

test("an unchanged file is not sent again", async () => {
  const app = await served();
  const first = await app.inject("/page/main.js");
  const again = await app.inject({ url: "/page/main.js", headers: { "if-none-match": String(first.headers.etag) } });
  assert.equal(again.statusCode, 304);
  assert.equal(again.body, "");
  assert.equal((await app.inject({ method: "HEAD", url: "/" })).statusCode, 200);
});

test("nothing else can be named", async () => {
  const app = await served();
  for (const path of [
    "/page/",
    "/page/..%2f..%2fpackage.json",
    "/page/../package.json",
    "/page/main.js.map",
    "/page/main.d.ts",
  ]) {
    assert.equal((await app.inject(path)).statusCode, 404, path);
  }
});

test("below a prefix the page has a slash at its end, which its addresses need", async () => {
  const app = await served("/chat");
  const { statusCode, headers } = await app.inject("/chat");
  assert.deepEqual([statusCode, headers.location], [308, "/chat/"]);
  for (const path of ["/chat/", "/chat/page/main.js"]) assert.equal((await app.inject(path)).statusCode, 200, path);
});
