/** The log of a session: what stands in it, and that nothing of what was said, asked for or proven does. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import type { RunningServer } from "../../src/server/index.js";
import { prettyLine } from "../../src/server/logs.js";
import { until } from "./load/http.js";
import { boxServer, GREEDY, MODEL, post } from "./servers.js";

const KEY = "canary-key";
const CANARY = "canary-prompt";
let lines: string[] = [];
let server: RunningServer;
before(async () => {
  server = await boxServer({ logLevel: "debug", apiKeys: [KEY], logWrite: (line) => lines.push(line) });
});
after(() => server.close());

const AUTHORIZED = { authorization: `Bearer ${KEY}` };

interface Line {
  readonly msg: string;
  readonly route?: string;
  readonly status?: number;
  readonly [field: string]: unknown;
}

/** The lines of what `act` does: it has made `count` requests. */
async function linesOf(count: number, act: () => Promise<unknown>): Promise<Line[]> {
  lines = [];
  await act();
  const parsed = () => lines.map((line) => JSON.parse(line) as Line);
  await until("the lines are there", () => parsed().filter(({ msg }) => msg === "request").length >= count);
  return parsed();
}

test("an answer has a line with its times and tokens", async () => {
  const body = { messages: [{ role: "user", content: CANARY }], ...GREEDY };
  const [line] = await linesOf(1, async () =>
    (await post(server, "/v1/chat/completions?x=1", body, AUTHORIZED)).json(),
  );
  const { method, route, status, model, operation, completionTokens, reason } = line;
  assert.deepEqual(
    { method, route, status, model, operation, completionTokens, reason },
    {
      method: "POST",
      route: "/v1/chat/completions",
      status: 200,
      model: MODEL,
      operation: "chat",
      completionTokens: GREEDY.max_tokens,
      reason: "length",
    },
  );
  for (const name of ["ms", "queueMs", "firstTokenMs", "promptTokens"]) assert.ok(Number(line[name]) >= 0, name);
  assert.match(String(line.reqId), /./);
});

test("no text of a session is in its log", async () => {
  const messages = [{ role: "user", content: `Say: ${CANARY}` }];
  const responseText = await linesOf(7, async () => {
    const url = "/v1/chat/completions?api_key=canary-query";
    const whole = await post(
      server,
      url,
      { messages, ...GREEDY, stop: ["canary-stop"], user: "canary-user" },
      AUTHORIZED,
    );
    const { choices } = (await whole.json()) as { choices: readonly { message: { content: string } }[] };
    assert.notEqual(choices[0].message.content.trim(), "");
    await (await post(server, url, { messages, stream: true, ...GREEDY }, AUTHORIZED)).text();
    await post(server, url, { messages, ...GREEDY }, { authorization: "Bearer canary-wrong" });
    await post(server, url, `{"messages": "${CANARY}`, AUTHORIZED);
    await post(server, url, { messages: CANARY, model: CANARY }, AUTHORIZED);
    await post(server, url, { messages, stop: 5, logit_bias: { [CANARY]: 1 } }, AUTHORIZED);
    await post(server, "/canary-path", {}, AUTHORIZED);
    // what is no HTTP at all goes another way through the framework
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1").on("error", () => {});
    await new Promise((resolve) =>
      socket
        .on("close", resolve)
        .on("data", () => {})
        .end(`canary-garbage ${KEY}\r\n\r\n`),
    );
    lines.push(JSON.stringify({ msg: "answer", text: choices[0].message.content }));
  });
  const { text } = responseText.find(({ msg }) => msg === "answer") as unknown as { text: string };
  const log = lines.filter((line) => !line.includes('"msg":"answer"')).join("");
  assert.doesNotMatch(log, /canary/i);
  assert.ok(!log.includes(JSON.stringify(text).slice(1, -1)), "the answer is not in the log");
  assert.equal(log.split("\n").filter((line) => line !== "").length, 7, log);
});

test("watching the server makes no noise at the usual level", async () => {
  const [line] = await linesOf(1, () => fetch(`${server.url}/metrics`, { headers: AUTHORIZED }));
  assert.equal(line.level, 20);
});

test("a line for a person", () => {
  const at = new Date(2026, 0, 2, 3, 4, 5).getTime();
  const fields = { level: 30, time: at, msg: "request", reqId: "req-1", method: "GET", route: "/health", status: 200 };
  assert.equal(prettyLine(JSON.stringify(fields)), "03:04:05 info  request GET /health reqId=req-1 status=200\n");
  const error = { level: 50, time: at, msg: "failed", err: { stack: "Error: x\n    at y" } };
  assert.equal(prettyLine(JSON.stringify(error)), "03:04:05 error failed\nError: x\n    at y\n");
});
