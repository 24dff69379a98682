/**
 * The sampler against an oracle that sorts the whole row and computes every probability, as the definitions of the
 * filters read; then its promises: pure, seeded, fair, and loud about bad input.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { chooseIndex } from "../../src/sampling/draw.js";
import { best } from "../../src/sampling/ranking.js";
import { createSampler, type SamplingOptions, uniform } from "../../src/sampling/sampler.js";

const OFF = { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 1 } as const;
const row = (...logits: number[]) => Float32Array.from(logits);

/** The distribution that the documented order of filters gives: id → probability. */
function oracle(
  logits: Float32Array,
  options: Required<Pick<SamplingOptions, "temperature" | "topK" | "topP" | "minP">>,
) {
  let kept = Array.from(logits, (logit, id) => ({ id, logit })).filter(({ logit }) => logit > -Infinity);
  kept.sort((a, b) => b.logit - a.logit || a.id - b.id);
  const softmax = (temperature: number) => {
    const weights = kept.map(({ logit }) => Math.exp((logit - (kept[0]?.logit ?? 0)) / temperature));
    const sum = weights.reduce((a, b) => a + b, 0);
    return weights.map((weight) => weight / sum);
  };
  if (options.topK > 0) kept = kept.slice(0, options.topK);
  let held = 0;
  const before = softmax(1).map((p) => {
    held += p;
    return held - p;
  });
  if (options.topP < 1) kept = kept.filter((_, i) => i === 0 || (before[i] as number) < options.topP);
  kept = kept.filter(({ logit }) => Math.exp(logit - (kept[0]?.logit ?? 0)) >= options.minP);
  return new Map(softmax(options.temperature).map((p, i) => [kept[i]?.id as number, p]));
}

/** How often each id was drawn at positions 0 to n - 1. */
function draws(logits: Float32Array, options: SamplingOptions, n: number): Map<number, number> {
  const sampler = createSampler(options);
  const counts = new Map<number, number>();
  for (let position = 0; position < n; position++) {
    const { id } = sampler.sample(logits, [], position);
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

/** Normal deviates of standard deviation 2, by a fixed rule: logits of a made-up row. */
function normalRow(length: number, seed: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform(seed, 2 * i)));
    return 2 * radius * Math.cos(2 * Math.PI * uniform(seed, 2 * i + 1));
  });
}

describe("best", () => {
  it("is the beginning of the sorted row", () => {
    const logit = fc.oneof(fc.constantFrom(0, -0, 1, -1, -Infinity), fc.float({ noNaN: true, min: -9, max: 9 }));
    fc.assert(
      fc.property(fc.array(logit, { maxLength: 900 }), fc.integer({ min: 1, max: 950 }), (values, count) => {
        const logits = Float32Array.from(values);
        const expected = [...oracle(logits, { ...OFF, topK: count }).keys()];
        assert.deepEqual([...best(logits, count).ids], expected);
      }),
    );
  });

  it("is right where every logit enters, where none does, and in a view", () => {
    const rising = Float32Array.from({ length: 5000 }, (_, i) => i / 100);
    assert.deepEqual([...best(rising, 3).ids], [4999, 4998, 4997]);
    assert.deepEqual([...best(rising.slice().reverse(), 3).ids], [0, 1, 2]);
    assert.deepEqual([...best(new Float32Array(5000), 3).ids], [0, 1, 2]);
    assert.deepEqual([...best(rising.subarray(10, 20), 2).logits], [rising[19], rising[18]]);
  });
});

describe("filters", () => {
  const cases: [string, SamplingOptions][] = [
    ["none", {}],
    ["temperature", { temperature: 0.5 }],
    ["top-k", { topK: 5 }],
    ["top-p", { topP: 0.7 }],
    ["top-p of a flat distribution", { topP: 0.999, temperature: 2 }],
    ["min-p", { minP: 0.1 }],
    ["all", { topK: 20, topP: 0.9, minP: 0.05, temperature: 0.8 }],
  ];
  for (const [name, changes] of cases) {
    it(`${name}: draws as the definition says`, () => {
      const options = { ...OFF, ...changes } as typeof OFF & SamplingOptions;
      const logits = normalRow(60, 7);
      const expected = oracle(logits, options as Parameters<typeof oracle>[1]);
      const n = 20_000;
      let chiSquare = 0;
      const counts = draws(logits, options, n);
      for (const id of counts.keys()) assert.ok(expected.has(id), `${id} should have been cut`);
      for (const [id, p] of expected) chiSquare += ((counts.get(id) ?? 0) - n * p) ** 2 / (n * p);
      const freedom = expected.size - 1;
      // five standard deviations of a chi-square distribution; the draws are fixed, so this cannot flicker
      assert.ok(chiSquare <= freedom + 5 * Math.sqrt(2 * freedom), `chi-square ${chiSquare} of ${freedom}`);
    });
  }

  it("keep exactly the tokens of the definition", () => {
    const logit = fc.integer({ min: -96, max: 96 }).map((eighths) => eighths / 8);
    const options = fc.record({
      topK: fc.nat(30),
      topP: fc.constantFrom(0, 0.31, 0.83, 0.957, 1), // no sum of a few equal parts
      minP: fc.constantFrom(0, 0.01, 0.3, 0.99),
      temperature: fc.constant(1e6), // next to uniform: every kept token turns up
    });
    fc.assert(
      fc.property(fc.array(logit, { minLength: 1, maxLength: 12 }), options, (values, each) => {
        const logits = Float32Array.from(values);
        const drawn = [...draws(logits, { ...each, seed: 3 }, 300).keys()].sort((a, b) => a - b);
        assert.deepEqual(
          drawn,
          [...oracle(logits, each).keys()].sort((a, b) => a - b),
        );
      }),
    );
  });
});

