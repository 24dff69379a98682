/** Whole answers on the GPU: those of the CPU, from devices that live and devices that are lost. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CpuBackend } from "../../../src/backend/cpu/cpu.js";
import { GpuBackend } from "../../../src/backend/gpu/gpu.js";
import { Engine } from "../../../src/engine/engine.js";
import { openGguf } from "../../../src/engine/input.js";
import { placeModel } from "../../../src/engine/placing.js";
import { createTokenizer } from "../../../src/engine/text.js";
import type { TernionError } from "../../../src/errors.js";
import { Grammars } from "../../../src/grammar/grammar.js";
import { readConfig } from "../../../src/model/config.js";
import { weightSources } from "../../../src/model/weights.js";
import { node } from "../../../src/platform/node.js";
import type { Recover } from "../../../src/run/failover.js";
import { collect, type GenerateOptions, type Piece } from "../../../src/run/generate.js";
import { Places } from "../../../src/run/places.js";
import { Scheduler } from "../../../src/run/scheduler.js";
import { Session } from "../../../src/run/session.js";
import { repositoryFile } from "../../golden.js";
import { NO_ADAPTER } from "./require.js";

const BOX = repositoryFile("models/ternion-tiny.gguf");
const GREEDY = { temperature: 0, maxTokens: 40 } as const;

async function answer(session: Session, prompt: string, onPiece = (_count: number) => {}) {
  const ids: number[] = [];
  let text = "";
  for await (const piece of session.generate(prompt, GREEDY)) {
    text += piece.text;
    if (piece.id !== undefined) ids.push(piece.id);
    onPiece(ids.length);
  }
  return { ids, text };
}

/** Difference of the best two logits after `ids`. */
async function gapOfBestTwo(session: Session, ids: readonly number[]): Promise<number> {
  for await (const { top } of session.generate(ids, { temperature: 0, maxTokens: 1, logprobs: 2 })) {
    if (top !== undefined) return top[0].logprob - top[1].logprob;
  }
  return assert.fail("no logprobs");
}

/** A session on a GPU backend of its own, put together as the engine does. */
async function gpuSession(recover?: (parts: Parameters<typeof placeModel>[1]) => Recover) {
  const file = await openGguf(BOX);
  const config = readConfig(file);
  const sources = weightSources(file, config);
  const limits = {
    contextLength: 256,
    maxSessions: 1,
    cachePositions: 256,
    maxRows: 32,
    kv: "f32",
    head: "exact",
    i2sLayout: "auto",
  } as const;
  const backend = await GpuBackend.create({ maxRows: limits.maxRows });
  const parts = { config, sources, limits };
  const { model } = await placeModel(backend, parts, {});
  const scheduler = new Scheduler({ backend, model }, limits.maxRows, node.nextTurn, recover?.(parts));
  const tokenizer = createTokenizer(file.metadata);
  const { vocabularySize } = config;
  const places = new Places(scheduler, 1);
  const session = new Session({
    ...{ scheduler, places, tokenizer, vocabularySize, contextLength: 256 },
    chatTemplate: undefined,
    grammars: new Grammars(tokenizer, node.nextTurn),
  });
  return { backend, scheduler, session };
}

