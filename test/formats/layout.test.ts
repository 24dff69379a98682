/** The I2_S layouts: reordering against the definition, for every size of chunk. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toStandardLayout } from "../../src/formats/i2_s.js";
import { reorder } from "../layouts.js";
import { Random } from "../random.js";

for (const layout of ["block128", "block64", "rows4"] as const) {
  for (const [rows, columns] of [
    [4, 128],
    [8, 384],
    [12, 256],
  ]) {
    test(`${rows} rows of ${columns} from ${layout}`, () => {
      const random = new Random(rows * columns);
      const standard = Uint8Array.from({ length: (rows * columns) / 4 }, () => random.integer(0, 255));
      const codes = reorder(standard, columns, "block128", layout);
      if (layout !== "block128") assert.notDeepEqual(codes, standard);
      toStandardLayout(layout, codes, columns);
      assert.deepEqual(codes, standard);
    });
  }
}

test("half a group of rows is refused", () => {
  assert.throws(() => toStandardLayout("rows4", new Uint8Array(64), 128), /^RangeError: rows4: expected groups of 128/);
});
