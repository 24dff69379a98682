/**
 * The graph of BitNet's embedding models, qwen3 with a norm for the input of each matrix: each product against its formula in
 * float64, on each backend. The model is made of tiny's ternary weights, with norms in F16 as the official converter has them.
 */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { readGguf } from "../../src/engine/input.js";
import { writeGguf } from "../../src/engine/write.js";
import { I2_S } from "../../src/formats/i2_s.js";
import { type GgufTensorSource, keyValues } from "../../src/gguf/write.js";
import { verify } from "../../src/index.js";
import { assertNear, dot, rmsNorm, uniform } from "../backend/conformance/common.js";
import { NO_ADAPTER } from "../backend/gpu/require.js";
import { someIds, TINY, withEngine } from "../engine/engines.js";

const [WIDTH, FFN, HEAD, EPS] = [256, 768, 64, 1e-5];
const NAMES: Readonly<Record<string, string>> = {
  attn_sub_norm: "attn_output_norm_in",
  ffn_sub_norm: "ffn_down_norm_in",
};

/** Floats of 11 bits, which F16 holds, and their F16 bytes. */
function halves(count: number, seed: number): { values: Float64Array; bytes: Uint8Array } {
  const bits = Uint16Array.from(uniform(count, seed), (x) => (14 << 10) | Math.floor((x + 1) * 511)); // 0.5 to 1
  return { values: Float64Array.from(bits, (word) => 0.5 + (word & 1023) / 2048), bytes: new Uint8Array(bits.buffer) };
}

const norms = new Map<string, Float64Array>();
const matrices = new Map<string, { codes: Int8Array; scale: number; columns: number }>();

async function writeModel(path: string): Promise<void> {
  const [file, bytes] = [await readGguf(TINY), await readFile(TINY)];
  const arch = (key: string) => key.replace(/^bitnet-b1\.58\./, "qwen3.");
  const metadata = keyValues(file).map((each) =>
    each.key === "general.architecture" ? { ...each, value: "qwen3" } : { ...each, key: arch(each.key) },
  );
  metadata.push({ key: "tokenizer.ggml.pre", type: "STRING", value: "qwen2" });
  const half = (name: string, count: number): GgufTensorSource => {
    const { values, bytes: data } = halves(count, name.length + 7 * count + name.charCodeAt(name.length - 9));
    norms.set(name, values);
    return { name, type: "F16", dims: [count], data: () => [data] };
  };
  const tensors = Array.from(file.tensors.values(), ({ name, type, dims, offset, byteLength }): GgufTensorSource => {
    const renamed = name.replace(/attn_sub_norm|ffn_sub_norm/, (found) => NAMES[found]);
    if (renamed.endsWith("norm.weight") || renamed.endsWith("norm_in.weight")) return half(renamed, dims[0]);
    const data = bytes.subarray(offset, offset + byteLength);
    if (type === "I2_S") {
      const weight = { name, rows: dims[1], columns: dims[0] };
      const { values, scales } = I2_S.decode(weight, new Uint8Array(data));
      matrices.set(name, { codes: values, scale: scales[0], columns: dims[0] });
    }
    return { name, type, dims, data: () => [data] };
  });
  for (const layer of [0, 1]) {
    for (const part of ["attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"]) {
      tensors.push(half(`blk.${layer}.${part}_norm_in.weight`, WIDTH));
    }
    for (const part of ["attn_q_norm", "attn_k_norm"]) tensors.push(half(`blk.${layer}.${part}.weight`, HEAD));
  }
  await writeGguf(path, { metadata, tensors });
}

/** BitLinear with its norm, of one row. */
function product(x: Float32Array, name: string, inputNorm = `${name}_norm_in`): Float64Array {
  const normed = rmsNorm(x, norms.get(`${inputNorm}.weight`) as Float64Array, EPS);
  const { codes, scale, columns } = matrices.get(`${name}.weight`) ?? assert.fail(name);
  const step = 127 / normed.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-5);
  const q = normed.map((value) => Math.round(value * step));
  return Float64Array.from({ length: codes.length / columns }, (_, row) => {
    return (dot(codes.subarray(row * columns, (row + 1) * columns), q) * scale) / step;
  });
}

const silu = (x: number) => x / (1 + Math.exp(-x));

describe("a model with input norms", () => {
  let folder: string;
  let path: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ternion-norms-"));
    path = join(folder, "m.gguf");
    await writeModel(path);
  });
  after(() => rm(folder, { recursive: true }));

  for (const backend of ["reference", "cpu", "gpu"] as const) {
    it(`multiplies normed inputs on the ${backend} backend`, { skip: backend === "gpu" && NO_ADAPTER }, async () => {
      await withEngine(
        { backend, i2sLayout: "block128" },
        async (engine) => {
          const ids = someIds(6);
          const traced = await engine.trace(ids);
          let near = 0;
          let all = 0;
          /** One step of int8 on a rounding boundary moves a row by some per mille. */
          const compare = (got: Float32Array, want: Float64Array, what: string) => {
            assertNear(got, want, what, 3e-2);
            const error = Math.hypot(...got.map((value, i) => value - want[i])) / Math.hypot(...want);
            near += error < 1e-5 ? 1 : 0;
            all++;
          };
          for (const blk of ["blk.0", "blk.1"]) {
            for (let row = 0; row < ids.length; row++) {
              const of = (name: string) => {
                const { data, width } = traced.get(`${blk}.${name}`) ?? assert.fail(name);
                return data.subarray(row * width, (row + 1) * width);
              };
              compare(of("v"), product(of("attn_norm"), `${blk}.attn_v`), `${blk}.v`);
              for (const part of ["q", "k"]) {
                const whole = product(of("attn_norm"), `${blk}.attn_${part}`);
                const weight = norms.get(`${blk}.attn_${part}_norm.weight`) as Float64Array;
                const heads = Array.from({ length: whole.length / HEAD }, (_, h) => [
                  ...rmsNorm(whole.subarray(h * HEAD, (h + 1) * HEAD), weight, EPS),
                ]);
                compare(of(`${part}_norm`), Float64Array.from(heads.flat()), `${blk}.${part}_norm`);
              }
              compare(of("attn_out"), product(of("attn_ctx"), `${blk}.attn_output`), `${blk}.attn_out`);
              const gate = product(of("ffn_norm"), `${blk}.ffn_gate`);
              const up = product(of("ffn_norm"), `${blk}.ffn_up`);
              assert.equal(gate.length, FFN);
              compare(
                of("ffn_act"),
                gate.map((value, i) => silu(value) * up[i]),
                `${blk}.ffn_act`,
              );
              compare(of("ffn_down"), product(of("ffn_act"), `${blk}.ffn_down`), `${blk}.ffn_down`);
            }
          }
          assert.ok(near > 0.8 * all, `${near} of ${all} rows within 1e-5`);
        },
        path,
      );
    });
  }

  it("passes verify, which knows its formulas", async () => {
    const verdict = await verify(path, { backend: "cpu", i2sLayout: "block128" });
    assert.equal(verdict.ok, true, JSON.stringify(verdict).slice(0, 500));
  });
});
