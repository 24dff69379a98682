/** What is kept of responses: for how long, how many, how much, and for whom. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ResponseStore, type Stored, type StoreLimits } from "../../../src/server/openai/responses/store.js";

let now = 0;
const storeOf = (limits: Partial<StoreLimits>) => new ResponseStore(limits, () => now);
const stored = (id: string, client = "a", size = 1): Stored => ({ client, response: { id }, messages: [], size });

test("a client finds its own, and nobody else's", () => {
  const store = storeOf({});
  store.add(stored("x"));
  assert.equal(store.get("x", "a")?.response.id, "x");
  assert.equal(store.get("x", "b"), undefined);
  assert.equal(store.get("y", "a"), undefined);
  assert.deepEqual([store.delete("x", "b"), store.delete("x", "a"), store.delete("x", "a")], [false, true, false]);
  assert.equal(store.size, 0);
});

test("the one used longest ago goes where there are too many", () => {
  const store = storeOf({ count: 2 });
  for (const id of ["x", "y"]) store.add(stored(id));
  store.get("x", "a");
  store.add(stored("z"));
  assert.deepEqual(
    ["x", "y", "z"].map((id) => store.get(id, "a") !== undefined),
    [true, false, true],
  );
});

test("as many go as the characters need, and one that is too large is not kept", () => {
  const store = storeOf({ characters: 10 });
  for (const id of ["x", "y"]) store.add(stored(id, "a", 5));
  store.add(stored("z", "a", 4));
  assert.deepEqual(
    ["x", "y", "z"].map((id) => store.get(id, "a") !== undefined),
    [false, true, true],
  );
  store.add(stored("large", "a", 11));
  assert.equal(store.size, 0);
  store.add(stored("x", "a", 10));
  assert.equal(store.size, 1, "what went is not counted");
});

test("none is kept longer than its time, used or not", () => {
  const store = storeOf({ lifetimeMs: 100 });
  store.add(stored("x"));
  now += 60;
  assert.ok(store.get("x", "a"));
  now += 60;
  assert.equal(store.get("x", "a"), undefined);
  store.add(stored("y"));
  now += 101;
  store.add(stored("z"));
  assert.equal(store.size, 1);
});
