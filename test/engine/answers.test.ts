/** The same ids whatever computes them and beside whatever else: threads, batch size, other sessions, cached prefixes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { collect, type EngineOptions, type Session } from "../../src/index.js";
import { freshIds, GQA, GREEDY, idsOf, PROMPT, someIds, TINY, VARIED, withEngine } from "./engines.js";

describe("the same ids for", () => {
  const variants: [string, EngineOptions][] = [
    ["1 thread", { threads: 1 }],
    ["3 threads", { threads: 3 }],
    ["batches of 1", { batchSize: 1 }],
    ["batches of 7", { batchSize: 7 }],
    ["the baseline kernel", { tuning: { kernel: "ternaryDotBaseline" } }],
  ];
  for (const path of [TINY, GQA]) {
    const maxTokens = path === TINY ? 40 : 12;
    const ids = (options: EngineOptions) => {
      return withEngine(options, (engine) => freshIds(engine, PROMPT, { ...VARIED, maxTokens }), path);
    };
    test(`any threads, batch size and kernel on ${path.split("/").at(-2)}`, async () => {
      const want = await ids({ threads: 2, batchSize: 64 });
      assert.equal(want.length, maxTokens);
      assert.ok(new Set(want).size > maxTokens / 3, "an answer that repeats itself shows nothing");
      for (const [name, options] of variants) assert.deepEqual(await ids(options), want, name);
    });
  }

  test("cpu and reference, up to a near tie", async () => {
    for (const path of [TINY, GQA]) {
      const [cpu, reference] = await Promise.all(
        (["cpu", "reference"] as const).map((backend) => {
          return withEngine({ backend, tuning: { kv: "f32" } }, (engine) => greedySteps(engine.session()), path);
        }),
      );
      const parting = cpu.findIndex(({ id }, i) => id !== reference[i].id);
      // one int8 activation that rounds the other way moves logits by some per cent
      if (parting !== -1) assert.ok(cpu[parting].margin < 0.5, `parted at ${parting} by ${cpu[parting].margin}`);
      const same = cpu.slice(0, parting === -1 ? cpu.length : parting);
      assert.ok(same.length >= 4, `parted at token ${parting}`);
      same.forEach(({ logprob }, i) => {
        const want = reference[i].logprob;
        assert.ok(Math.abs(logprob - want) <= 0.1 + 0.05 * Math.abs(want), `token ${i}: ${logprob}, not ${want}`);
      });
    }
  });
});

describe("the best ids of a row choose as the whole row does", () => {
  for (const options of [
    { temperature: 0 },
    { temperature: 0, frequencyPenalty: 20, repetitionWindow: 200 },
    { temperature: 14, topK: 40 },
    { temperature: 14, topK: 7, topP: 0.7, minP: 0.2, repetitionPenalty: 1.3 },
    { temperature: 14, topK: 100, presencePenalty: 30 },
    { temperature: 14, topK: 256, seed: 3 },
  ]) {
    test(JSON.stringify(options), async () => {
      await withEngine({ threads: 3 }, async (engine) => {
        const answer = { seed: 5, ignoreEnd: true, maxTokens: 25, ...options };
        const short = await freshIds(engine, PROMPT, answer);
        // log probabilities need the whole row
        assert.deepEqual(await freshIds(engine, PROMPT, { ...answer, logprobs: 0 }), short);
        const mixed = await Promise.all(
          [answer, { ...answer, logprobs: 0 }, answer].map((o) => freshIds(engine, PROMPT, o)),
        );
        assert.deepEqual(mixed, [short, short, short]);
      });
    });
  }
});

/** Eight greedy tokens, none of them twice, and how far the best raw logit was ahead of the next. */
async function greedySteps(session: Session) {
  const steps: { id: number; logprob: number; margin: number }[] = [];
  const options = { ...GREEDY, maxTokens: 8, logprobs: 2, presencePenalty: 1000 };
  for await (const { id, logprob = 0, top = [] } of session.generate(PROMPT, options)) {
    if (id !== undefined) steps.push({ id, logprob, margin: top[0].logprob - top[1].logprob });
  }
  return steps;
}

