/** Loading: its report, its progress, what it refuses, and that nothing of a failed one stays behind. */
import assert from "node:assert/strict";
import { copyFile, mkdtemp, readFile, realpath, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { writeGguf } from "../../src/engine/write.js";
import { type GgufContents, keyValues } from "../../src/gguf/write.js";
import { boxModel, Engine, type EngineOptions, type ProgressEvent, readGguf } from "../../src/index.js";
import { repositoryFile } from "../golden.js";
import { freshIds, GREEDY, settledThreads, TINY } from "./engines.js";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ternion-"));
});
after(() => rm(folder, { recursive: true }));

const OPTIONS = { backend: "cpu", threads: 2, contextLength: 256 } as const satisfies EngineOptions;

/** Writes tiny with other metadata, or with fewer tensors, and gives its path. */
async function variantOf(name: string, change: (contents: GgufContents) => GgufContents): Promise<string> {
  const file = await readGguf(TINY);
  const bytes = await readFile(TINY);
  const tensors = [...file.tensors.values()].map(({ name, type, dims, offset, byteLength }) => {
    return { name, type, dims, data: () => [bytes.subarray(offset, offset + byteLength)] };
  });
  const path = join(folder, name);
  await writeGguf(path, change({ metadata: keyValues(file), tensors }));
  return path;
}

describe("a load", () => {
  test("reports its steps, times, bytes and repairs", async () => {
    const engine = await Engine.load(TINY, OPTIONS);
    const { steps, totalMs, repairs } = engine.loadReport;
    const names = steps.map(({ component }) => component);
    assert.deepEqual(
      new Set(names),
      new Set(["metadata", "layout", "backend", "weights", "tokenizer", "cache", "head"]),
    );
    assert.equal(names.length, 7);
    for (const { component, ms, bytes } of steps) {
      assert.ok(ms >= 0 && ms <= totalMs && bytes >= 0, `${component}: ${ms} of ${totalMs} ms, ${bytes} bytes`);
    }
    const bytesOf = (name: string) => steps.find(({ component }) => component === name)?.bytes ?? 0;
    assert.ok(bytesOf("metadata") + bytesOf("weights") <= 580_128 && bytesOf("weights") > 500_000);
    assert.ok(bytesOf("cache") >= 2 * 4 * 2 * 2 * 64 * 256 * 4, "4 sessions of 256 positions");
    assert.deepEqual(
      repairs.map(({ key }) => key),
      ["tokenizer.ggml.pre", "tokenizer.ggml.eot_token_id"],
    );
    assert.ok(engine.memoryBytes > bytesOf("weights") + bytesOf("cache"));
    assert.equal(engine.contextLength, 256);
    await engine.close();
  });

  test("tells its progress: growing, up to all bytes", async () => {
    for (const backend of ["cpu", "reference"] as const) {
      const events: ProgressEvent[] = [];
      const engine = await Engine.load(TINY, { ...OPTIONS, backend, onProgress: (event) => events.push(event) });
      await engine.close();
      const loaded = events.filter(({ phase }) => phase === "weights").map(({ loadedBytes }) => loadedBytes);
      assert.deepEqual(
        loaded,
        loaded.toSorted((a, b) => a - b),
      );
      assert.equal(loaded.at(-1), events.at(-1)?.totalBytes);
    }
  });

  test("takes a path, a file: URL and a URL object", async () => {
    for (const where of [TINY, `file://${TINY}`, new URL(`file://${TINY}`)]) {
      await (await Engine.load(where, { backend: "reference" })).close();
    }
  });

  test("without a path takes the model in the box", async () => {
    assert.equal(await realpath(boxModel()), await realpath(repositoryFile("models/ternion-tiny.gguf")));
    for (const load of [() => Engine.load(), () => Engine.load(undefined, { backend: "reference" })]) {
      await using engine = await load();
      assert.equal(engine.config.layers, 13);
    }
  });

  test("engines stand beside each other", async () => {
    const engines = await Promise.all([1, 2, 3].map((threads) => Engine.load(TINY, { ...OPTIONS, threads })));
    const [a, b, c] = await Promise.all(engines.map((e) => freshIds(e, "abc", { ...GREEDY, maxTokens: 5 })));
    assert.deepEqual([a, a], [b, c]);
    await engines[1].close();
    assert.deepEqual(await freshIds(engines[2], "abc", { ...GREEDY, maxTokens: 5 }), a);
    await Promise.all(engines.map((engine) => engine.close()));
  });
});

