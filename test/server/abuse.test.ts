/** A server under load and abuse, in small numbers; `npm run soak:server` does the same in large ones. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import type { RunningServer } from "../../src/server/index.js";
import * as abuse from "./load/abuse.js";
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
