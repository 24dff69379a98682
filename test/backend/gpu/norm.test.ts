/** Norm and gate kernels against float64, their int8 rows against the float rows they come from. */
import assert from "node:assert/strict";
import { roundHalfEven } from "../../../src/backend/formulas.js";
import { gate } from "../../../src/backend/gpu/kernels/gate.js";
import { normOutputs } from "../../../src/backend/gpu/kernels/norm-outputs.js";
import { gateNormQuantize, normQuantize } from "../../../src/backend/gpu/kernels/norm-quantize.js";
import { type Harness, kernelTest } from "./harness.js";

const EPS = 1e-5;
const FORMS = { forms: ["subgroups", "f16"] } as const;
const wave = (n: number, k: number) => Float32Array.from({ length: n }, (_, i) => 3 * Math.sin(i * k + k) + 0.1);
const ACTIVATIONS = { relu2: (g: number) => Math.max(g, 0) ** 2, silu: (g: number) => g / (1 + Math.exp(-g)) };

function normalised(x: ArrayLike<number>, weight: Float32Array): Float64Array {
  let square = 0;
  for (let i = 0; i < x.length; i++) square += x[i] * x[i];
  const r = 1 / Math.sqrt(square / x.length + EPS);
  return Float64Array.from(x as number[], (v, i) => v * r * weight[i]);
}
function near(got: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  let most = 0;
  for (let i = 0; i < expected.length; i++) most = Math.max(most, Math.abs(expected[i]));
  for (let i = 0; i < expected.length; i++) {
    const off = Math.abs(got[i] - expected[i]);
    assert.ok(off <= 2e-6 * most, `${what}, element ${i}: expected ${expected[i]}, got ${got[i]}`);
  }
}
async function quantized(h: Harness, rows: number, width: number) {
  const [normed, values, scales, sums] = await Promise.all(
    [4 * rows * width, rows * width, 4 * rows, 4 * rows].map((bytes) => h.zeros(bytes)),
  );
  return { normed, values, scales, sums };
}
async function checkRows(
  h: Harness,
  out: Awaited<ReturnType<typeof quantized>>,
  x: ArrayLike<number>,
  weight: Float32Array,
) {
  const width = weight.length;
  const [normed, values] = [await h.floats(out.normed), await h.int8(out.values)];
  const [scales, sums] = [await h.floats(out.scales), await h.ints(out.sums)];
  for (let row = 0; row < x.length / width; row++) {
    const y = normed.subarray(row * width, (row + 1) * width);
    near(y, normalised(Array.from(x).slice(row * width, (row + 1) * width), weight), `row ${row}`);
    const absmax = y.reduce((most, v) => Math.max(most, Math.abs(v)), Math.fround(1e-5));
    near([scales[row]], [absmax / 127], "scale");
    const q = values.subarray(row * width, (row + 1) * width);
    const s = Math.fround(127 / absmax);
    assert.deepEqual(
      q,
      Int8Array.from(y, (v) => roundHalfEven(Math.fround(v * s))),
    );
    assert.equal(
      sums[row],
      q.reduce((sum, v) => sum + v, 0),
    );
  }
}
for (const [rows, width] of [
  [1, 128],
  [3, 640],
  [2, 2560],
  [5, 6912],
  [17, 128],
  [64, 128],
]) {
  kernelTest(
    `norm ${rows} x ${width}`,
    async (h) => {
      const [x, weight] = [wave(rows * width, 0.7), wave(width, 0.3)];
      const out = await quantized(h, rows, width);
      const dense = { window: await h.from(weight), type: "F32" } as const;
      const xs = await h.from(x);
      await h.run(normQuantize({ x: xs, weight: dense, eps: EPS, width, rows, out }));
      await checkRows(h, out, x, weight);
      const half = Float32Array.from(weight, (_, i) => (i % 5) - 1.5);
      const bits16 = new Uint16Array(width).map((_, i) => new Uint32Array(half.buffer)[i] >>> 16);
      const halves = [0xbe00, 0xb800, 0x3800, 0x3e00, 0x4100];
      const f16 = new Uint16Array(width).map((_, i) => halves[i % 5]);
      for (const [type, bits] of [
        ["BF16", bits16],
        ["F16", f16],
      ] as const) {
        const packed = { window: await h.from(new Uint8Array(bits.buffer)), type };
        const to = await h.zeros(4 * width);
        const outputs = await h.from(Int32Array.of(rows - 1));
        await h.run(normOutputs({ x: xs, weight: packed, eps: EPS, width, outputs, count: 1, out: to }));
        near(await h.floats(to), normalised(x.subarray((rows - 1) * width), half), type);
      }
    },
    FORMS,
  );
}
for (const activation of ["relu2", "silu"] as const) {
  for (const form of ["read", "write", "in place"] as const) {
    kernelTest(
      `gate ${activation}, ${form}`,
      async (h) => {
        const [rows, width] = [3, 640];
        const [g, u, weight] = [wave(rows * width, 0.9), wave(rows * width, 0.4), wave(width, 0.3)];
        const product = g.map((v, i) => ACTIVATIONS[activation](v) * u[i]);
        const fresh = async () => ({ gate: await h.from(g), up: await h.from(u), other: await h.zeros(4 * g.length) });
        const a = await fresh();
        const gated = form === "read" ? undefined : form === "write" ? a.other : a.gate;
        const out = await quantized(h, rows, width);
        const dense = { window: await h.from(weight), type: "F32" } as const;
        await h.run(gateNormQuantize({ ...a, gated, activation, weight: dense, eps: EPS, width, rows, out }));
        await checkRows(h, out, product, weight);
        if (gated !== undefined) near(await h.floats(gated), product, "gated");
        const b = await fresh();
        const to = form === "in place" ? b.gate : b.other;
        await h.run(gate({ ...b, out: to, activation, count: g.length }));
        near(await h.floats(to), product, "gate");
      },
      FORMS,
    );
  }
}
