/** The model maker: the official shape, files that are valid and repeatable, and weights that are sane. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { metadataOf } from "../../bench/make-model/metadata.js";
import { HEADS, SHAPES, type Shape, tensorsOf } from "../../bench/make-model/shapes.js";
import { toHalf } from "../../bench/make-model/weights.js";
import { readGguf } from "../../src/engine/input.js";
import type { GgufArray, GgufFile } from "../../src/gguf/file.js";
import { planGguf } from "../../src/gguf/write.js";
import { llama3Vocabulary } from "../vocabulary.js";

const script = fileURLToPath(new URL("../../bench/make-model.js", import.meta.url));

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ternion-make-"));
});
after(() => rm(folder, { recursive: true }));

interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [script, ...args], (_, stdout, stderr) => {
      resolve({ status: child.exitCode ?? -1, stdout, stderr });
    });
  });
}

async function make(name: string, ...options: string[]): Promise<GgufFile> {
  const path = join(folder, name);
  const { status, stderr } = await run("--shape", "tiny", ...options, path);
  assert.equal(status, 0, stderr);
  return readGguf(path);
}

function half(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

describe("the official shape", () => {
  const official = SHAPES.find(({ name }) => name === "2B-4T") as Shape;

  it("has 24 key-values, 332 tensors and 1,187.8 MB", async () => {
    const tensors = tensorsOf(official, undefined);
    const metadata = metadataOf(official, await readGguf(await llama3Vocabulary()));
    const plan = planGguf({ metadata, tensors });

    assert.equal(metadata.length, 24);
    assert.equal(tensors.length, 332);
    const count = (type: string) => tensors.filter((tensor) => tensor.type === type).length;
    assert.deepEqual([count("F32"), count("F16"), count("I2_S")], [121, 1, 210]);
    assert.equal((plan.byteLength / 1e6).toFixed(1), "1187.8");
  });
});

describe("a small model", () => {
  it("has the tensors of its shape and a vocabulary that fits", async () => {
    const file = await make("tiny.gguf");
    const shape = SHAPES.find(({ name }) => name === "tiny") as Shape;
    assert.deepEqual(
      [...file.tensors.values()].map(({ name, type, dims }) => ({ name, type, dims })),
      tensorsOf(shape, undefined),
    );

    const strings = (key: string) => (file.metadata.get(key) as GgufArray).values as string[];
    const tokens = strings("tokenizer.ggml.tokens");
    assert.equal(tokens.length, shape.vocabulary);
    assert.equal(new Set(tokens).size, tokens.length);
    assert.deepEqual(tokens.slice(-3), ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]);
    assert.equal(tokens[file.metadata.get("tokenizer.ggml.bos_token_id") as number], "<|begin_of_text|>");
    const known = new Set(tokens);
    for (const merge of strings("tokenizer.ggml.merges")) assert.ok(known.has(merge.replace(" ", "")));
  });

  it("gives the same bytes for the same seed, others for another", async () => {
    const [one, same, other] = await Promise.all([make("1"), make("1b", "--seed", "1"), make("2", "--seed", "2")]);
    const [a, b, c] = await Promise.all([one, same, other].map(({ name }) => readFile(name)));
    assert.ok(a?.equals(b as Buffer));
    assert.ok(!a?.equals(c as Buffer));
  });

  it("has ternary codes in even shares, and a scale that keeps the variance", async () => {
    const file = await make("codes.gguf");
    const bytes = await readFile(file.name);
    for (const { name, type, offset, byteLength, dims } of file.tensors.values()) {
      if (type !== "I2_S") continue;
      const codes = [0, 0, 0, 0];
      for (const byte of bytes.subarray(offset, offset + byteLength - 32)) {
        for (let shift = 0; shift < 8; shift += 2) (codes[(byte >> shift) & 3] as number)++;
      }
      const [minus, zero, plus, invalid] = codes.map((count) => count / (4 * (byteLength - 32))) as [
        number,
        number,
        number,
        number,
      ];
      assert.equal(invalid, 0);
      for (const share of [minus, zero, plus]) assert.ok(Math.abs(share - 1 / 3) < 0.02, `${name}: ${share}`);

      const variance = (dims[0] as number) * (2 / 3) * bytes.readFloatLE(offset + byteLength - 32) ** 2;
      const expected = /attn_output|ffn_down/.test(name) ? 1 / 4 : 1; // two layers write four times
      assert.ok(Math.abs(variance - expected) < 1e-4, `${name}: ${variance}`);
    }
  });

  it("has heads of every type with logits of about the same size", async () => {
    for (const head of Object.keys(HEADS)) {
      const file = await make(`${head}.gguf`, "--head", head);
      assert.equal(file.tensors.get("output.weight")?.type, HEADS[head as keyof typeof HEADS]);
    }
    const file = await readGguf(join(folder, "f16.gguf"));
    const bytes = await readFile(file.name);
    for (const name of ["token_embd.weight", "output.weight"]) {
      const tensor = file.tensors.get(name);
      assert.ok(tensor);
      let sum = 0;
      for (let at = 0; at < tensor.byteLength; at += 2) sum += half(bytes.readUInt16LE(tensor.offset + at)) ** 2;
      const deviation = Math.sqrt(sum / (tensor.byteLength / 2)) * Math.sqrt(256);
      assert.ok(Math.abs(deviation - 2.5) < 0.05, `${name}: ${deviation}`);
    }
  });

  it("rounds to the nearest F16", () => {
    for (const bits of [0, 1, 2, 1023, 1024, 1025, 2047, 2048, 0x3bff, 0x3c00, 0x7bff]) {
      assert.equal(toHalf(half(bits)), bits);
      if (bits > 0) assert.equal(toHalf(-half(bits)), bits | 0x8000);
      assert.equal(toHalf(half(bits) * 0.6 + half(bits + 1) * 0.4), bits);
    }
  });
});

describe("bad options", () => {
  const cases = [
    [],
    ["a", "b"],
    ["--shape", "9T", "a"],
    ["--head", "q5", "a"],
    ["--head", "toString", "a"],
    ["--seed", "-1", "a"],
    ["--bogus", "a"],
  ];
  for (const args of cases) {
    it(`${args.join(" ") || "none"}: one line, exit code 2`, async () => {
      const { status, stdout, stderr } = await run(...args);
      assert.equal(status, 2);
      assert.equal(stdout, "");
      assert.match(stderr, /^make-model: .*usage: .*\n$/);
    });
  }

  it("a folder that is not there: one line, exit code 1", async () => {
    const { status, stderr } = await run("--shape", "tiny", join(folder, "no", "model.gguf"));
    assert.equal(status, 1);
    assert.match(stderr, /^make-model: .*cannot be written.*\n$/);
  });
});
