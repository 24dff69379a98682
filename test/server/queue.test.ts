/** The queue by itself: its bound, its turns, and how one leaves it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiError } from "../../src/server/errors.js";
import { FairQueue, QueueFull, QueueTimeout } from "../../src/server/queue.js";

const LIMITS = { maxWaiting: 8, timeoutMs: 60_000 };
const { signal } = new AbortController();

/** Whose turns come, one place given back after the other. */
async function turns(queue: FairQueue, clients: readonly string[]): Promise<string[]> {
  const order: string[] = [];
  const all = clients.map(async (client) => {
    const turn = await queue.enter({ client, signal });
    order.push(client);
    turn.leave();
  });
  queue.places = 1;
  await Promise.all(all);
  return order;
}

test("clients take turns, each in its own order", async () => {
  const order = await turns(new FairQueue(LIMITS), ["a", "a", "a", "a", "b", "b", "c"]);
  assert.deepEqual(order, ["a", "b", "c", "a", "b", "a", "a"]);
});

test("as many run as there are places", async () => {
  const queue = new FairQueue(LIMITS);
  const entries = Array.from({ length: 4 }, () => queue.enter({ client: "a", signal }));
  assert.deepEqual([queue.running, queue.waiting], [0, 4]);
  queue.places = 3;
  const [first] = await Promise.all(entries.slice(0, 3));
  assert.deepEqual([queue.running, queue.waiting], [3, 1]);
  queue.places = 0; // the model leaves: nobody comes after
  first.leave();
  assert.deepEqual([queue.running, queue.waiting], [2, 1]);
  queue.refuse(new Error("closed"));
  await assert.rejects(entries[3], /closed/);
});

test("one more than may wait is refused, but for what follows", async () => {
  const queue = new FairQueue({ ...LIMITS, maxWaiting: 1 });
  const first = queue.enter({ client: "a", signal });
  await assert.rejects(queue.enter({ client: "b", signal }), (error: ApiError) => {
    assert.deepEqual([error.statusCode, error.retryAfter], [429, 1]);
    return error.cause instanceof QueueFull;
  });
  const follower = queue.enter({ client: "a", follows: true, signal });
  queue.places = 2;
  await Promise.all([first, follower]);
});

test("who waits too long is sent away, but for what follows", async () => {
  const queue = new FairQueue({ ...LIMITS, timeoutMs: 5 });
  const follower = queue.enter({ client: "a", follows: true, signal });
  await assert.rejects(queue.enter({ client: "a", signal }), (error: ApiError) => {
    return error.statusCode === 503 && error.cause instanceof QueueTimeout;
  });
  assert.equal(queue.waiting, 1);
  queue.places = 1;
  await follower;
});

test("an answer that nobody reads lends its place to those who wait, and goes on when it is read", async () => {
  const queue = new FairQueue({ maxWaiting: 1, timeoutMs: 60_000 });
  queue.places = 2;
  const [unread, other] = await Promise.all([1, 2].map(() => queue.enter({ client: "slow", signal })));
  unread.offered();
  other.offered();
  const quick = await queue.enter({ client: "quick", signal }); // resolves by the first one's place
  assert.deepEqual([queue.running, queue.under, unread.lends], [2, 3, true]);
  assert.equal(other.lends, false); // one may wait, so one may lend
  unread.taken();
  assert.deepEqual([queue.running, unread.lends], [3, false]);
  quick.leave();
  other.leave();
  unread.offered();
  unread.leave();
  assert.deepEqual([queue.running, queue.under], [0, 0]);
});

test("who gives up leaves at once, and the others move up", async () => {
  const queue = new FairQueue(LIMITS);
  const gone = new AbortController();
  const first = queue.enter({ client: "a", signal: gone.signal });
  const second = queue.enter({ client: "b", signal });
  gone.abort(new Error("gone"));
  await assert.rejects(first, /gone/);
  assert.equal(queue.waiting, 1);
  queue.places = 1;
  await second;
  assert.throws(() => queue.enter({ client: "a", signal: gone.signal }), /gone/);
  assert.equal(queue.running, 1);
});
