/**
 * The whole of what abuse.test.ts does in small numbers, against `ternion serve` as a process of its own with the model in
 * the box: `npm run soak:server`. Prints what it finds, and ends with an error where something is wrong.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import autocannon from "autocannon";
import { MAIN } from "../cli/program.js";
import * as abuse from "./load/abuse.js";
import { get, post } from "./load/http.js";

const PLACES = 32;
const QUEUE = 256;
const say = (line: string) => process.stdout.write(`${line}\n`);

const args = ["--port", "0", "--backend", "cpu", "--log-level", "error", "--log-format", "json"];
const limits = ["--parallel", `${PLACES}`, "--max-queue", `${QUEUE}`, "--queue-timeout", "600"];
// the heap's size is that of what is kept, and not of what may be swept yet
const child = spawn(process.execPath, ["--expose-gc", MAIN, "serve", ...args, ...limits], {
  stdio: ["ignore", "ignore", "pipe"],
});
const url = await (async () => {
  for await (const line of createInterface(child.stderr)) {
    const [, found] = /listening at (http:\S+)/.exec(line) ?? [];
    if (found !== undefined) return found;
  }
  throw new Error("the server did not start");
})();
child.stderr.on("data", (text) => process.stderr.write(text));
child.on("exit", (code) => {
  if (code !== 0) throw new Error(`the server ended with ${code}`);
});

const number = (page: string, name: string) => Number(new RegExp(`^${name} (\\S+)`, "m").exec(page)?.[1]);
const target: abuse.Target = {
  url,
  load: async () => {
    const { text } = await get(url, "/metrics");
    return { running: number(text, "vllm:num_requests_running"), waiting: number(text, "vllm:num_requests_waiting") };
  },
};

/** MiB: of the process in memory, and of the heap in use. */
async function memory(): Promise<{ rss: number; heap: number }> {
  const { text } = await get(url, "/metrics");
  const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
  const rss = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
  return { rss: Math.round(rss), heap: Math.round((number(text, "nodejs_heap_size_used_bytes") / 2 ** 20) * 10) / 10 };
}

async function step(name: string, act: () => Promise<string | undefined>): Promise<void> {
  const start = performance.now();
  const found = await act();
  await abuse.isWhole(target);
  const { rss, heap } = await memory();
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  say(`${name}: ${found ?? "ok"} (${seconds} s, then RSS ${rss} MiB, heap ${heap} MiB)`);
}

const TOKENS = 24;
const wanted = process.argv[2] ?? "";
const steps: Readonly<Record<string, () => Promise<string | undefined>>> = {
  "1,000 gone in the queue": async () => ok(abuse.goneInQueue(target, 1000, { places: PLACES, queue: QUEUE })),
  "1,000 gone in the prompt": async () => ok(abuse.goneInPrompt(target, 1000)),
  "1,000 gone in generation": async () => ok(abuse.goneInGeneration(target, 1000)),
  "broken requests, 50 of each": async () => ok(abuse.brokenRequests(target, 50)),
  "bodies of 100 MB": async () => ok(abuse.largeBodies(target, 100e6)),
  "100 requests on a connection": async () => ok(abuse.pipelined(target, 100)),
  "500 half-open connections": async () => {
    const { end } = abuse.halfOpen(target, 500);
    const during = await abuse.speed(target);
    end();
    return `an answer beside them takes ${during.toFixed(0)} ms`;
  },
  "20 clients that read nothing": async () => {
    const { end } = abuse.slowReaders(target, 20);
    const reply = await post(url, "/v1/chat/completions", {
      messages: [{ role: "user", content: "Hi" }],
      max_tokens: 16,
    });
    assert.equal(reply.status, 200);
    end();
    return `an answer beside them takes ${reply.ms.toFixed(0)} ms`;
  },
  "256 streams at once": async () => {
    const alone = await abuse.answersAlone(target, 64, TOKENS);
    assert.equal(await abuse.manyAtOnce(target, 256, alone, TOKENS), 0);
    const refused = await abuse.manyAtOnce(target, PLACES + QUEUE + 100, alone, TOKENS);
    assert.ok(refused > 0 && refused <= 100, `${refused} refused`);
    return `all equal to those alone; of ${PLACES + QUEUE + 100} more ${refused} got a 429`;
  },
  autocannon: async () => {
    const body = JSON.stringify({ messages: [{ role: "user", content: "Hi" }], max_tokens: 1 });
    const headers = { "content-type": "application/json" };
    const rates: string[] = [];
    for (const [path, method] of [
      ["/health", "GET"],
      ["/v1/models", "GET"],
      ["/v1/chat/completions", "POST"],
    ] as const) {
      const options = method === "POST" ? { method, body, headers } : {};
      const result = await autocannon({ url: url + path, connections: 32, duration: 5, ...options });
      assert.equal(result.errors + result.non2xx + result.timeouts, 0, path);
      rates.push(`${path} ${result.requests.average.toFixed(0)}/s (99 %: ${result.latency.p99} ms)`);
    }
    return rates.join(", ");
  },
  "10,000 requests": async () => {
    const rows: string[] = [];
    for (let thousand = 0; thousand <= 10; thousand++) {
      const { rss, heap } = await memory();
      rows.push(`${thousand}k: ${rss}/${heap}`);
      if (thousand === 10) break;
      await abuse.inTurns(1000, 16, async (i) => {
        const content = `${thousand} ${i}`;
        const body = { messages: [{ role: "user", content }], max_tokens: 3, stream: i % 2 === 0 };
        assert.equal((await post(url, "/v1/chat/completions", body)).status, 200);
      });
    }
    return `RSS/heap in MiB ${rows.join(", ")}`;
  },
};

async function ok(work: Promise<void>): Promise<undefined> {
  await work;
}

try {
  const before = await abuse.speed(target);
  for (const [name, act] of Object.entries(steps)) if (name.includes(wanted)) await step(name, act);
  const after = await abuse.speed(target);
  say(`a short answer takes ${after.toFixed(0)} ms, and took ${before.toFixed(0)} ms before`);
  assert.ok(after < 1.5 * before + 20, "an answer comes as fast as before");
} finally {
  child.kill("SIGTERM");
  await once(child, "exit");
}
