/** What a single row's joined dispatches leave is what their ops leave one by one, bit for bit, and so is a longer batch's row. */
import assert from "node:assert/strict";
import type { Call, Window } from "../../../src/backend/gpu/device/kernel.js";
import { attend, attendSplit, CHUNK, chunksOf, partialBytes } from "../../../src/backend/gpu/kernels/attend.js";
import { gate } from "../../../src/backend/gpu/kernels/gate.js";
import { normQuantize } from "../../../src/backend/gpu/kernels/norm-quantize.js";
import { ropeStore } from "../../../src/backend/gpu/kernels/rope-store.js";
import { ternary } from "../../../src/backend/gpu/kernels/ternary.js";
import { ternaryRow } from "../../../src/backend/gpu/kernels/ternary-row.js";
import { cacheData, cacheOf } from "./cache.js";
import { type Harness, kernelTest } from "./harness.js";
import { generator, pack, ternaries } from "./random.js";

const EPS = 1e-5;

/** A row of `columns`, its norm, and matrices of so many outputs; `run` makes fresh buffers, and gives what is in them. */
async function operands(h: Harness, columns: number, outputs: readonly number[], add = false) {
  const random = generator(columns + outputs.length);
  const noise = (n: number, scale = 1) =>
    Float32Array.from({ length: n }, () => ((random() % 2001) / 1000 - 1) * scale);
  const x = await h.from(noise(columns, 3));
  const weight = { window: await h.from(noise(columns, 2)), type: "F32" } as const;
  const codes = await h.together(outputs.map((rows) => pack(ternaries(rows * columns, random))));
  const residual = noise(outputs[0]);
  return async (
    callsOf: (parts: Awaited<ReturnType<typeof fresh>>) => readonly Call[],
  ): Promise<Record<string, Uint32Array>> => {
    const parts = await fresh();
    await h.run(...callsOf(parts));
    const windows = {
      ...parts.quantized,
      ...Object.fromEntries(parts.projections.map(({ out }, i) => [`out${i}`, out])),
    };
    const all = add ? { ...windows, addTo: parts.projections[0].addTo as Window } : windows;
    const entries = Object.entries(all).map(async ([name, window]) => [name, await h.words(window)] as const);
    return Object.fromEntries(await Promise.all(entries));
  };

  async function fresh() {
    const [normed, values, scales, sums] = await Promise.all(
      [4 * columns, columns, 4, 4].map((bytes) => h.zeros(bytes)),
    );
    const projections = await Promise.all(
      outputs.map(async (rows, i) => ({
        codes: codes[i],
        rows,
        scale: Math.fround(0.013 * (i + 1)),
        out: await h.zeros(4 * rows),
        addTo: add ? await h.from(residual) : undefined,
      })),
    );
    return { x, weight, eps: EPS, columns, quantized: { normed, values, scales, sums }, projections };
  }
}

type Parts = Parameters<typeof ternaryRow>[0] & { readonly x: Window };

function apart({ x, weight, eps, columns, quantized, projections }: Parts): Call[] {
  return [
    normQuantize({ x, weight, eps, width: columns, rows: 1, out: quantized }),
    ...ternary({ projections, columns, rows: 1, x: quantized }),
  ];
}

for (const [columns, outputs, add] of [
  [128, [5], false],
  [640, [64, 16, 17], false],
  [2560, [33, 9], false],
  [6912, [70], true],
  [8192, [16], false],
] as const) {
  kernelTest(
    `a row of ${columns} by ${outputs}${add ? ", added" : ""}`,
    async (h) => {
      const run = await operands(h, columns, outputs, add);
      const joined = await run((parts) => [ternaryRow(parts, { kind: "store" })]);
      assert.deepEqual(joined, await run(apart));
    },
    { forms: ["subgroups"] },
  );
}

for (const activation of ["relu2", "silu"] as const) {
  for (const rows of [3, 32, 77]) {
    kernelTest(`a row through gate and up, ${activation}, ${rows} elements`, async (h) => {
      const run = await operands(h, 384, [rows, rows]);
      const joined = await run((parts) => [ternaryRow(parts, { kind: "gate", activation })]);
      const alone = await run((parts) => {
        const [first, second] = parts.projections;
        // a multiple of 4 elements, as the widths of all models are
        const count = Math.floor(rows / 4) * 4;
        const gated = { gate: first.out, up: second.out, out: first.out, activation, count };
        return count === 0 ? apart(parts) : [...apart(parts), gate(gated)];
      });
      const compared = Math.floor(rows / 4) * 4;
      assert.deepEqual(joined.out0.subarray(0, compared), alone.out0.subarray(0, compared));
      for (const name of ["out1", "normed", "values", "scales", "sums"]) assert.deepEqual(joined[name], alone[name]);
    });
  }
}