describe("the engine on a GPU", { skip: NO_ADAPTER }, () => {
  test("greedy answers are the CPU's, but for near ties, and a session goes on from its cache", async () => {
    await using cpu = await Engine.load(BOX, { backend: "cpu", contextLength: 256, tuning: { kv: "f32" } });
    await using gpu = await Engine.load(BOX, { backend: "gpu", contextLength: 256, tuning: { kv: "f32" } });
    const [mine, theirs] = [gpu.session(), cpu.session()];
    const first = await answer(mine, "What is the capital of France?");
    assert.deepEqual(first, await answer(theirs, "What is the capital of France?"));
    for (const prompt of [`What is the capital of France?${first.text} And`, "Once upon a time"]) {
      const [got, want] = [await answer(mine, prompt), await answer(theirs, prompt)];
      const at = want.ids.findIndex((id, i) => id !== got.ids[i]);
      if (at < 0) continue;
      const before = [...cpu.tokenizer.encode(prompt), ...want.ids.slice(0, at)];
      const gap = await gapOfBestTwo(theirs, before);
      assert.ok(gap < 0.05, `${prompt}: token ${at} differs though the best two are ${gap} apart`);
    }
  });

  test("a seed means the same text with steps under way and step by step", async () => {
    await using engine = await Engine.load(BOX, { backend: "gpu", contextLength: 256 });
    const texts: string[] = [];
    // logprobs want whole rows, which are sampled on the host
    for (const logprobs of [undefined, 0]) {
      await using session = engine.session();
      let text = "";
      for await (const piece of session.generate("Once upon a time", { seed: 1, maxTokens: 30, logprobs })) {
        text += piece.text;
      }
      texts.push(text);
    }
    assert.equal(texts[0], texts[1]);
  });

  test("answers of all kinds share runs, and each is the one that it is alone", async () => {
    await using engine = await Engine.load(BOX, { backend: "gpu", contextLength: 64, maxSessions: 3 });
    const kinds = [{ temperature: 0 }, {}, { logprobs: 2 }, { presencePenalty: 2 }, { logitBias: { 7: 3 } }];
    const answerOf = async (options: GenerateOptions, i: number) => {
      await using session = engine.session();
      const pieces: Piece[] = [];
      const answer = session.generate(`Once upon a time ${i}`, { ...options, seed: i, maxTokens: 12 });
      for await (const { finish, prompt, ...piece } of answer) pieces.push(piece); // what is cached differs
      return pieces;
    };
    const alone: Piece[][] = [];
    for (const [i, options] of kinds.entries()) alone.push(await answerOf(options, i));
    assert.deepEqual(await Promise.all(kinds.map(answerOf)), alone);
  });

  test("a session goes on from what another computed, whole blocks and a part of one, as if it had itself", async () => {
    const common = Array.from({ length: 200 }, (_, i) => 20 + ((i * i) % 200));
    const [one, other] = [31, 32].map((id) => [...common, id]);
    const options = { temperature: 0, maxTokens: 6, ignoreEnd: true } as const;
    const load = () => Engine.load(BOX, { backend: "gpu", contextLength: 384 });
    const answerOf = (engine: Engine, ids: readonly number[]) => collect(engine.session().generate(ids, options));
    await using alone = await load();
    const want = await answerOf(alone, other);
    assert.equal(want.finish.usage.cachedTokens, 0);
    await using engine = await load();
    await answerOf(engine, one);
    const found = await answerOf(engine, other);
    assert.equal(found.finish.usage.cachedTokens, common.length); // 128 of a block, and a copy of 72
    assert.deepEqual(found.ids, want.ids);
  });

  test("an answer ends with DEVICE_LOST when the device is destroyed, and closing works", async () => {
    const { backend, session } = await gpuSession();
    const lost = answer(session, "Once upon a time", (count) => {
      if (count === 5) backend.destroyDevice();
    });
    await assert.rejects(lost, (error: TernionError) => error.code === "DEVICE_LOST");
    await backend.close();
  });

  test("an answer goes on with the CPU when the device is destroyed, as if nothing had been", async () => {
    let reasons = 0;
    const { backend, scheduler, session } = await gpuSession((parts) => async (reason) => {
      assert.equal((reason as TernionError).code, "DEVICE_LOST");
      reasons++;
      await backend.close();
      return placeModel(await CpuBackend.create({ maxRows: parts.limits.maxRows, threads: 1 }), parts, {});
    });
    const moved = await answer(session, "What is the capital of France?", (count) => {
      if (count === 2) backend.destroyDevice();
    });
    const again = await answer(session, "What is the capital of Italy?");
    assert.equal(reasons, 1);
    assert.equal(scheduler.backend.kind, "cpu");
    await scheduler.backend.close();

    await using engine = await Engine.load(BOX, { backend: "cpu", contextLength: 256, tuning: { kv: "f32" } });
    assert.deepEqual(moved, await answer(engine.session(), "What is the capital of France?"));
    assert.deepEqual(again, await answer(engine.session(), "What is the capital of Italy?"));
  });

  test("an abort ends an answer, and the session goes on", async () => {
    await using engine = await Engine.load(BOX, { backend: "gpu", contextLength: 256 });
    const session = engine.session();
    const controller = new AbortController();
    const reason = new Error("enough");
    const stopped = async () => {
      let count = 0;
      for await (const _ of session.generate("Once upon a time", { ...GREEDY, signal: controller.signal })) {
        if (++count === 3) controller.abort(reason);
      }
    };
    await assert.rejects(stopped(), (error) => error === reason);
    assert.ok((await answer(session, "What is the capital of France?")).text.includes("Paris"));
  });
});