describe("top-p", () => {
  it("reaches far down where a long tail holds most of the probability", () => {
    const logits = new Float32Array(40_000);
    logits[7] = 9; // a sixth of the probability, e^9 times each other token's
    const counts = draws(logits, { ...OFF, topP: 0.5 }, 60);
    assert.ok(counts.size > 20, `${counts.size} different ids`);
  });
});

describe("greedy", () => {
  it("takes the lowest id of the best logit", () => {
    const greedy = createSampler({ temperature: 0 });
    assert.equal(greedy.sample(row(1, 3, 3, -1), [], 0).id, 1);
    assert.equal(greedy.sample(row(-0, 0), [], 0).id, 0);
    assert.equal(createSampler({ topK: 1 }).sample(row(1, 3, 3), [], 0).id, 1);
  });
});

describe("penalties and bias", () => {
  const greedy = (options: SamplingOptions, history: number[]) =>
    createSampler({ temperature: 0, ...options }).sample(row(2, 1.5, -1), history, 0).id;

  it("lower what was there before", () => {
    assert.equal(greedy({ repetitionPenalty: 1.5 }, [0]), 1);
    assert.equal(greedy({ presencePenalty: 0.4 }, [0, 0]), 0);
    assert.equal(greedy({ presencePenalty: 0.6 }, [0]), 1);
    assert.equal(greedy({ frequencyPenalty: 0.4 }, [0]), 0);
    assert.equal(greedy({ frequencyPenalty: 0.4 }, [0, 0]), 1);
  });

  it("multiply a negative logit", () => {
    assert.equal(createSampler({ temperature: 0 }).sample(row(-1, -1.2), [0], 0).id, 0);
    assert.equal(createSampler({ temperature: 0, repetitionPenalty: 1.5 }).sample(row(-1, -1.2), [0], 0).id, 1);
  });

  it("look at the window only", () => {
    assert.equal(greedy({ presencePenalty: 1, repetitionWindow: 2 }, [0, 2, 2]), 0);
    assert.equal(greedy({ presencePenalty: 1, repetitionWindow: 3 }, [0, 2, 2]), 1);
    assert.equal(greedy({ presencePenalty: 1, repetitionWindow: 0 }, [0]), 0);
    assert.equal(greedy({ presencePenalty: 1, repetitionWindow: Infinity }, [0, ...Array(99).fill(2)]), 1);
  });

  it("bias before the rest, and ban", () => {
    assert.equal(greedy({ logitBias: { 2: 5 } }, []), 2);
    assert.equal(greedy({ logitBias: new Map([[0, -Infinity]]) }, []), 1);
    const banned = draws(row(2, 1.5, -1), { ...OFF, topK: 3, logitBias: { 0: -Infinity } }, 200);
    assert.ok(!banned.has(0) && banned.has(1) && banned.has(2));
  });
});

