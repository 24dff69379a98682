/**
 * Weight types against ggml's own loops, written here once more from the block layouts, and the ops of the CPU backend over
 * them against float64. Random bytes, so that every code occurs.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { halfToFloat } from "../../src/formats/float.js";
import { formatOf } from "../../src/formats/table.js";
import { type GgmlType, ggmlLayout } from "../../src/gguf/types.js";
import { assertNear, batchOf, dot, rowOf, runOps, uniform, withBackend } from "../backend/conformance/common.js";
import { halfBits, type Matrix, randomOf } from "../backend/files.js";
import { CPU_VARIANTS, GPU_VARIANTS, REFERENCE } from "../backends.js";

interface Type {
  readonly name: GgmlType;
  /** bytes of a block at which halves stand */
  readonly halves: readonly number[];
  /** the values of one block */
  decode(block: Uint8Array, half: (at: number) => number): number[];
}

const codes =
  (block: number): Type["decode"] =>
  (bytes, half) =>
    Array.from({ length: block }, (_, j) => half(0) * (((bytes[2 + (j >> 2)] >> (2 * (j & 3))) & 3) - 1));

const DENSE: readonly Type[] = [
  {
    name: "Q4_0",
    halves: [0],
    decode: (bytes, half) => {
      const qs = bytes.subarray(2);
      const low = Array.from(qs, (byte) => half(0) * ((byte & 15) - 8));
      return [...low, ...Array.from(qs, (byte) => half(0) * ((byte >> 4) - 8))];
    },
  },
  {
    name: "Q4_K", // dequantize_row_q4_K with get_scale_min_k4
    halves: [0, 2],
    decode: (bytes, half) => {
      const scales = bytes.subarray(4, 16);
      const pair = (j: number) =>
        j < 4
          ? [scales[j] & 63, scales[j + 4] & 63]
          : [(scales[j + 4] & 15) | ((scales[j - 4] >> 6) << 4), (scales[j + 4] >> 4) | ((scales[j] >> 6) << 4)];
      const values: number[] = [];
      for (let j = 0; j < 4; j++) {
        const qs = bytes.subarray(16 + 32 * j, 48 + 32 * j);
        for (const [is, shift] of [
          [2 * j, 0],
          [2 * j + 1, 4],
        ]) {
          const [scale, minimum] = pair(is);
          for (const byte of qs) values.push(half(0) * scale * ((byte >> shift) & 15) - half(2) * minimum);
        }
      }
      return values;
    },
  },
  { name: "Q2_0", halves: [0], decode: codes(64) },
  { name: "Q2_0_128", halves: [0], decode: codes(128) },
  { name: "PQ2_0", halves: [0], decode: codes(128) },
];

const POW3 = [1, 3, 9, 27, 81];

/** dequantize_row_tq1_0; its second part has 16 bytes, its third 4 trits a byte. */
function decodeTq1(bytes: Uint8Array, half: (at: number) => number): number[] {
  const values: number[] = [];
  const take = (from: number, count: number, trits: number) => {
    for (let n = 0; n < trits; n++) {
      for (let m = 0; m < count; m++) {
        const q = (bytes[from + m] * POW3[n]) % 256;
        values.push((((q * 3) >> 8) - 1) * half(52));
      }
    }
  };
  take(0, 32, 5);
  take(32, 16, 5);
  take(48, 4, 4);
  return values;
}

const TQ1: Type = { name: "TQ1_0", halves: [52], decode: decodeTq1 };

/** Random blocks, each with scales of its own; `scale` gives those of block i. */
function randomMatrix(
  { name, halves, decode }: Type,
  rows: number,
  columns: number,
  scale?: (i: number) => number,
): Matrix {
  const { block, bytes: size } = ggmlLayout(name);
  const random = randomOf(rows * columns);
  const count = (rows * columns) / block;
  const bytes = Uint8Array.from({ length: count * size }, () => Math.floor(random() * 256));
  const values: number[] = [];
  for (let i = 0; i < count; i++) {
    const view = new DataView(bytes.buffer, i * size, size);
    for (const at of halves) {
      const value = scale?.(i) ?? (i % 7 === 3 ? 0 : (i % 3 === 0 ? -1 : 1) * (0.25 + random()));
      view.setUint16(at, halfBits(value), true);
    }
    values.push(...decode(bytes.subarray(i * size, (i + 1) * size), (at) => halfToFloat(view.getUint16(at, true))));
  }
  const shape = { name: `blk.0.${name}.weight`, rows, columns };
  return { ...shape, type: name, bytes, values: Float64Array.from(values), scale: 0 };
}

const BACKENDS = [REFERENCE, CPU_VARIANTS[0], CPU_VARIANTS[1], CPU_VARIANTS[2], CPU_VARIANTS[3], ...GPU_VARIANTS];

