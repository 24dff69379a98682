/**
 * TQ2_0: the decoder against ggml's own loop, the reference backend against float64 and against a golden matrix, and a whole
 * model against the same model in I2_S. Scales differ from block to block, and some are 0, in all but the last.
 */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { encodeTq2 } from "../../bench/make-model/tq2.js";
import { readGguf } from "../../src/engine/input.js";
import { writeGguf } from "../../src/engine/write.js";
import { halfToFloat } from "../../src/formats/float.js";
import { TQ2_0 } from "../../src/formats/tq2_0.js";
import type { GgufTensor } from "../../src/gguf/file.js";
import { type GgufTensorSource, keyValues } from "../../src/gguf/write.js";
import { Engine } from "../../src/index.js";
import { assertNear, batchOf, dot, rowOf, runOps, uniform, withBackend } from "../backend/conformance/common.js";
import { floats, halfBits, type Matrix, randomOf } from "../backend/files.js";
import { REFERENCE } from "../backends.js";
import { repositoryFile, rowErrors } from "../golden.js";

const BLOCK = 256;
const BYTES = 66;

/** Random codes 0 to `codes` - 1, and a scale for each block: every fifth is 0, every third negative. */
function randomBlocks(rows: number, columns: number, codes: number): Matrix {
  const random = randomOf(rows * columns);
  const blocks = (rows * columns) / BLOCK;
  const bytes = new Uint8Array(blocks * BYTES);
  for (let block = 0; block < blocks; block++) {
    for (let i = 0; i < 64; i++) {
      for (let n = 0; n < 4; n++) bytes[block * BYTES + i] |= Math.floor(random() * codes) << (2 * n);
    }
    const scale = block % 5 === 0 ? 0 : (block % 3 === 0 ? -1 : 1) * (0.25 + random());
    new DataView(bytes.buffer).setUint16(block * BYTES + 64, halfBits(scale), true);
  }
  return { name: "blk.0.attn_q.weight", type: "TQ2_0", rows, columns, bytes, values: dequantize(bytes), scale: 0 };
}

/** dequantize_row_tq2_0 of ggml, loop by loop. */
function dequantize(bytes: Uint8Array): Float64Array {
  const values: number[] = [];
  for (let block = 0; block < bytes.length; block += BYTES) {
    const d = halfToFloat(bytes[block + 64] | (bytes[block + 65] << 8));
    for (let j = 0; j < 64; j += 32) {
      for (let l = 0; l < 4; l++) {
        for (let m = 0; m < 32; m++) values.push((((bytes[block + j + m] >> (2 * l)) & 3) - 1) * d);
      }
    }
  }
  return Float64Array.from(values);
}

describe("decoding", () => {
  const matrix = randomBlocks(6, 768, 4);

  test("gives what ggml gives, for all four codes", () => {
    const { values, scales, group } = TQ2_0.decode(matrix, matrix.bytes);
    assert.equal(group, BLOCK);
    assert.deepEqual(new Set(values), new Set([-1, 0, 1, 2]));
    values.forEach((value, i) => {
      assert.equal(value * scales[Math.floor(i / group)], matrix.values[i], `weight ${i}`);
    });
  });

  test("a block scale that is not finite is refused, by its place", () => {
    const bytes = matrix.bytes.slice();
    new DataView(bytes.buffer).setUint16(7 * BYTES + 64, 0xfc00, true);
    assert.throws(() => TQ2_0.decode(matrix, bytes), {
      code: "MODEL_CODES",
      message:
        "blk.0.attn_q.weight: expected finite TQ2_0 block scales, got -Infinity (bits 0xfc00) in row 2, columns 256 to " +
        "511. The file is damaged; download it again.",
    });
  });
});

describe("the reference backend", () => {
  test("multiplies each block by its own scale", async () => {
    const [rows, columns] = [5, 768];
    const matrix = randomBlocks(rows, columns, 3);
    const ones = floats("norm", new Float64Array(columns).fill(1));
    await withBackend(REFERENCE, [matrix, ones], async (b, [weight, norm]) => {
      const [x, q, out] = [b.tensor(3, columns), b.quantized(3, columns), b.tensor(3, rows)];
      b.write(x, uniform(3 * columns, 2));
      await runOps(b, batchOf(3), () => {
        b.normQuantize(q, x, norm, 1e-5);
        b.ternary([{ weight, out }], q);
      });
      const { values, scales } = await b.readQuantized(q, 0, 3);
      for (let row = 0; row < 3; row++) {
        const input = rowOf(values, row, columns);
        const want = Array.from({ length: rows }, (_, r) => dot(rowOf(matrix.values, r, columns), input) * scales[row]);
        assertNear(await b.read(out, row, 1), want, `row ${row}`, 1e-6);
      }
    });
  });
});

describe("a model in TQ2_0", () => {
  const original = repositoryFile("test/golden/tiny/model.gguf");
  let folder = "";
  const path = (name: string) => join(folder, `${name}.gguf`);
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ternion-tq2-"));
    await rewrite(original, path("i2s"), (bytes, half) => {
      const out = Uint8Array.from(bytes);
      new DataView(out.buffer).setFloat32(out.length - 32, halfToFloat(half), true);
      return { type: "I2_S", bytes: out };
    });
    await rewrite(original, path("tq2"), (bytes, half) => {
      const codes = bytes.subarray(0, bytes.length - 32);
      return { type: "TQ2_0", bytes: encodeTq2(codes, half, new Uint8Array((codes.length / 64) * BYTES)) };
    });
  });
  after(() => rm(folder, { recursive: true }));

  test("has the logits that it has in I2_S", async () => {
    const [want, got] = [await logits(path("i2s")), await logits(path("tq2"))];
    assert.equal(got.length, want.length);
    assert.ok(Math.max(...rowErrors(got, want, IDS.length)) < 1e-6);
    assert.ok(Math.max(...rowErrors(await logits(original), want, IDS.length)) > 1e-6, "another scale shows");
  });
});

const IDS = [1, 7, 250, 33, 9];

async function logits(path: string): Promise<Float32Array> {
  await using engine = await Engine.load(path, { backend: "reference", contextLength: 16 });
  return ((await engine.trace(IDS)).get("logits") as { data: Float32Array }).data;
}

/** Copies a model; `change` is given each ternary weight and its scale as the bits of a half. */
async function rewrite(
  from: string,
  to: string,
  change: (bytes: Uint8Array, half: number) => Pick<GgufTensor, "type"> & { readonly bytes: Uint8Array },
): Promise<void> {
  const [file, all] = await Promise.all([readGguf(from), readFile(from)]);
  const tensors = [...file.tensors.values()].map(({ name, type, dims, offset, byteLength }): GgufTensorSource => {
    const bytes = all.subarray(offset, offset + byteLength);
    const scale = () => new DataView(bytes.buffer, bytes.byteOffset).getFloat32(byteLength - 32, true);
    const changed = type === "I2_S" ? change(bytes, halfBits(scale())) : { type, bytes };
    return { name, type: changed.type, dims, data: () => [changed.bytes] };
  });
  await writeGguf(to, { metadata: keyValues(file), tensors });
}