describe("a sampler", () => {
  it("leaves the logits alone", () => {
    const logits = normalRow(300, 1);
    const before = logits.slice();
    const options = { repetitionPenalty: 1.3, logitBias: { 5: 2 }, logprobs: 3, seed: 1 };
    createSampler(options).sample(logits, [1, 2, 3], 0);
    assert.deepEqual(logits, before);
  });

  it("draws by seed and position, not by what it drew before", () => {
    const logits = normalRow(300, 1);
    const ids = (order: number[], seed: number) => {
      const sampler = createSampler({ ...OFF, seed });
      return new Map(order.map((position) => [position, sampler.sample(logits, [], position).id] as const));
    };
    const forward = ids([0, 1, 2, 3, 4, 5, 6, 7], 42);
    const backward = ids([7, 6, 5, 4, 3, 2, 1, 0], 42);
    for (const [position, id] of forward) assert.equal(backward.get(position), id);
    assert.notDeepEqual(ids([0, 1, 2, 3, 4, 5, 6, 7], 43), forward);
    assert.notDeepEqual(ids([0, 1, 2, 3, 4, 5, 6, 7], 42 + 2 ** 32), forward, "all bits of the seed count");
  });

  it("tells a backend how to choose the same, where the best ids are all it takes", () => {
    const logits = normalRow(300, 1);
    for (const options of [{}, { temperature: 0 }, { topK: 5, topP: 0.8 }, { temperature: 3, topK: 256, minP: 0.01 }]) {
      const sampler = createSampler({ seed: 9, ...options });
      const drawAt = sampler.drawAt ?? assert.fail("no draws");
      for (let position = 0; position < 50; position++) {
        assert.ok(drawAt(position).topK <= sampler.candidates);
        assert.equal(chooseIndex(logits, drawAt(position)), sampler.sample(logits, [], position).id);
      }
    }
    for (const options of [
      { topK: 0 },
      { topK: 257 },
      { logprobs: 0 },
      { presencePenalty: 1 },
      { logitBias: { 1: 1 } },
    ]) {
      assert.equal(createSampler(options).drawAt, undefined);
    }
  });

  it("tells the seed that it chose", () => {
    const logits = normalRow(300, 1);
    const first = createSampler();
    const again = createSampler({ seed: first.seed });
    for (let i = 0; i < 20; i++) assert.deepEqual(again.sample(logits, [], i), first.sample(logits, [], i));
  });

  it("has random numbers without pattern", () => {
    for (const seed of [0, 1, 2 ** 40]) {
      const values = Array.from({ length: 4096 }, (_, position) => uniform(seed, position));
      assert.ok(values.every((value) => value >= 0 && value < 1));
      const mean = values.reduce((a, b) => a + b) / values.length;
      const next =
        values.reduce((sum, value, i) => sum + (value - 0.5) * ((values[i + 1] ?? 0.5) - 0.5), 0) / values.length;
      assert.ok(Math.abs(mean - 0.5) < 0.02 && Math.abs(next) < 0.006, `mean ${mean}, correlation ${next}`);
      assert.equal(new Set(values).size, values.length);
    }
  });

  it("reports probabilities of the model, whatever the filters", () => {
    const logits = row(Math.log(4), Math.log(3), Math.log(2), Math.log(1));
    const options = { temperature: 0, logprobs: 2, logitBias: { 0: -Infinity } };
    const { id, logprob, top } = createSampler(options).sample(logits, [], 0);
    const close = (actual: number | undefined, p: number) =>
      assert.ok(Math.abs((actual as number) - Math.log(p)) < 1e-6);
    assert.equal(id, 1);
    close(logprob, 0.3);
    assert.deepEqual(
      top?.map((each) => each.id),
      [0, 1],
    );
    close(top?.[0]?.logprob, 0.4);
    assert.deepEqual(createSampler({ temperature: 0, logprobs: 0 }).sample(logits, [], 0).top, []);
    assert.deepEqual(createSampler({ temperature: 0 }).sample(logits, [], 0), { id: 0 });
  });
});

describe("bad input", () => {
  it("is reported with its name", () => {
    const cases: [SamplingOptions, string, RegExp][] = [
      [{ temperature: -1 }, "RangeError", /temperature: expected .* got -1/],
      [{ temperature: Number.NaN }, "RangeError", /temperature.*NaN/],
      [{ temperature: "1" as unknown as number }, "TypeError", /temperature: expected a number, got string/],
      [{ topK: 1.5 }, "RangeError", /topK: expected an integer of 0 or more, got 1.5/],
      [{ topK: -1 }, "RangeError", /topK: expected an integer of 0 or more, got -1/],
      [{ topP: 1.1 }, "RangeError", /topP: expected a number from 0 to 1, got 1.1/],
      [{ minP: -0.1 }, "RangeError", /minP/],
      [{ repetitionPenalty: 0 }, "RangeError", /repetitionPenalty: expected a number above 0/],
      [{ repetitionWindow: -1 }, "RangeError", /repetitionWindow/],
      [{ presencePenalty: Infinity }, "RangeError", /presencePenalty/],
      [{ frequencyPenalty: true as unknown as number }, "TypeError", /frequencyPenalty/],
      [{ logitBias: { x: 1 } as unknown as Record<number, number> }, "RangeError", /logitBias id/],
      [{ logitBias: { 1: Infinity } }, "RangeError", /logitBias\[1\]/],
      [{ logitBias: 3 as unknown as Record<number, number> }, "TypeError", /logitBias/],
      [{ seed: -1 }, "RangeError", /seed/],
      [{ logprobs: 101 }, "RangeError", /logprobs: expected an integer from 0 to 100, got 101/],
    ];
    for (const [options, name, message] of cases) assert.throws(() => createSampler(options), { name, message });
  });

  it("includes ids outside the vocabulary", () => {
    const biased = createSampler({ logitBias: { 9: 1 } });
    assert.throws(() => biased.sample(row(1, 2), [], 0), { name: "RangeError", message: /logitBias.*below 2, got 9/ });
    const penalised = createSampler({ presencePenalty: 1 });
    assert.throws(() => penalised.sample(row(1, 2), [9], 0), { name: "RangeError", message: /history.*got 9/ });
  });

  it("of a backend is its failure", () => {
    for (const logits of [row(1, Number.NaN), row(Number.NaN, 1), row(1, Infinity), row(-Infinity, -Infinity), row()]) {
      for (const temperature of [0, 1]) {
        assert.throws(() => createSampler({ temperature }).sample(logits, [], 0), {
          code: "BACKEND_FAILED",
          message: /logits/,
        });
      }
    }
  });
});
