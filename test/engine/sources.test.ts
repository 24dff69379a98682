/** A model computes the same wherever its bytes lie, and a file of it is open once, for as long as it is needed. */
import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import {
  type ByteSource,
  boxModel,
  Engine,
  type EngineOptions,
  httpBytes,
  type ModelInput,
  modelSummary,
  readGguf,
} from "../../src/index.js";
import { NO_ADAPTER } from "../backend/gpu/require.js";
import { Sites } from "../hub/server.js";
import { splitModel } from "../splits.js";

const BOX = boxModel();
const IDS = [1, 2, 3, 40, 5];
const BACKENDS = [
  { backend: "cpu", threads: 1 },
  { backend: "cpu", threads: 3 },
  { backend: "reference" },
  { backend: "gpu" },
] as const satisfies EngineOptions[];

const sites = new Sites();
const given: Record<string, (bytes: Uint8Array<ArrayBuffer>) => string | URL | ModelInput | Promise<ModelInput>> = {
  "a path": () => BOX,
  "a file URL": () => pathToFileURL(BOX),
  "an array": (bytes) => bytes,
  "an array within a larger buffer": (bytes) => {
    const larger = new Uint8Array(bytes.byteLength + 14);
    larger.set(bytes, 7);
    return larger.subarray(7, 7 + bytes.byteLength);
  },
  "an ArrayBuffer": (bytes) => bytes.buffer,
  "a Blob": (bytes) => new Blob([bytes.subarray(0, 1000), bytes.subarray(1000)]),
  "a source of one's own": (bytes): ByteSource => ({
    name: "own",
    size: bytes.byteLength,
    async read(offset, into) {
      await new Promise((resolve) => setTimeout(resolve, 1)); // as over a wire
      into.set(bytes.subarray(offset, offset + into.byteLength));
    },
  }),
  "ranges of a server": async (bytes) => {
    const { origin } = await sites.serve(({ headers }, response) => {
      const [first, last] = (headers.range as string).slice("bytes=".length).split("-").map(Number);
      response.writeHead(206, { "content-range": `bytes ${first}-${last}/${bytes.byteLength}` });
      response.end(bytes.subarray(first, last + 1));
    });
    return httpBytes(`${origin}/model.gguf`);
  },
  "parts in any order, of several kinds": async () => {
    const [first, second, third] = await Promise.all((await splitModel(BOX, folder)).map((path) => readFile(path)));
    return [new Blob([third]), first, new Uint8Array(second).buffer];
  },
};

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ternion-sources-"));
});
after(async () => {
  await sites.close();
  await rm(folder, { recursive: true });
});

async function logitsOf(model: string | URL | ModelInput, options: EngineOptions): Promise<Float32Array> {
  await using engine = await Engine.load(model, { ...options, contextLength: 16 });
  return (await engine.trace(IDS)).get("logits")?.data ?? assert.fail("no logits");
}

for (const options of BACKENDS) {
  const { backend } = options;
  const name = `${backend}${"threads" in options ? `, ${options.threads} threads` : ""}`;
  describe(`the same logits, bit for bit: ${name}`, { skip: backend === "gpu" && NO_ADAPTER }, () => {
    let expected = new Float32Array();
    before(async () => {
      expected = (await logitsOf(BOX, options)) as Float32Array<ArrayBuffer>;
    });
    for (const [kind, make] of Object.entries(given)) {
      it(`from ${kind}`, async () => {
        const model = await make(new Uint8Array(await readFile(BOX)));
        assert.deepEqual(await logitsOf(model, options), expected);
      });
    }
  });
}

describe("bytes", () => {
  it("give their head, and its summary", async () => {
    const blob = new Blob([await readFile(BOX)]);
    const [fromPath, fromBlob] = [await readGguf(BOX), await readGguf(blob)];
    assert.deepEqual(fromBlob.tensors, fromPath.tensors);
    assert.equal(fromBlob.name, "(Blob)");
    assert.equal("bytes" in fromBlob, false);
    const summary = await modelSummary(BOX, { arch: "x" });
    assert.deepEqual(await modelSummary(blob, { arch: "x" }), { ...summary, filename: "(Blob)" });
  });

  it("that cannot be read end the load with their own error", async () => {
    const bytes = await readFile(BOX);
    const failing = (after: number): ByteSource => {
      let reads = 0;
      return {
        name: "failing",
        size: bytes.byteLength,
        async read(offset, into) {
          if (reads++ >= after) throw new Error("the wire is cut");
          into.set(bytes.subarray(offset, offset + into.byteLength));
        },
      };
    };
    for (const options of BACKENDS) {
      if (options.backend === "gpu" && NO_ADAPTER !== false) continue;
      for (const after of [0, 10, 60]) {
        await assert.rejects(Engine.load(failing(after), options), /^Error: the wire is cut$/, options.backend);
      }
    }
  });

  it("of some parts only, or of none, are refused", async () => {
    const [first, second] = await Promise.all((await splitModel(BOX, folder)).map((path) => readFile(path)));
    await assert.rejects(Engine.load([first, second]), {
      code: "GGUF_SPLIT",
      message: /expected all 3 parts of the model, got 2\. Give them in one array/,
    });
    await assert.rejects(Engine.load([first, await readFile(BOX), second]), { code: "GGUF_SPLIT" });
    await assert.rejects(Engine.load([]), /^RangeError: model: expected at least one part, got an empty array$/);
    await assert.rejects(Engine.load({ size: 5 } as never), /^TypeError: model: expected a path, a URL, a Blob/);
  });
});

describe("a file", { skip: process.platform !== "linux" && "no /proc/self/fd" }, () => {
  const timesOpen = () =>
    readdirSync("/proc/self/fd").filter((number) => {
      try {
        return readlinkSync(`/proc/self/fd/${number}`) === BOX;
      } catch {
        return false; // of the folder itself
      }
    }).length;

  for (const options of BACKENDS.slice(0, 3)) {
    it(`is open once while it is loaded, and no longer: ${options.backend}`, async () => {
      const seen = new Set<number>();
      await using engine = await Engine.load(BOX, { ...options, onProgress: () => seen.add(timesOpen()) });
      assert.deepEqual([...seen], [1]);
      assert.equal(timesOpen(), 0);
      assert.ok(engine.memoryBytes > 0);
    });

    it(`is closed where a load fails or is aborted: ${options.backend}`, async () => {
      const onProgress = () => {
        throw new Error("enough");
      };
      await assert.rejects(Engine.load(BOX, { ...options, onProgress }), /enough/);
      assert.equal(timesOpen(), 0);
      await assert.rejects(Engine.load(BOX, { ...options, contextLength: 1 << 30 }), RangeError);
      assert.equal(timesOpen(), 0);
    });
  }

  it("stays open where the model may move to another backend, until the engine is closed", async (t) => {
    if (NO_ADAPTER !== false) return t.skip(NO_ADAPTER);
    const engine = await Engine.load(BOX, { backend: "auto", adapter: "llvmpipe" }).catch((error) => error as Error);
    if (!(engine instanceof Engine)) return t.skip(String(engine));
    assert.equal(timesOpen(), engine.description.startsWith("gpu") ? 1 : 0);
    await engine.close();
    assert.equal(timesOpen(), 0);
  });
});