describe("a load that fails leaves no thread behind:", () => {
  async function fails(path: string, options: EngineOptions, expected: RegExp | object): Promise<void> {
    await (await Engine.load(TINY, { ...OPTIONS })).close(); // what starts with the first one stays
    const threads = await settledThreads();
    await assert.rejects(Engine.load(path, { ...OPTIONS, ...options }), expected);
    assert.equal(await settledThreads(threads), threads, "threads stayed");
  }

  test("files that are none, or no model", async () => {
    const text = join(folder, "text.gguf");
    await writeFile(text, "This is a letter and not a model.\n".repeat(10));
    await fails(join(folder, "nowhere.gguf"), {}, { code: "GGUF_NOT_FOUND" });
    await fails(text, {}, { code: "GGUF_MAGIC" });
    await fails(folder, {}, { code: "GGUF_READ" });
    const cut = join(folder, "cut.gguf");
    await copyFile(TINY, cut);
    await truncate(cut, 400_000);
    await fails(cut, {}, { code: "GGUF_TRUNCATED" });
  });

  test("models of another kind, and vocabularies", async () => {
    const vocabulary = await variantOf("vocabulary.gguf", ({ metadata }) => ({ metadata, tensors: [] }));
    await fails(vocabulary, {}, { code: "MODEL_TENSOR", message: /^token_embd\.weight: .*got no such tensor/ });
    const other = await variantOf("other.gguf", ({ metadata, tensors }) => ({
      metadata: metadata.map((kv) => (kv.key === "general.architecture" ? { ...kv, value: "gemma3" } : kv)),
      tensors,
    }));
    await fails(other, {}, { code: "MODEL_ARCH" });
  });

  test("a tokenizer that fails while the weights load", async () => {
    const path = await variantOf("mute.gguf", ({ metadata, tensors }) => ({
      metadata: metadata.filter(({ key }) => key !== "tokenizer.ggml.merges"),
      tensors,
    }));
    await fails(path, {}, { code: "TOKENIZER", message: /tokenizer\.ggml\.merges/ });
    await fails(path, { backend: "reference" }, { code: "TOKENIZER" });
  });

  test("a vocabulary of another size than the embedding", async () => {
    const path = await variantOf("small.gguf", ({ metadata, tensors }) => ({
      metadata: metadata.map((kv) => (kv.key === "bitnet-b1.58.vocab_size" ? { ...kv, value: 319 } : kv)),
      tensors: tensors.map((tensor) => {
        if (tensor.name !== "token_embd.weight") return tensor;
        return {
          ...tensor,
          dims: [256, 319],
          data: () => [...(tensor.data() as Uint8Array[])].map((b) => b.subarray(0, 512 * 319)),
        };
      }),
    }));
    const message = /^tokenizer\.ggml\.tokens: expected 319 tokens, one for each row of token_embd\.weight, got 320\./;
    await fails(path, {}, { code: "TOKENIZER", message });
  });

  test("damaged weights", async () => {
    const path = join(folder, "code3.gguf");
    const bytes = await readFile(TINY);
    const { offset } = (await readGguf(TINY)).tensors.get("blk.1.ffn_up.weight") ?? assert.fail();
    bytes[offset + 1000] = 0xff;
    await writeFile(path, bytes);
    for (const backend of ["cpu", "reference"] as const) {
      await fails(
        path,
        { backend },
        { code: "MODEL_CODES", message: /^blk\.1\.ffn_up\.weight: expected ternary codes/ },
      );
    }
  });

  test("strict", async () => {
    const message = /tokenizer\.ggml\.pre \(absent\); tokenizer\.ggml\.eot_token_id \(absent\)/;
    await fails(TINY, { strict: true }, { code: "MODEL_REPAIR", message });
  });

  test("bad options and what is not there", async () => {
    await fails(TINY, { threads: 0 }, /^RangeError: threads: /);
    await fails(
      TINY,
      { contextLength: 4097 },
      /^RangeError: contextLength: expected an integer from 1 to 4096, got 4097$/,
    );
    await fails(TINY, { contextLength: 0 }, /^RangeError: contextLength: /);
    await fails(TINY, { maxSessions: 1.5 }, /^RangeError: maxSessions: /);
    await fails(TINY, { batchSize: 5000 }, /^RangeError: batchSize: /);
    await fails(TINY, { backend: "abacus" as "cpu" }, /^RangeError: backend: .*got "abacus"$/);
    await fails(TINY, { cachePositions: 2 ** 22 }, { code: "OUT_OF_MEMORY" });
    await fails(
      TINY,
      { cachePositions: 100 },
      /^RangeError: cachePositions: expected an integer of \d+ or more, got 100$/,
    );
  });

  test("an abort, at any moment", async () => {
    for (const ms of [0, 1, 3, 10, 30, 60]) {
      const abort = new AbortController();
      const reason = new Error("enough");
      setTimeout(() => abort.abort(reason), ms);
      const load = Engine.load(TINY, { ...OPTIONS, signal: abort.signal });
      const outcome = await load.then(
        (engine) => engine.close().then(() => "loaded"),
        (error) => error,
      );
      assert.ok(outcome === "loaded" || outcome === reason, String(outcome));
    }
    await fails(TINY, { signal: AbortSignal.abort(new Error("enough")) }, /enough/);
  });

  test("a progress callback that throws, from wherever it is called", async () => {
    const thrown = new Error("the bar is broken");
    const onProgress = () => {
      throw thrown;
    };
    for (const backend of ["cpu", "reference"] as const) {
      await fails(TINY, { backend, onProgress }, thrown);
      await fails(TINY, { backend, onProgress: async () => onProgress() }, thrown);
    }
    // long enough that a timer calls it
    const large = await variantOf("large.gguf", ({ metadata, tensors }) => ({ metadata, tensors }));
    await truncate(large, 600_000);
    await fails(large, { onProgress }, thrown);
  });
});
