/** Files in each I2_S layout: same logits, bit for bit, on both backends. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Engine, type EngineOptions, type TernionError } from "../../src/index.js";
import { repositoryFile } from "../golden.js";
import { reorder, rewriteCodes } from "../layouts.js";
import { Random } from "../random.js";
import { GQA } from "./engines.js";

const BOX = repositoryFile("models/ternion-tiny.gguf");
const IDS = [1, 7, 250, 33, 9];

async function logits(path: string, options: EngineOptions): Promise<Float32Array> {
  await using engine = await Engine.load(path, { threads: 2, contextLength: 64, ...options });
  return ((await engine.trace(IDS)).get("logits") as { data: Float32Array }).data;
}

describe("I2_S layouts", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "ternion-layouts-"));
  });
  after(() => rm(directory, { recursive: true }));

  for (const layout of ["block64", "rows4"] as const) {
    let box: string;
    before(async () => {
      box = join(directory, `${layout}-box.gguf`);
      await rewriteCodes(BOX, box, (codes, columns) => reorder(codes, columns, "block128", layout));
    });
    it(`${layout} gives the logits of the original`, async () => {
      const gqa = join(directory, `${layout}-gqa.gguf`);
      await rewriteCodes(GQA, gqa, (codes, columns) => reorder(codes, columns, "block128", layout));
      for (const [model, path, backend] of [
        [BOX, box, "cpu"],
        [GQA, gqa, "reference"],
      ] as const) {
        const expected = await logits(model, { backend });
        assert.deepEqual(await logits(path, { backend, i2sLayout: layout }), expected);
        assert.notDeepEqual(await logits(path, { backend, i2sLayout: "block128" }), expected);
      }
    });

    it(`${layout} is recognised`, async () => {
      await using engine = await Engine.load(box, { threads: 2, contextLength: 64 });
      assert.equal(engine.loadReport.i2sLayout, layout);
      assert.deepEqual(await logits(box, {}), await logits(BOX, {}));
    });

    it(`${layout} read as block128 does not pass the self-check`, async () => {
      await using engine = await Engine.load(box, { threads: 2, contextLength: 64, i2sLayout: "block128" });
      const { ok, perplexity, limit } = await engine.selfCheck();
      assert.equal(ok, false);
      assert.ok(perplexity >= limit);
    });
  }

  it("the standard one is taken for what it is, and passes the self-check", async () => {
    await using engine = await Engine.load(BOX, { threads: 2, contextLength: 64, maxSessions: 1 });
    assert.equal(engine.loadReport.i2sLayout, "block128");
    const { ok, perplexity, limit, tokens } = await engine.selfCheck();
    assert.equal(ok, true);
    assert.equal(limit, engine.config.vocabularySize ** 0.75);
    assert.ok(perplexity > 1 && perplexity < limit && tokens > 20);
    await engine.session().close(); // its place is free again
  });

  it("models of random weights load as block128", async () => {
    await using engine = await Engine.load(GQA, { threads: 2, contextLength: 64 });
    assert.equal(engine.loadReport.i2sLayout, "block128");
  });

  it("a trained file with random codes is refused, unless its layout is named", async () => {
    const path = join(directory, "random.gguf");
    const random = new Random(1);
    const code = () => random.integer(0, 2);
    await rewriteCodes(BOX, path, (codes) => codes.map(() => (code() << 6) | (code() << 4) | (code() << 2) | code()));
    await assert.rejects(
      Engine.load(path, { threads: 2, contextLength: 64 }),
      (error: TernionError) =>
        error.code === "MODEL_CODES" && /looks corrupt: .*block128.*block64.*rows4/.test(error.message),
    );
    const engine = await Engine.load(path, { threads: 2, contextLength: 64, i2sLayout: "block128" });
    await engine.close();
  });

  it("an unknown one is refused", async () => {
    const options = { i2sLayout: "block256" } as unknown as EngineOptions;
    await assert.rejects(Engine.load(BOX, options), /^RangeError: i2sLayout: expected auto or block128 or/);
  });
});
