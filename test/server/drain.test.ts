/** How `ternion serve` ends: answers under way may end, what comes is refused, and the exit code says that all is well. */
import assert from "node:assert/strict";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { start } from "../cli/program.js";
import { chatText, get, post, until } from "./load/http.js";

/** The server as its users start it, when it listens and its model is there. */
async function serve(...args: string[]): Promise<{ child: ChildProcessWithoutNullStreams; url: string }> {
  const child = start(["serve", "--port", "0", "--log-level", "silent", "--threads", "2", "--backend", "cpu", ...args]);
  for await (const line of createInterface(child.stderr)) {
    const [, url] = /listening at (http:\S+)/.exec(line) ?? [];
    if (url !== undefined) return { child, url };
  }
  throw new Error("the server did not start");
}

/** Something to wait for. */
function signal() {
  let give!: () => void;
  const given = new Promise<void>((resolve) => {
    give = resolve;
  });
  return { give, given };
}

const LONG = { messages: [{ role: "user", content: "Hello" }], stream: true, ignore_eos: true, temperature: 0 };

test("SIGTERM: the answer under way ends, new requests are refused, exit code 0", async () => {
  const { child, url } = await serve();
  const begun = signal();
  const answer = post(url, "/v1/chat/completions", { ...LONG, max_tokens: 600 }, { first: () => begun.give() });
  await begun.given;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await until("it drains", async () => (await get(url, "/v1/models")).status === 503);
  const refused = await post(url, "/v1/chat/completions", { ...LONG, max_tokens: 1 });
  assert.equal(refused.status, 503);
  assert.ok(Number(refused.headers["retry-after"]) >= 1);
  assert.equal(refused.headers.connection, "close");
  assert.equal(chatText((await answer).text).end, "length", "the answer came to its end");
  assert.deepEqual(await ended, [0, null]);
});

test("an answer that takes longer than --drain-timeout is cut, in words of its stream", async () => {
  const { child, url } = await serve("--drain-timeout", "0");
  const begun = signal();
  const answer = post(url, "/v1/chat/completions", { ...LONG, max_tokens: 2000 }, { first: () => begun.give() });
  await begun.given;
  const ended = once(child, "exit");
  child.kill("SIGINT");
  assert.equal(chatText((await answer).text).end, "error: The model is not available now.");
  assert.deepEqual(await ended, [0, null]);
});

test("a second signal ends it at once", async () => {
  const { child, url } = await serve("--drain-timeout", "600");
  const begun = signal();
  const answer = post(url, "/v1/chat/completions", { ...LONG, max_tokens: 2000 }, { first: () => begun.give() });
  const cut = assert.rejects(answer);
  await begun.given;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await until("it drains", async () => (await get(url, "/v1/models")).status === 503);
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
  await cut;
});

test("an idle connection that is kept alive holds nothing up", async () => {
  const { child, url } = await serve("--drain-timeout", "600");
  const agent = new Agent({ keepAlive: true });
  const sent = request(`${url}/v1/models`, { agent }).end();
  const [response] = await once(sent, "response");
  response.resume();
  await once(response, "end");
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
  agent.destroy();
});

test("a signal while the model loads ends it too", async () => {
  const child = start(["serve", "--port", "0", "--log-level", "info", "--log-format", "json"]);
  await once(child.stderr, "data"); // it listens
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
});
