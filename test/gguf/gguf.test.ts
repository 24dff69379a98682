/** The reader on files that are right, and on one file for each way to be wrong. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { readGguf } from "../../src/engine/input.js";
import { type ErrorCode, TernionError } from "../../src/errors.js";
import type { GgufArray } from "../../src/gguf/file.js";
import { parseGguf } from "../../src/gguf/parse.js";
import { llama3Vocabulary } from "../vocabulary.js";
import { file, kv, str, tensor, u32, u64 } from "./raw.js";

const U8 = 0;
const U32 = 4;
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;
const U64 = 10;
const I64 = 11;

describe("what the reader gives", () => {
  it("reads version 2 and 3, and a file without anything", () => {
    for (const version of [2, 3]) {
      const gguf = parseGguf(file({ version, data: 0 }));
      assert.equal(gguf.version, version);
      assert.equal(gguf.metadata.size + gguf.tensors.size, 0);
      assert.equal(gguf.dataOffset, 32);
    }
  });

  it("gives 64-bit integers as numbers while they are safe", () => {
    const { metadata, valueTypes } = parseGguf(
      file({
        keys: [
          kv("small", U64, u64(7)),
          kv("edge", U64, u64(Number.MAX_SAFE_INTEGER)),
          kv("large", U64, u64(2n ** 53n)),
          kv("negative", I64, u64(2n ** 64n - 5n)),
        ],
      }),
    );
    assert.deepEqual([...metadata.values()], [7, Number.MAX_SAFE_INTEGER, 2n ** 53n, -5]);
    assert.equal(valueTypes.get("negative"), "I64");
  });

  it("gives arrays of numbers as typed arrays, of strings and booleans as arrays", () => {
    const { metadata } = parseGguf(
      file({
        keys: [
          kv("numbers", ARRAY, u32(U32), u64(2), u32(1), u32(0xffffffff)),
          kv("strings", ARRAY, u32(STRING), u64(3), str("a"), str(""), str("Ġ語🙂")),
          kv("flags", ARRAY, u32(BOOL), u64(2), Buffer.from([1, 0])),
        ],
      }),
    );
    assert.deepEqual(metadata.get("numbers"), { type: "U32", values: Uint32Array.of(1, 0xffffffff) });
    assert.deepEqual(metadata.get("strings"), { type: "STRING", values: ["a", "", "Ġ語🙂"] });
    assert.deepEqual(metadata.get("flags"), { type: "BOOL", values: [true, false] });
  });

  it("replaces invalid UTF-8 and goes on", () => {
    const { metadata } = parseGguf(
      file({ keys: [kv("s", STRING, str(Buffer.from([0x61, 0xff]))), kv("n", U8, Buffer.of(1))] }),
    );
    assert.deepEqual([...metadata.values()], ["a\ufffd", 1]);
  });

  it("makes offsets absolute and sizes I2_S with its 32 bytes of scale", () => {
    const tensors = [tensor({ name: "norm" }), tensor({ name: "w", type: 36, dims: [128, 2], offset: 32 })];
    const gguf = parseGguf(file({ tensors, data: 32 + 64 + 32 }));
    const w = gguf.tensors.get("w");
    assert.deepEqual(w, { name: "w", type: "I2_S", dims: [128, 2], offset: gguf.dataOffset + 32, byteLength: 96 });
  });

  it("takes the alignment from the file", () => {
    const gguf = parseGguf(file({ keys: [kv("general.alignment", U32, u32(8))], tensors: [tensor({ offset: 8 })] }));
    assert.equal(gguf.alignment, 8);
    assert.equal(gguf.dataOffset % 8, 0);
  });
});

describe("each kind of damage has its code", () => {
  const big = 2n ** 60n;
  const cases: [string, ErrorCode, Buffer][] = [
    ["another format", "GGUF_MAGIC", file({ magic: "GGML" })],
    ["version 1", "GGUF_VERSION", file({ version: 1 })],
    ["version 0", "GGUF_VERSION", file({ version: 0 })],
    ["version 4", "GGUF_VERSION", file({ version: 4 })],
    ["big-endian", "GGUF_ENDIAN", file({ version: 0x03000000 })],
    ["an empty file", "GGUF_TRUNCATED", Buffer.alloc(0)],
    ["a cut header", "GGUF_TRUNCATED", file().subarray(0, 20)],
    ["a cut value", "GGUF_TRUNCATED", file({ keys: [kv("key", U64, u64(1))], data: 0 }).subarray(0, 44)],
    ["cut tensor data", "GGUF_TRUNCATED", file({ tensors: [tensor()], data: 31 })],
    ["a tensor beyond the end", "GGUF_TRUNCATED", file({ tensors: [tensor({ offset: 2 ** 40 })] })],
    ["more tensors than bytes", "GGUF_COUNT", file({ tensorCount: 100 })],
    ["more keys than bytes", "GGUF_COUNT", file({ keyCount: 100 })],
    ["a longer array than bytes", "GGUF_COUNT", file({ keys: [kv("a", ARRAY, u32(U32), u64(1000))] })],
    ["2^53 and more keys", "GGUF_OVERFLOW", file({ keyCount: big })],
    ["2^53 and more elements", "GGUF_OVERFLOW", file({ keys: [kv("a", ARRAY, u32(U8), u64(big))] })],
    ["a huge string", "GGUF_STRING", file({ keys: [kv("s", STRING, u64(2 ** 40))] })],
    ["a huge string in an array", "GGUF_STRING", file({ keys: [kv("s", ARRAY, u32(STRING), u64(1), u64(2 ** 40))] })],
    ["an unknown value type", "GGUF_VALUE_TYPE", file({ keys: [kv("k", 13)] })],
    ["an unknown element type", "GGUF_VALUE_TYPE", file({ keys: [kv("k", ARRAY, u32(99), u64(0))] })],
    ["an array of arrays", "GGUF_VALUE_TYPE", file({ keys: [kv("k", ARRAY, u32(ARRAY), u64(0))] })],
    ["a boolean 2", "GGUF_VALUE_TYPE", file({ keys: [kv("k", BOOL, Buffer.of(2))] })],
    ["a key twice", "GGUF_DUPLICATE", file({ keys: [kv("k", U8, Buffer.of(1)), kv("k", U8, Buffer.of(2))] })],
    ["a tensor twice", "GGUF_DUPLICATE", file({ tensors: [tensor(), tensor({ offset: 32 })] })],
    ["alignment 0", "GGUF_ALIGNMENT", file({ keys: [kv("general.alignment", U32, u32(0))] })],
    ["alignment 48", "GGUF_ALIGNMENT", file({ keys: [kv("general.alignment", U32, u32(48))] })],
    ["alignment 2^31", "GGUF_ALIGNMENT", file({ keys: [kv("general.alignment", U32, u32(2 ** 31))] })],
    ["alignment as text", "GGUF_ALIGNMENT", file({ keys: [kv("general.alignment", STRING, str("32"))] })],
    ["no dims", "GGUF_DIMS", file({ tensors: [tensor({ dims: [] })] })],
    ["five dims", "GGUF_DIMS", file({ tensors: [tensor({ dims: [1, 1, 1, 1, 1] })] })],
    [
      "four billion dims",
      "GGUF_DIMS",
      file({ tensors: [Buffer.concat([str("t"), u32(2 ** 32 - 1), Buffer.alloc(32)])] }),
    ],
    ["a dim of 0", "GGUF_DIMS", file({ tensors: [tensor({ dims: [8, 0] })] })],
    ["a broken block", "GGUF_DIMS", file({ tensors: [tensor({ type: 8, dims: [48] })] })],
    ["a broken I2_S byte", "GGUF_DIMS", file({ tensors: [tensor({ type: 36, dims: [6] })] })],
    ["a dim of 2^60", "GGUF_OVERFLOW", file({ tensors: [tensor({ dims: [big] })] })],
    ["2^64 weights", "GGUF_OVERFLOW", file({ tensors: [tensor({ dims: [2 ** 32, 2 ** 32] })] })],
    ["2^54 bytes", "GGUF_OVERFLOW", file({ tensors: [tensor({ dims: [2 ** 52] })] })],
    ["an offset of 2^60", "GGUF_OVERFLOW", file({ tensors: [tensor({ offset: big })] })],
    ["an unknown tensor type", "GGUF_TENSOR_TYPE", file({ tensors: [tensor({ type: 255 })] })],
    ["a withdrawn tensor type", "GGUF_TENSOR_TYPE", file({ tensors: [tensor({ type: 4 })] })],
    ["an offset off the grid", "GGUF_OFFSET", file({ tensors: [tensor({ offset: 16 })] })],
    [
      "tensors that overlap",
      "GGUF_OFFSET",
      file({ tensors: [tensor({ dims: [16] }), tensor({ name: "u", offset: 32 })] }),
    ],
    ["tensors at one place", "GGUF_OFFSET", file({ tensors: [tensor(), tensor({ name: "u" })] })],
  ];
  for (const [name, code, bytes] of cases) {
    it(`${name}: ${code}`, () => {
      assert.throws(
        () => parseGguf(bytes, "some/model.gguf"),
        (error) =>
          error instanceof TernionError && error.code === code && error.message.startsWith("some/model.gguf: "),
      );
    });
  }

  it("shows a hostile name in one short line", () => {
    const name = `\u001b[31m\n${"x".repeat(10_000)}`;
    assert.throws(
      () => parseGguf(file({ tensors: [tensor({ name, dims: [0] })] })),
      (error: Error) => error.message.length < 300 && !/\p{Cc}/u.test(error.message),
    );
  });
});

describe("reading from disk", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ternion-gguf-"));
  });
  after(() => rm(folder, { recursive: true }));

  it("says when there is no file, and when it is no file", async () => {
    await assert.rejects(readGguf(join(folder, "none.gguf")), { code: "GGUF_NOT_FOUND" });
    await assert.rejects(readGguf(folder), { code: "GGUF_READ" });
  });

  it("reports damage of a short file as the parser does", async () => {
    const path = join(folder, "bad.gguf");
    await writeFile(path, file({ tensors: [tensor({ offset: 16 })] }));
    await assert.rejects(readGguf(path), { code: "GGUF_OFFSET" });
  });

  it("needs no more than the file when its head ends in a later piece", async () => {
    const path = join(folder, "long-head.gguf");
    const text = "x".repeat(3_000_000);
    await writeFile(path, file({ keys: [kv("long", STRING, str(text))], tensors: [tensor()], data: 32 }));
    const gguf = await readGguf(path);
    assert.equal(gguf.metadata.get("long"), text);
    assert.equal(gguf.tensors.size, 1);
  });

  it("finds a cut in a later piece", async () => {
    const path = join(folder, "cut.gguf");
    const whole = file({ keys: [kv("long", STRING, str("x".repeat(3_000_000)))] });
    await writeFile(path, whole.subarray(0, 2_500_000));
    await assert.rejects(readGguf(path), { code: "GGUF_TRUNCATED" });
  });

  it("reads the vocabulary of Llama 3", async (t) => {
    const path = await llama3Vocabulary();
    const started = performance.now();
    const { metadata } = await readGguf(path);
    t.diagnostic(`the head in ${(performance.now() - started).toFixed(0)} ms`);

    const tokens = metadata.get("tokenizer.ggml.tokens") as GgufArray;
    const merges = metadata.get("tokenizer.ggml.merges") as GgufArray;
    assert.equal(tokens.values, tokens.values, "strings are made once");
    t.diagnostic(`with ${merges.values.length} merges in ${(performance.now() - started).toFixed(0)} ms`);
    assert.equal(tokens.values.length, 128_256);
    assert.equal(tokens.values[128_009], "<|eot_id|>");
    assert.equal(merges.values.length, 280_147);
    assert.equal(merges.values[0], "Ġ Ġ");
    assert.equal(metadata.get("tokenizer.ggml.bos_token_id"), 128_000);
  });
});
