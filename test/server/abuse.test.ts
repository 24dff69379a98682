/** A server under load and abuse, in small numbers; `npm run soak:server` does the same in large ones. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import Fastify from "fastify";
import type { RunningServer } from "../../src/server/index.js";
import { event, sendEvents } from "../../src/server/sse.js";
import * as abuse from "./load/abuse.js";
import { raw, until } from "./load/http.js";
import { boxServer } from "./servers.js";

const PLACES = 4;
const QUEUE = 24;
let server: RunningServer;
let target: abuse.Target;

function targetOf({ url, service }: RunningServer): abuse.Target {
  const load = async () => {
    const [{ queue }] = service.models.all;
    return { running: queue.running, waiting: queue.waiting };
  };
  return { url, load };
}

before(async () => {
  server = await boxServer({ maxQueue: QUEUE, engine: { backend: "cpu", threads: 2, maxSessions: PLACES } });
  target = targetOf(server);
});
after(() => server.close());
afterEach(() => abuse.isWhole(target));

test("streams at once answer as they do alone; where the queue is full, 429", async () => {
  const alone = await abuse.answersAlone(target, 8, 10);
  assert.ok(new Set(alone).size >= 6, "they differ");
  assert.equal(await abuse.manyAtOnce(target, PLACES + QUEUE, alone, 10), 0);
  const refused = await abuse.manyAtOnce(target, PLACES + QUEUE + 8, alone, 10);
  assert.ok(refused > 0 && refused <= 8, `${refused} refused`);
});

test("clients that go away", async () => {
  await abuse.goneInGeneration(target, 24);
  await abuse.goneInPrompt(target, 24);
  await abuse.goneInQueue(target, 40, { places: PLACES, queue: QUEUE });
});

test("requests that are broken, too large, or many on a connection", async () => {
  await abuse.brokenRequests(target, 1);
  await abuse.largeBodies(target, 20e6);
  await abuse.pipelined(target, 5);
});

test("connections that say half of what they want hold nobody up", async () => {
  const { end } = abuse.halfOpen(target, 60);
  await abuse.isWhole(target);
  end();
});

test("nothing is taken of an answer that its client does not read, and in the end the client is let go", async () => {
  const app = Fastify();
  let [taken, hasEnded] = [0, false];
  const part = event("x".repeat(1 << 20));
  async function* parts() {
    try {
      for (; taken < 1000; taken++) yield part;
    } finally {
      hasEnded = true;
    }
  }
  const times = { keepAliveMs: 60_000, stallTimeoutMs: 300, onError: String };
  app.get("/", (_request, reply) => sendEvents(reply, parts(), times));
  const url = await app.listen({ port: 0, host: "127.0.0.1" });
  const { socket, reply } = raw(url, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  socket.pause();
  await until("the client is let go", () => hasEnded);
  assert.ok(taken < 50, `${taken} MiB were taken`);
  socket.destroy();
  await reply;
  await app.close();
});
