/** Answers on the GPU, where the device samples and several steps are under way, are those of the steps one by one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { GenerateOptions } from "../../../src/index.js";
import { freshIds, GREEDY, PROMPT, someIds, withEngine } from "../../engine/engines.js";
import { NO_ADAPTER } from "./require.js";

const SEEDED = { temperature: 14, topK: 40, topP: 1, minP: 0, seed: 7, ignoreEnd: true } satisfies GenerateOptions;

test("running ahead gives the ids of single steps, alone and beside others", { skip: NO_ADAPTER }, async () => {
  await withEngine({ backend: "gpu", threads: undefined, contextLength: 128 }, async (engine) => {
    for (const options of [GREEDY, SEEDED]) {
      const answer = { ...options, maxTokens: 30 };
      const stepped = { ...answer, logprobs: 0 }; // log probabilities are made on the host
      const want = await freshIds(engine, PROMPT, stepped);
      assert.equal(want.length, 30);
      assert.deepEqual(await freshIds(engine, PROMPT, answer), want);
      const together = await Promise.all([
        freshIds(engine, PROMPT, answer),
        freshIds(engine, PROMPT, stepped),
        freshIds(engine, PROMPT, answer),
        freshIds(engine, someIds(90), answer),
      ]);
      assert.deepEqual(together.slice(0, 3), [want, want, want]);
    }
  });
});

test("an abort ends an answer that runs ahead, and the session goes on", { skip: NO_ADAPTER }, async () => {
  await withEngine({ backend: "gpu", threads: undefined, contextLength: 128 }, async (engine) => {
    const want = await freshIds(engine, PROMPT, { ...SEEDED, maxTokens: 20 });
    const session = engine.session();
    const abort = new AbortController();
    const ids: number[] = [];
    const aborted = async () => {
      for await (const { id } of session.generate(PROMPT, { ...SEEDED, signal: abort.signal })) {
        ids.push(id as number);
        if (ids.length === 6) abort.abort();
      }
    };
    await assert.rejects(aborted, { name: "AbortError" });
    assert.deepEqual(ids, want.slice(0, 6));
    assert.deepEqual(session.tokens.slice(-5), want.slice(0, 5));
    const more = session.generate([...session.tokens, want[5]], { ...SEEDED, maxTokens: 14 });
    const rest: number[] = [];
    for await (const { id } of more) if (id !== undefined) rest.push(id);
    assert.deepEqual(rest, want.slice(6));
  });
});
