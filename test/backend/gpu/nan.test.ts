/** Logits that are no numbers: the device tells, instead of an id that means nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { GpuBackend } from "../../../src/backend/gpu/gpu.js";
import type { TernionError } from "../../../src/errors.js";
import { denseMatrix, withFile } from "../files.js";
import { NO_ADAPTER } from "./require.js";

test("a row of logits that is no distribution ends the run with an error", { skip: NO_ADAPTER }, async () => {
  const table = denseMatrix({ name: "table", rows: 40, columns: 64 }, "F32");
  for (const poison of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const backend = await GpuBackend.create({ maxRows: 4 });
    try {
      const [weight] = await withFile([table], (sources) => backend.load(sources));
      const x = backend.tensor(4, 64);
      const head = await backend.head(weight, 4, 8);
      backend.write(x, new Float32Array(64).fill(poison));
      const draws = [{ temperature: 0, topK: 1, topP: 1, minP: 0, random: 0 }];
      const [tokens, slots, positions, outputs] = [0, 1, 2, 3].map(() => new Int32Array(1));
      backend.begin({ tokens, slots, positions, outputs, best: 1, draws });
      backend.best(head, x, 1);
      backend.sample(head);
      await assert.rejects(backend.run(), (error: TernionError) => error.code === "BACKEND_FAILED");
    } finally {
      await backend.close();
    }
  }
});