describe("sessions at the same time", () => {
  const prompts = [PROMPT, someIds(100), "b", someIds(33, 300, 5)];

  for (const options of [{}, { batchSize: 7 }, { batchSize: 1 }, { threads: 3 }]) {
    test(`answer as alone, ${JSON.stringify(options)}`, async () => {
      await withEngine({ maxSessions: 4, ...options }, async (engine) => {
        const answer = { ...VARIED, maxTokens: 20 };
        const alone: number[][] = [];
        for (const prompt of prompts) alone.push(await freshIds(engine, prompt, answer));
        for (const count of [2, 4]) {
          const together = await Promise.all(prompts.slice(0, count).map((each) => freshIds(engine, each, answer)));
          assert.deepEqual(together, alone.slice(0, count));
        }
      });
    });
  }

  test("join while another answers, and leave before it ends", async () => {
    await withEngine({}, async (engine) => {
      const answer = { ...VARIED, maxTokens: 30 };
      const [long, short] = [await freshIds(engine, prompts[1], answer), await freshIds(engine, PROMPT, answer)];
      const [a, b] = [engine.session(), engine.session()];
      const ids: number[] = [];
      let joined: Promise<number[]> | undefined;
      for await (const { id } of a.generate(prompts[1], answer)) {
        if (id === undefined) continue;
        ids.push(id);
        if (ids.length === 5) joined = idsOf(b, PROMPT, { ...answer, maxTokens: 10 });
      }
      assert.deepEqual(ids, long);
      assert.deepEqual(await joined, short.slice(0, 10));
    });
  });

  test("a prompt gets on beside answers that fill every batch", async () => {
    await withEngine({ batchSize: 2, maxSessions: 3 }, async (engine) => {
      const endless = [engine.session(), engine.session()];
      const abort = new AbortController();
      const answers = endless.map((s) => idsOf(s, "x", { ...GREEDY, maxTokens: 400, signal: abort.signal }));
      const ended = Promise.all(
        answers.map((answer) =>
          answer.then(
            () => "whole",
            () => "aborted",
          ),
        ),
      );
      await freshIds(engine, someIds(40), { ...GREEDY, maxTokens: 1 });
      abort.abort();
      assert.deepEqual(await ended, ["aborted", "aborted"], "the prompt came after the answers");
    });
  });
});

describe("prefix reuse", () => {
  test("gives the same ids as from scratch, and says how much was cached", async () => {
    await withEngine({}, async (engine) => {
      const session = engine.session();
      const base = someIds(50);
      for (const [prompt, cached] of [
        [base, 0],
        [[...base, 1, 2, 3], 50], // longer: what the answer computed beyond is dropped
        [base.slice(0, 20), 19], // shorter: the last id is fed again for its logits
        [base.slice(0, 20), 19],
        [[...base.slice(0, 10), 5, 6], 10],
        [[9, ...base], 0],
      ] as const) {
        const answer = await collect(session.generate(prompt, { ...VARIED, maxTokens: 6 }));
        assert.deepEqual(answer.ids, await freshIds(engine, prompt, { ...VARIED, maxTokens: 6 }));
        assert.equal(answer.finish.usage.cachedTokens, cached);
        assert.equal(answer.finish.usage.promptTokens, prompt.length);
        assert.deepEqual(session.tokens, [...prompt, ...answer.ids.slice(0, -1)]);
      }
    });
  });

  test("goes on after its own answer", async () => {
    await withEngine({}, async (engine) => {
      const whole = await freshIds(engine, someIds(20), { ...VARIED, maxTokens: 30 });
      const session = engine.session();
      const ids = someIds(20);
      for (let turn = 0; turn < 3; turn++) {
        const { ids: more, finish } = await collect(session.generate(ids, { ...VARIED, maxTokens: 10 }));
        assert.equal(finish.usage.cachedTokens, turn === 0 ? 0 : ids.length - 1);
        ids.push(...more);
      }
      assert.deepEqual(ids.slice(20), whole, "random numbers belong to positions, so turns make no difference");
    });
  });

  test("reset forgets", async () => {
    await withEngine({}, async (engine) => {
      const session = engine.session();
      await idsOf(session, PROMPT, { ...GREEDY, maxTokens: 3 });
      session.reset();
      assert.deepEqual(session.tokens, []);
      const { finish } = await collect(session.generate(PROMPT, { ...GREEDY, maxTokens: 1 }));
      assert.equal(finish.usage.cachedTokens, 0);
    });
  });
});
