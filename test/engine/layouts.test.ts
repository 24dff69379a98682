/** Files in each I2_S layout: same logits, bit for bit, on both backends. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Engine, type EngineOptions } from "../../src/index.js";
import { repositoryFile } from "../golden.js";
import { reorder, rewriteCodes } from "../layouts.js";
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
    it(`${layout} gives the logits of the original`, async () => {
      for (const [model, backend] of [
        [BOX, "cpu"],
        [GQA, "reference"],
      ] as const) {
        const path = join(directory, `${layout}-${backend}.gguf`);
        await rewriteCodes(model, path, (codes, columns) => reorder(codes, columns, "block128", layout));
        const expected = await logits(model, { backend });
        assert.deepEqual(await logits(path, { backend, i2sLayout: layout }), expected);
        assert.notDeepEqual(await logits(path, { backend, i2sLayout: "block128" }), expected);
      }
    });
  }

  it("an unknown one is refused", async () => {
    const options = { i2sLayout: "block256" } as unknown as EngineOptions;
    await assert.rejects(Engine.load(BOX, options), /^RangeError: i2sLayout: expected auto or block128 or/);
  });
});
