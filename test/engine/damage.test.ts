/**
 * Damage in the float weights of a file: an engine refuses it while loading, or answers with finite numbers, or ends the
 * answer with an error. It never prints garbage in silence.
 */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Engine, type EngineOptions, type GgufFile, perplexity, readGguf, TernionError } from "../../src/index.js";
import { NO_ADAPTER } from "../backend/gpu/require.js";
import { Random } from "../random.js";
import { GREEDY, idsOf, TINY } from "./engines.js";

const BACKENDS: readonly EngineOptions[] = [
  { backend: "cpu", threads: 2 },
  { backend: "reference" },
  { backend: "gpu" },
];
const TRIALS = 40;
const IDS = [1, 5, 9, 200, 31, 77];

let folder = "";
let file: GgufFile;
let sound: Buffer;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ternion-"));
  file = await readGguf(TINY);
  sound = await readFile(TINY);
});
after(() => rm(folder, { recursive: true }));

/** Loads a copy of the model with the bytes of some tensors changed. */
async function loadChanged(
  change: (bytes: Buffer, name: string, type: string) => void,
  options: EngineOptions,
): Promise<Engine> {
  const bytes = Buffer.from(sound);
  for (const [name, { type, offset, byteLength }] of file.tensors) {
    change(bytes.subarray(offset, offset + byteLength), name, type);
  }
  const path = join(folder, "changed.gguf");
  await writeFile(path, bytes);
  return await Engine.load(path, { contextLength: 64, ...options });
}

/** Every F32 norm of that name becomes 3e38: its rows overflow, which loading cannot know. */
const huge = (norm: string) => (bytes: Buffer, name: string) => {
  if (!name.includes(norm)) return;
  for (let at = 0; at < bytes.length; at += 4) bytes.writeFloatLE(3e38, at);
};

describe("numbers that overflow while the model computes", () => {
  for (const options of BACKENDS) {
    for (const norm of ["output_norm", "attn_norm", "ffn_sub_norm"]) {
      // float64 bears what is not rounded to float32 on its way; an engine on a software adapter takes seconds to load
      if (options.backend === "reference" && norm !== "output_norm") continue;
      if (options.backend === "gpu" && norm !== "attn_norm") continue;
      const skip = options.backend === "gpu" && NO_ADAPTER;
      test(`${norm}, ${options.backend}: no ids, no scores, and the self-check fails`, { skip }, async () => {
        await using engine = await loadChanged(huge(norm), options);
        await using session = engine.session();
        const failed = { code: "BACKEND_FAILED", message: /expected (a )?finite number/ };
        await assert.rejects(idsOf(session, IDS, { ...GREEDY, maxTokens: 2 }), failed);
        await assert.rejects(idsOf(session, IDS, { temperature: 1, topK: 0, topP: 1, maxTokens: 2 }), failed);
        await assert.rejects(idsOf(session, IDS, { ...GREEDY, logprobs: 3, maxTokens: 2 }), failed);
        await assert.rejects(session.score(IDS), failed);
        await assert.rejects(perplexity(engine, IDS), failed);
        const { ok, perplexity: found, limit } = await engine.selfCheck();
        assert.deepEqual({ ok, found }, { ok: false, found: Number.POSITIVE_INFINITY });
        assert.ok(limit > 0);
      });
    }
  }
});

test("random bytes in float tensors: refused, or finite scores, or an error", async (t) => {
  const random = new Random(1);
  const outcomes = { refused: 0, scored: 0, failed: 0 };
  const dense = [...file.tensors].filter(([, { type }]) => type !== "I2_S").map(([name]) => name);
  for (let trial = 0; trial < TRIALS; trial++) {
    const target = dense[random.integer(0, dense.length - 1)];
    const length = 2 ** random.integer(0, 12);
    const damage = (bytes: Buffer, name: string) => {
      if (name !== target) return;
      const begin = random.integer(0, Math.max(0, bytes.length - length));
      for (let i = begin; i < Math.min(bytes.length, begin + length); i++) bytes[i] = random.integer(0, 255);
    };
    outcomes[await outcomeOf(damage, BACKENDS[trial % 2])]++;
  }
  t.diagnostic(JSON.stringify(outcomes));
  assert.ok(outcomes.refused > TRIALS / 10 && outcomes.scored > TRIALS / 10, JSON.stringify(outcomes));
});

async function outcomeOf(damage: Parameters<typeof loadChanged>[0], options: EngineOptions) {
  const refused = (code: string) => (error: unknown) => {
    assert.ok(error instanceof TernionError && error.code === code, String(error));
  };
  const engine = await loadChanged(damage, options).catch(refused("MODEL_CODES"));
  if (engine === undefined) return "refused";
  try {
    await using session = engine.session();
    const scores = await session.score(IDS).catch(refused("BACKEND_FAILED"));
    if (scores === undefined) return "failed";
    assert.ok(scores.every(Number.isFinite));
    const ids = await idsOf(session, IDS, { ...GREEDY, maxTokens: 2 }).catch(refused("BACKEND_FAILED"));
    return ids === undefined ? "failed" : "scored";
  } finally {
    await engine.close();
  }
}
