/** Embeddings: pooled hidden states against those of a trace in float64, on each backend, in company, and what is refused. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openGguf, readGguf } from "../../src/engine/input.js";
import { writeGguf } from "../../src/engine/write.js";
import { type GgufKeyValue, keyValues } from "../../src/gguf/write.js";
import { collect, type Engine, type EngineOptions, type Pooling, TernionError } from "../../src/index.js";
import { repairMetadata } from "../../src/model/repair.js";
import { NO_ADAPTER } from "../backend/gpu/require.js";
import { GREEDY, PROMPT, someIds, TINY, withEngine } from "../engine/engines.js";
import { repositoryFile } from "../golden.js";

const QWEN = repositoryFile("test/golden/qwen3-q2/model.gguf");
const TEXTS = ["A small engine", "of ternary weights, a text that is a good deal longer than the others", "Ω ≠ 3"];
const LONG = someIds(150, 300); // three batches of the CPU

/** Normed hidden states of a prompt (rows, width), as the forward pass names them. */
async function statesOf(engine: Engine, ids: readonly number[]) {
  const { data, width } = (await engine.trace(ids)).get("result_norm") ?? assert.fail("no such tensor");
  return Array.from({ length: ids.length }, (_, row) => data.subarray(row * width, (row + 1) * width));
}

function pooled(states: readonly Float32Array[], pooling: Pooling): Float64Array {
  const one = { last: [states.length - 1], cls: [0], mean: states.keys() }[pooling];
  const rows = [...one].map((row) => states[row]);
  const sum = Float64Array.from(states[0], (_, i) => rows.reduce((total, row) => total + row[i], 0));
  const length = Math.hypot(...sum);
  return sum.map((value) => value / length);
}

function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.equal(a.length, b.length);
  return Math.hypot(...Array.from(a, (value, i) => value - b[i]));
}

const BACKENDS = ["reference", "cpu", "gpu"] as const;

