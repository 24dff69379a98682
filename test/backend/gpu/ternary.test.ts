/** The ternary kernels against integer sums: bit for bit, in all forms. */
import assert from "node:assert/strict";
import { ternary } from "../../../src/backend/gpu/kernels/ternary.js";
import { type Harness, kernelTest } from "./harness.js";
import { generator, pack, ternaries } from "./random.js";

const SHAPES = [
  { rows: 1, columns: 128, outputs: [5] },
  { rows: 2, columns: 640, outputs: [64, 16, 17] },
  { rows: 3, columns: 2560, outputs: [33, 9] },
  { rows: 5, columns: 6912, outputs: [12] },
  { rows: 17, columns: 640, outputs: [70, 16, 3] },
  { rows: 65, columns: 128, outputs: [130] },
];

for (const shape of SHAPES) {
  for (const add of [false, true]) {
    const name = `${shape.rows} x ${shape.columns} by ${shape.outputs}${add ? ", added" : ""}`;
    kernelTest(`ternary ${name}`, (harness) => check(harness, shape, { add, subgroupMatrices: false }));
    const withMatrices = (harness: Harness) => check(harness, shape, { add, subgroupMatrices: true });
    kernelTest(`ternary ${name}, with subgroup matrices`, withMatrices, { needs: "subgroup matrices" });
  }
}

async function check(
  h: Harness,
  { rows, columns, outputs }: (typeof SHAPES)[number],
  { add, subgroupMatrices }: { add: boolean; subgroupMatrices: boolean },
): Promise<void> {
  const random = generator(rows + columns);
  const x = Int8Array.from({ length: rows * columns }, () => (random() % 255) - 127);
  const scales = Float32Array.from({ length: rows }, () => (random() % 1000) / 7000 + 0.01);
  const sums = Int32Array.from({ length: rows }, (_, row) =>
    x.subarray(row * columns, (row + 1) * columns).reduce((sum, value) => sum + value, 0),
  );
  const all = outputs.map((count) => ternaries(count * columns, random));
  const windows = await h.together(all.map(pack));
  const matrices = await Promise.all(
    outputs.map(async (count, i) => {
      const [weights, codes] = [all[i], windows[i]];
      const out = await h.zeros(4 * rows * count);
      const addTo = add ? await h.from(new Float32Array(rows * count).fill(1.5)) : undefined;
      return { weights, rows: count, codes, out, addTo, scale: Math.fround(0.37 + i) };
    }),
  );
  const quantized = { values: await h.from(x), scales: await h.from(scales), sums: await h.from(sums) };
  await h.run(...ternary({ projections: matrices, columns, rows, x: quantized, subgroupMatrices }));
  for (const { weights, rows: count, out, addTo, scale } of matrices) {
    const expected = new Float32Array(rows * count);
    for (let i = 0; i < expected.length; i++) {
      const row = Math.floor(i / count);
      let sum = 0;
      for (let c = 0; c < columns; c++) sum += weights[(i % count) * columns + c] * x[row * columns + c];
      expected[i] = sum * Math.fround(scale * scales[row]);
    }
    assert.deepEqual(await h.floats(out), expected);
    if (addTo !== undefined)
      assert.deepEqual(
        await h.floats(addTo),
        expected.map((y) => y + 1.5),
      );
  }
}
