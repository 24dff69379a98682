/** Into how many shares ops are cut, and how many threads are woken for them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { mostShares } from "../../../src/backend/cpu/op-board.js";
import { NS, sharesOf, threadsFor } from "../../../src/backend/cpu/work.js";

describe("shares of an op", () => {
  const most = mostShares(4);

  test("one thread, a small op, or one that is one piece takes one", () => {
    assert.equal(sharesOf({ ns: 1e9, units: 1000, most }, 1), 1);
    assert.equal(sharesOf({ ns: NS.norm * 2560, units: 1000, most }, 4), 1);
    assert.equal(sharesOf({ ns: 1e9, units: 1, most }, 4), 1);
    assert.equal(sharesOf({ ns: 0, units: 0, most }, 4), 1);
  });

  test("a large op takes several a thread, and no more than it has pieces", () => {
    assert.equal(sharesOf({ ns: NS.ternary * 2560 * 6912, units: 864, most }, 4), 16);
    assert.equal(sharesOf({ ns: 1e9, units: 5, most }, 4), 5);
    assert.equal(mostShares(256), 256); // one bit each
  });

  test("an op of the middle takes as many as pay", () => {
    const counts = [20_000, 30_000, 60_000, 120_000].map((ns) => sharesOf({ ns, units: 100, most }, 4));
    assert.deepEqual(counts, [1, 2, 5, 10]);
  });

  test("memory that was laid out for some shares gets so many", () => {
    assert.equal(sharesOf({ ns: 10, units: 3, exactly: 3 }, 4), 3);
  });
});

test("threads are woken for work that pays for it", () => {
  assert.deepEqual([0, 149_000, 150_000, 1e6].map(threadsFor), [1, 1, 2, 7]);
});
