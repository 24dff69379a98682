/** The pure parts of the benchmarks. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeTq2, TQ2_BYTES, TQ2_WEIGHTS } from "../../bench/make-model/tq2.js";
import { toHalf } from "../../bench/make-model/weights.js";
import { medianRatio, summary } from "../../bench/statistics.js";
import { halfToFloat } from "../../src/formats/float.js";
import { median } from "../../src/tools/report/median.js";
import { Random } from "../random.js";

/** ggml's block_tq2_0, as its dequantisation walks it. */
function decodeTq2(bytes: Uint8Array): Float32Array {
  const blocks = bytes.length / TQ2_BYTES;
  const out = new Float32Array(blocks * TQ2_WEIGHTS);
  let to = 0;
  for (let block = 0; block < bytes.length; block += TQ2_BYTES) {
    const scale = halfToFloat(bytes[block + 64] | (bytes[block + 65] << 8));
    for (let half = 0; half < 64; half += 32) {
      for (let field = 0; field < 4; field++) {
        for (let i = 0; i < 32; i++) out[to++] = scale * (((bytes[block + half + i] >> (2 * field)) & 3) - 1);
      }
    }
  }
  return out;
}

describe("TQ2_0", () => {
  test("has the weights of the I2_S codes, in their order", () => {
    const random = new Random(1);
    const weights = Int8Array.from({ length: 3 * TQ2_WEIGHTS }, () => random.integer(-1, 1));
    const codes = new Uint8Array(weights.length / 4);
    for (const [i, weight] of weights.entries()) {
      codes[32 * (i >> 7) + (i & 31)] |= (weight + 1) << (6 - 2 * ((i & 127) >> 5));
    }
    const blocks = encodeTq2(codes, toHalf(0.25), new Uint8Array(4 * TQ2_BYTES));
    assert.equal(blocks.length, 3 * TQ2_BYTES);
    assert.deepEqual(
      decodeTq2(blocks),
      Float32Array.from(weights, (weight) => 0.25 * weight),
    );
  });
});

describe("statistics", () => {
  test("the median is the middle, or between the middle two", () => {
    assert.equal(median([5, 1, 3]), 3);
    assert.equal(median([4, 1, 3, 2]), 2.5);
    assert.throws(() => median([]), RangeError);
  });

  test("a ratio is taken pair by pair", () => {
    assert.equal(medianRatio([2, 20, 9], [1, 10, 3]), 2);
    assert.throws(() => medianRatio([1], []), RangeError);
  });

  test("a summary keeps the samples in their order", () => {
    assert.deepEqual(summary([2, 1, 3]), { median: 2, min: 1, max: 3, samples: [2, 1, 3] });
  });
});