for (const type of DENSE) {
  describe(type.name, () => {
    const matrix = randomMatrix(type, 37, 512);
    const expected = Float32Array.from(matrix.values);

    test("gives what ggml gives", () => {
      const format = formatOf(type.name);
      assert.ok(format.kind === "dense");
      format.check(matrix, matrix.bytes);
      assert.deepEqual(format.decode(matrix.bytes, expected.length), expected);
    });

    test("each float of a block that is not finite is refused", () => {
      for (const at of type.halves) {
        const bytes = matrix.bytes.slice();
        new DataView(bytes.buffer).setUint16(9 * ggmlLayout(type.name).bytes + at, 0x7e00, true);
        assert.throws(() => formatOf(type.name).check(matrix, bytes), { code: "MODEL_CODES", message: /got NaN/ });
      }
    });

    for (const variant of BACKENDS) {
      test(`as a matrix and as a table on ${variant.name}`, { skip: variant.skip }, async () => {
        await withBackend(variant, [matrix], async (b, [weight]) => {
          const rows = 5;
          const [x, out, sum, embedded] = [
            b.tensor(rows, 512),
            b.tensor(rows, 37),
            b.tensor(rows, 37),
            b.tensor(rows, 512),
          ];
          const [input, before] = [uniform(rows * 512, 3), uniform(rows * 37, 4)];
          b.write(x, input);
          b.write(sum, before);
          const tokens = Int32Array.of(0, 36, 5, 5, 17);
          await runOps(b, batchOf(rows, { tokens }), () => {
            b.linear([{ weight, out, addTo: sum }], x);
            b.embed(embedded, weight);
          });
          const got = await b.read(out, 0, rows);
          const added = await b.read(sum, 0, rows);
          for (let row = 0; row < rows; row++) {
            const want = Array.from({ length: 37 }, (_, r) =>
              dot(rowOf(matrix.values, r, 512), rowOf(input, row, 512)),
            );
            assertNear(rowOf(got, row, 37), want, `row ${row}`);
            const total = want.map((value, r) => value + rowOf(before, row, 37)[r]);
            assertNear(rowOf(added, row, 37), total, `sum of row ${row}`);
            assert.deepEqual((await b.read(embedded, row, 1)).slice(), rowOf(expected, tokens[row], 512).slice());
          }
        });
      });
    }
  });
}

test("TQ1_0 gives what ggml gives", () => {
  const matrix = randomMatrix(TQ1, 6, 768);
  const format = formatOf("TQ1_0");
  assert.ok(format.kind === "ternary");
  const { values, scales, group } = format.decode(matrix, matrix.bytes);
  values.forEach((value, i) => {
    assert.equal(value * scales[Math.floor(i / group)] + 0, matrix.values[i] + 0, `weight ${i}`);
  });
});

describe("ternary weights with a scale for each block", () => {
  for (const [what, scale] of [
    ["all different", undefined],
    ["one for all, and blocks of zeros", (i: number) => (i % 5 === 0 ? 0 : -0.75)],
  ] as const) {
    const matrix = randomMatrix(TQ1, 37, 768, scale);
    for (const variant of BACKENDS) {
      test(`${what}, on ${variant.name}`, { skip: variant.skip }, async () => {
        await withBackend(variant, [matrix], async (b, [weight]) => {
          const rows = 16;
          const [x, q, out] = [b.tensor(rows, 768), b.quantized(rows, 768), b.tensor(rows, 37)];
          b.write(x, uniform(rows * 768, 2));
          await runOps(b, batchOf(rows), () => {
            b.quantize(q, x);
            b.ternary([{ weight, out }], q);
          });
          const { values, scales } = await b.readQuantized(q, 0, rows);
          for (let row = 0; row < rows; row++) {
            const input = rowOf(values, row, 768);
            const want = Array.from({ length: 37 }, (_, r) => dot(rowOf(matrix.values, r, 768), input) * scales[row]);
            assertNear(await b.read(out, row, 1), want, `row ${row}`);
          }
        });
      });
    }
  }

  test("code 3 of TQ2_0 is refused where the kernels have no such code", async () => {
    const bytes = new Uint8Array(8 * 66).fill(0xff);
    for (let i = 0; i < 8; i++) new DataView(bytes.buffer).setUint16(66 * i + 64, halfBits(0.5), true);
    const name = "blk.0.attn_q.weight";
    const matrix: Matrix = { name, type: "TQ2_0", rows: 8, columns: 256, bytes, values: new Float64Array(), scale: 0 };
    await assert.rejects(
      withBackend(CPU_VARIANTS[0], [matrix], async () => {}),
      {
        code: "MODEL_CODES",
        message: `${name}: expected ternary codes 0, 1 and 2, got 3. This file looks corrupt; download it again.`,
      },
    );
  });
});