describe("engine.embed", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ternion-embed-"));
  });
  after(() => rm(folder, { recursive: true }));

  for (const backend of BACKENDS) {
    const skip = backend === "gpu" && NO_ADAPTER;
    for (const pooling of backend === "cpu" ? (["mean", "last", "cls"] as const) : (["mean"] as const)) {
      it(`gives the ${pooling} of the ${backend} backend's own hidden states, of length 1`, { skip }, async () => {
        await withEngine({ backend, pooling, tuning: { kv: "f32" } }, async (engine) => {
          const prompts = backend === "reference" ? TEXTS.slice(0, 1) : [...TEXTS, LONG];
          const { vectors, promptTokens } = await engine.embed(prompts);
          const ids = prompts.map((each) => (typeof each === "string" ? engine.tokenizer.encode(each) : each));
          assert.equal(promptTokens, ids.flat().length);
          for (const [i, vector] of vectors.entries()) {
            assert.ok(distance(vector, pooled(await statesOf(engine, ids[i]), pooling)) < 1e-6, `${i}`);
            assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-6);
          }
        });
      });
    }
  }

  it("agrees with the float64 reference, where nothing is rounded on the way", async () => {
    const options = { pooling: "mean", tuning: { kv: "f32" } } as const;
    const of = (backend: "cpu" | "reference") =>
      withEngine({ ...options, backend }, (engine) => engine.embed([LONG.slice(0, 12)]), QWEN);
    const [cpu, exact] = [await of("cpu"), await of("reference")];
    assert.ok(distance(cpu.vectors[0], exact.vectors[0]) < 1e-5);
  });

  it("gives the same bits alone, in company, and beside answers", async () => {
    for (const pooling of ["mean", "last"] as const) {
      await withEngine({ pooling, maxSessions: 3 }, async (engine) => {
        const many = Array.from({ length: 5 }, (_, i) => [...TEXTS, LONG][i % 4]);
        const alone = [];
        for (const text of many) alone.push(...(await engine.embed([text])).vectors);
        const session = engine.session();
        const [{ vectors }, answer] = await Promise.all([
          engine.embed(many),
          collect(session.generate(PROMPT, { ...GREEDY, maxTokens: 20 })),
        ]);
        assert.deepEqual(vectors, alone);
        assert.equal(answer.ids.length, 20);
        assert.deepEqual(engine.activity, { running: 0, waiting: 0 });
      });
    }
  });

  it("keeps a part of the elements, of length 1 again", async () => {
    await withEngine({ pooling: "last" }, async (engine) => {
      const [whole, part] = await Promise.all([engine.embed(TEXTS), engine.embed(TEXTS, { dimensions: 10 })]);
      for (const [i, vector] of part.vectors.entries()) {
        const cut = whole.vectors[i].subarray(0, 10);
        assert.ok(
          distance(
            vector,
            cut.map((value) => value / Math.hypot(...cut)),
          ) < 1e-6,
        );
      }
      const { width } = engine.config;
      await assert.rejects(engine.embed(TEXTS, { dimensions: width + 1 }), RangeError);
    });
  });

  it("ends with its signal and with its engine, and leaves no place taken", async () => {
    await withEngine({ pooling: "mean", maxSessions: 2 }, async (engine) => {
      const controller = new AbortController();
      const ended = assert.rejects(engine.embed(Array(20).fill(LONG), { signal: controller.signal }), /enough/);
      controller.abort(new Error("enough"));
      await ended;
      assert.deepEqual(engine.activity, { running: 0, waiting: 0 });
      const closed = assert.rejects(engine.embed(Array(20).fill(LONG)), { code: "CLOSED" });
      await engine.close();
      await closed;
    });
  });

  it("refuses what has no vector", async () => {
    await withEngine({}, (engine) =>
      assert.rejects(engine.embed(["x"]), (error) => {
        assert.ok(error instanceof TernionError && error.code === "MODEL_KEY");
        assert.match(error.message, /^bitnet-b1\.58\.pooling_type: expected how .* got none/);
        return true;
      }),
    );
    await withEngine({ pooling: "mean", contextLength: 64 }, async (engine) => {
      const wrong = (texts: unknown) => engine.embed(texts as string[]);
      await assert.rejects(wrong("x"), /^TypeError: texts: expected an array/);
      await assert.rejects(wrong([1]), /texts\[0\]: expected a string or an array of token ids/);
      await assert.rejects(wrong(["x", [99_999]]), /texts\[1\]\[0\]: expected an id from 0/);
      await assert.rejects(wrong([[]]), /texts\[0\]: expected at least one token, got none/);
      await assert.rejects(wrong(["x", LONG]), { code: "CONTEXT_OVERFLOW" });
      assert.deepEqual(await engine.embed([]), { vectors: [], promptTokens: 0 });
    });
  });

  /** A copy of a model whose metadata says more. */
  async function withKeys(path: string, more: readonly GgufKeyValue[]): Promise<string> {
    const to = join(folder, `${more.map(({ key, value }) => `${key}=${value}`).join()}.gguf`);
    await using file = await openGguf(path);
    const tensors = Array.from(file.tensors.values(), ({ name, type, dims, offset, byteLength }) => ({
      name,
      type,
      dims,
      data: async function* () {
        const bytes = new Uint8Array(byteLength);
        await file.bytes[0].read(offset, bytes);
        yield bytes;
      },
    }));
    await writeGguf(to, { metadata: [...keyValues(file), ...more], tensors });
    return to;
  }

  it("pools as the metadata says, and ends texts as it says", async () => {
    const options: EngineOptions = { backend: "cpu" };
    const vectorOf = async (path: string, more: EngineOptions = {}, text: string | number[] = TEXTS[0]) =>
      withEngine({ ...options, ...more }, async (engine) => (await engine.embed([text])).vectors[0], path);
    for (const [type, pooling] of [
      [1, "mean"],
      [2, "cls"],
      [3, "last"],
    ] as const) {
      const path = await withKeys(TINY, [{ key: "bitnet-b1.58.pooling_type", type: "U32", value: type }]);
      assert.deepEqual(await vectorOf(path), await vectorOf(TINY, { pooling }), pooling);
    }
    const ended = await withKeys(TINY, [
      { key: "bitnet-b1.58.pooling_type", type: "U32", value: 3 },
      { key: "tokenizer.ggml.add_eos_token", type: "BOOL", value: true },
    ]);
    const ids = await withEngine({}, async ({ tokenizer }) => [...tokenizer.encode(TEXTS[0]), tokenizer.eos as number]);
    assert.deepEqual(await vectorOf(ended), await vectorOf(TINY, { pooling: "last" }, ids));
    const both = await withKeys(TINY, [{ key: "bitnet-b1.58.attention.causal", type: "BOOL", value: false }]);
    await assert.rejects(vectorOf(both, { pooling: "mean" }), /attention\.causal: expected attention to earlier/);
  });

  it("pools the last state of BitNet's embedding models, whose converter says mean", async () => {
    const { metadata } = await readGguf(QWEN);
    const said = new Map([...metadata, ["qwen3.pooling_type", 1], ["tokenizer.ggml.add_eos_token", true]] as const);
    const ofType = (type: number) => repairMetadata(new Map([...said, ["general.file_type", type]] as const));
    assert.equal(ofType(40).metadata.get("qwen3.pooling_type"), 3);
    assert.equal(ofType(1).metadata.get("qwen3.pooling_type"), 1);
  });
});