for (const { heads, kvHeads, headDim } of [
  { heads: 4, kvHeads: 2, headDim: 64 },
  { heads: 5, kvHeads: 1, headDim: 128 },
  { heads: 3, kvHeads: 3, headDim: 32 },
  { heads: 12, kvHeads: 2, headDim: 96 },
]) {
  for (const position of [0, 1, 63, 64, CHUNK - 1, CHUNK, 3 * CHUNK + 5]) {
    kernelTest(
      `a row through attention: ${heads} heads, ${kvHeads} kv of ${headDim}, position ${position}`,
      async (h) => {
        const random = generator(position + heads);
        const noise = (n: number) => Float32Array.from({ length: n }, () => (random() % 2001) / 1000 - 1);
        const shape = { slots: 2, slotBlocks: 4, kvHeads, headDim };
        const past = cacheData(shape, noise);
        const [slots, positions] = [await h.from(Int32Array.of(1)), await h.from(Int32Array.of(position))];
        const places = await h.from(Int32Array.of(1, 0, position));
        const run = await operands(h, 256, [heads * headDim, kvHeads * headDim, kvHeads * headDim]);
        const both = [];
        for (const joined of [true, false]) {
          const cache = await cacheOf(h, shape, past);
          const partials = await h.zeros(partialBytes({ heads, cache, rows: 1 }));
          const out = await h.zeros(4 * heads * headDim);
          const common = { cache, heads, rows: 1, slots, positions };
          const left = await run((parts) => {
            const [q, k, v] = parts.projections.map((projection) => projection.out);
            const mixed = { ...common, q, out, partials, longest: position };
            const rope = { kind: "rope", cache, places, positionAt: 2 } as const;
            const made = joined ? [ternaryRow(parts, rope)] : [...apart(parts), ropeStore({ ...common, q, k, v })];
            return [...made, ...attend(mixed)];
          });
          const [keys, values] = [await h.words(cache.keys), await h.words(cache.values)];
          both.push({ ...left, out: await h.words(out), keys, values });
        }
        assert.deepEqual(both[0], both[1]);
      },
      { buffers: 14 },
    );
  }
}

for (const { heads, kvHeads, headDim } of [
  { heads: 4, kvHeads: 2, headDim: 64 },
  { heads: 5, kvHeads: 1, headDim: 128 },
  { heads: 8, kvHeads: 8, headDim: 16 },
]) {
  for (const position of [2 * CHUNK, 4 * CHUNK - 1, 7 * CHUNK + 3, 9 * CHUNK]) {
    kernelTest(`a row from chunks: ${heads} heads, ${kvHeads} kv of ${headDim}, position ${position}`, async (h) => {
      const random = generator(position + heads);
      const noise = (n: number) => Float32Array.from({ length: n }, () => (random() % 2001) / 1000 - 1);
      const shape = { slots: 1, slotBlocks: 10, kvHeads, headDim };
      const width = heads * headDim;
      const [q, cache] = [await h.from(noise(width)), await cacheOf(h, shape, cacheData(shape, noise))];
      const [slots, positions] = [await h.from(Int32Array.of(0)), await h.from(Int32Array.of(position))];
      const partials = await h.zeros(partialBytes({ heads, cache, rows: 1 }));
      const run = await operands(h, width, [40], true);
      const both = [];
      for (const joined of [true, false]) {
        const context = await h.zeros(4 * width);
        const where = { cache, heads, rows: 1, slots, positions };
        const mixed = { ...where, q, partials, out: context, longest: position };
        const chunks = { partials, positions, context, chunks: chunksOf(position), headDim };
        const left = await run((parts) =>
          joined
            ? [attendSplit(mixed), ternaryRow({ ...parts, x: chunks }, { kind: "store" })]
            : [...attend(mixed), ...apart({ ...parts, x: context })],
        );
        both.push({ ...left, context: await h.words(context) });
      }
      assert.deepEqual(both[0], both[1]);
    });
  }
}
