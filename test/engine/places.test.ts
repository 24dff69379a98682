/** How much of a cache there is by default: what a position costs comes from the backend. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { positionBytes } from "../../src/backend/cpu/cache.js";
import { GpuBackend } from "../../src/backend/gpu/gpu.js";
import { cacheLimits } from "../../src/engine/options.js";

/** [layers, key-value heads, elements of a head] of BitNet 2B4T, Falcon3 1B to 10B and Llama 3 8B, in 1.58 bits. */
const SHAPES = [
  [30, 5, 128],
  [18, 4, 256],
  [22, 4, 256],
  [28, 4, 256],
  [40, 4, 256],
  [32, 8, 128],
];
const BLOCK = 128;

test("four contexts, fewer where 16-bit values take more than 1 GiB, on a GPU float32 values more than 2 GiB", () => {
  for (const [layers, kvHeads, headDim] of SHAPES) {
    const shape = { layers, kvHeads, headDim, type: "i16" } as const;
    const costs = {
      cpu: positionBytes(shape),
      gpu: GpuBackend.prototype.positionBytes(shape),
    };
    assert.ok(costs.gpu > 1.9 * costs.cpu && costs.gpu < 2 * costs.cpu, "the CPU's values have scales");
    for (const contextLength of [64, 2048, 4096, 8192, 32_768]) {
      const values = 2 * layers * kvHeads * headDim * contextLength;
      const contexts = Math.min(4, Math.max(1, Math.floor(2 ** 30 / (2 * values))));
      for (const kind of ["cpu", "gpu"] as const) {
        const costsOf = { kind, positionBytes: costs[kind], blockPositions: BLOCK };
        const limitsOf = (options: Parameters<typeof cacheLimits>[0]) =>
          cacheLimits(options, costsOf, { contextLength });
        const what = `${kind} ${shape}, context ${contextLength}`;
        const whole = Math.max(BLOCK, contextLength);
        const { maxSessions, cachePositions } = limitsOf({});
        assert.equal(maxSessions, 32, what);
        assert.ok(cachePositions >= contexts * whole && cachePositions <= 4 * whole, what);
        assert.ok(cachePositions === whole || cachePositions * costs[kind] <= 1.02 * 2 ** (kind === "gpu" ? 31 : 30));
        assert.equal(limitsOf({ maxSessions: 1 }).cachePositions, whole);
        const given = { maxSessions: 100, cachePositions: 10 * contextLength };
        assert.deepEqual(limitsOf(given), given);
        assert.throws(() => limitsOf({ cachePositions: contextLength - 1 }), /^RangeError: cachePositions: expected/);
      }
    }
  }
});
