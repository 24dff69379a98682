/**
 * What the kernels of the families must give, as checks on any device: `checks.test.ts` runs them on sound shaders,
 * `sabotage.test.ts` on shaders with one broken line, where one of them must fail.
 */
import assert from "node:assert/strict";
import { roundHalfEven } from "../../../src/backend/formulas.js";
import type { Call, Window } from "../../../src/backend/gpu/device/kernel.js";
import { deviceForm } from "../../../src/backend/gpu/formats.js";
import { embed } from "../../../src/backend/gpu/kernels/embed.js";
import { linear } from "../../../src/backend/gpu/kernels/linear.js";
import { logits } from "../../../src/backend/gpu/kernels/logits.js";
import { normHeads } from "../../../src/backend/gpu/kernels/norm-heads.js";
import { normQuantize } from "../../../src/backend/gpu/kernels/norm-quantize.js";
import type { Table } from "../../../src/backend/gpu/kernels/operands.js";
import { quantize } from "../../../src/backend/gpu/kernels/quantize.js";
import { ropeStore } from "../../../src/backend/gpu/kernels/rope-store.js";
import { ternary } from "../../../src/backend/gpu/kernels/ternary.js";
import { type Finish, ternaryRow } from "../../../src/backend/gpu/kernels/ternary-row.js";
import { denseFormatOf } from "../../../src/formats/table.js";
import type { GgmlType } from "../../../src/gguf/types.js";
import { halfBits } from "../files.js";
import { cacheAt, cacheData, cacheOf } from "./cache.js";
import type { Harness } from "./harness.js";
import { generator, pack, ternaries } from "./random.js";

export type Check = (h: Harness) => Promise<void>;

/** Bytes of a block at which its 16-bit floats stand. */
const HALVES: Readonly<Record<string, readonly number[]>> = {
  F16: [0],
  Q8_0: [0],
  Q4_K: [0, 2],
  Q6_K: [208],
  Q2_0: [0],
};
/** One for each way in which weights and scales may lie; formats/types.test.ts has the others. */
const DENSE = ["F32", "F16", "Q8_0", "Q4_K", "Q6_K", "Q2_0"] as const satisfies readonly GgmlType[];

const noiseOf =
  (random: () => number) =>
  (count: number, scale = 1) =>
    Float32Array.from({ length: count }, () => ((random() % 2001) / 1000 - 1) * scale);

/** A random weight, its bytes as a file has them and its values. */
function weightOf(type: GgmlType, rows: number, columns: number) {
  const random = generator(rows + columns + type.length);
  const format = denseFormatOf(type);
  const count = (rows * columns) / format.block;
  const bytes = Uint8Array.from({ length: count * format.bytes }, () => random());
  const view = new DataView(bytes.buffer);
  const value = (i: number) => ((i % 2 === 0 ? 1 : -1) * (1 + (random() % 64) / 64)) / 32;
  for (let i = 0; i < count; i++) {
    if (type === "F32") view.setFloat32(4 * i, value(i), true);
    else for (const at of HALVES[type]) view.setUint16(i * format.bytes + at, halfBits(value(i)), true);
    // a scale below the normal 16-bit floats
    if (type === "Q8_0" && i % 5 === 4) view.setUint16(i * format.bytes, 0x8123, true);
  }
  return { bytes, values: format.decode(bytes, rows * columns) };
}

/** Lets the weights lie as the loader does, in one buffer; `cut`: the row at which a second part begins. */
async function tablesOf(
  h: Harness,
  type: GgmlType,
  weights: readonly { bytes: Uint8Array; rows: number; columns: number }[],
  cut?: number,
): Promise<Table[]> {
  const form = deviceForm(type);
  const pieces = weights.flatMap(({ bytes, rows, columns }, weight) => {
    const size = bytes.length / rows;
    return [0, ...(cut === undefined ? [] : [cut])].map((first, i, firsts) => {
      const end = firsts[i + 1] ?? rows;
      const { values, scales = new Uint8Array() } = form.pack(bytes.slice(first * size, end * size));
      const data = new Uint8Array(values.length + 4 * Math.ceil(scales.length / 4));
      data.set(values);
      data.set(scales, values.length);
      return { weight, columns, part: { first, count: end - first, scalesAt: values.length }, data };
    });
  });
  const windows = await h.together(pieces.map(({ data }) => data));
  return weights.map(({ rows, columns }, i) => {
    const parts = pieces.flatMap(({ weight, part }, j) => (weight === i ? [{ ...part, window: windows[j] }] : []));
    return { ...form, rows, columns, parts };
  });
}

function near(got: ArrayLike<number>, want: ArrayLike<number>, what: string): void {
  const most = Array.from(want).reduce((a, b) => Math.max(a, Math.abs(b)), 1e-30);
  for (let i = 0; i < want.length; i++) {
    assert.ok(Math.abs(got[i] - want[i]) <= 2e-6 * most, `${what}, ${i}: expected ${want[i]}, got ${got[i]}`);
  }
}

function product(values: Float32Array, x: Float32Array, row: number, columns: number): Float64Array {
  return Float64Array.from({ length: values.length / columns }, (_, r) => {
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += values[r * columns + c] * x[row * columns + c];
    return sum;
  });
}

/** Three matrices at once, alone and in company, as head and as embedding; of one type also one that adds, and one in parts. */
function checkDense(type: GgmlType): Check {
  return async (h) => {
    const columns = 1280;
    const whole = type === "F16"; // what no type changes, and compilers take long for
    const weights = [37, 5, 70].map((rows) => ({ ...weightOf(type, rows, columns), rows, columns }));
    const tables = await tablesOf(h, type, weights);
    const [cut] = await tablesOf(h, type, weights.slice(0, 1), 20);
    const x = noiseOf(generator(7))(12 * columns);
    const alone: Float32Array[] = [];
    for (const rows of [1, 2, 11]) {
      const xs = await h.from(x.subarray(0, (rows + 1) * columns)); // what lies after the rows counts nothing
      const out = await Promise.all([...weights, weights[0], weights[0]].map((w) => h.zeros(4 * rows * w.rows)));
      const scores = await h.zeros(4 * rows * weights[0].rows);
      const addTo = await h.from(new Float32Array(rows * weights[0].rows).fill(1));
      const factor = 0.5;
      await h.run(
        ...linear({ projections: tables.map((table, i) => ({ table, factor, out: out[i] })), rows, x: xs }),
        ...(whole ? linear({ projections: [{ table: tables[0], factor, out: out[3], addTo }], rows, x: xs }) : []),
        ...(whole ? linear({ projections: [{ table: cut, factor, out: out[4] }], rows, x: xs }) : []),
        ...logits({ table: cut, x: xs, count: rows, out: scores }),
      );
      for (const [i, { values, rows: outputs }] of weights.entries()) {
        const got = await h.floats(out[i]);
        for (let row = 0; row < rows; row++) {
          const part = got.slice(row * outputs, (row + 1) * outputs);
          const want = product(values, x, row, columns);
          near(
            part,
            want.map((value) => factor * value),
            `${type}, ${rows} rows, matrix ${i}, row ${row}`,
          );
          if (row > 0) continue;
          alone[i] ??= part;
          assert.deepEqual(part, alone[i], "the same bits in any company");
        }
      }
      const [first, ...same] = await Promise.all([out[0], ...(whole ? [out[3], out[4]] : [])].map(h.floats));
      for (const other of same) assert.deepEqual(other, first, "added, or in parts");
      const sum = first.map((value) => 1 + value);
      if (whole) assert.deepEqual(await h.floats(addTo), sum);
      assert.deepEqual(
        (await h.floats(scores)).map((value) => factor * value),
        first,
        "logits",
      );
    }
    const tokens = Int32Array.of(36, 0, 19, 20);
    const rows = await h.zeros(4 * tokens.length * columns);
    const [slots, sampled] = [await h.from(new Int32Array(4)), await h.from(Int32Array.of(0))];
    await h.run(...embed({ table: cut, tokens: await h.from(tokens), slots, sampled, out: rows, rows: tokens.length }));
    const got = await h.floats(rows);
    tokens.forEach((token, i) => {
      const want = weights[0].values.subarray(token * columns, (token + 1) * columns);
      assert.deepEqual(got.subarray(i * columns, (i + 1) * columns), want, `${type}, token ${token}`);
    });
  };
}

async function quantizedOf(h: Harness, rows: number, width: number) {
  const sizes = [4 * rows * width, rows * width, 4 * rows, 4 * rows];
  const [normed, values, scales, sums] = await Promise.all(sizes.map((bytes) => h.zeros(bytes)));
  return { normed, values, scales, sums };
}

/** Rows of several sizes, of zeros, with NaN and with infinity. */
const checkQuantize: Check = async (h) => {
  for (const width of [16, 1296]) {
    const x = noiseOf(generator(width))(6 * width, 3);
    x.fill(0, 2 * width, 3 * width);
    for (let i = 0; i < width; i++) x[3 * width + i] *= 1e-7; // below the least absmax
    x[4 * width + 7] = Number.NaN;
    x[5 * width + 15] = Number.NEGATIVE_INFINITY;
    const out = await quantizedOf(h, 6, width);
    await h.run(quantize({ x: await h.from(x), width, rows: 6, out }));
    assert.deepEqual(await h.floats(out.normed), x);
    const [values, scales, sums] = [await h.int8(out.values), await h.floats(out.scales), await h.ints(out.sums)];
    for (let row = 0; row < 4; row++) {
      const absmax = x.subarray(row * width, (row + 1) * width).reduce((m, v) => Math.max(m, Math.abs(v)), 1e-5);
      near([scales[row]], [absmax / 127], `scale of row ${row}`);
      const got = values.subarray(row * width, (row + 1) * width);
      const s = Math.fround(127 / Math.fround(absmax));
      const want = Int8Array.from({ length: width }, (_, i) => roundHalfEven(Math.fround(x[row * width + i] * s)));
      assert.deepEqual(got, want, `row ${row}`);
      assert.equal(
        sums[row],
        want.reduce((a, b) => a + b, 0),
        `sum of row ${row}`,
      );
    }
    for (const row of [4, 5]) assert.ok(Number.isNaN(scales[row]), `row ${row}: scale ${scales[row]}`);
  }
};

/** Heads of one row, and of several, whose number is no multiple of a workgroup's; one that is no number, one that overflows. */
const checkNormHeads: Check = async (h) => {
  for (const [headDim, heads] of [
    [16, 3],
    [136, 11],
  ]) {
    const noise = noiseOf(generator(headDim));
    const [x, weight] = [noise(heads * headDim, 3), noise(headDim, 2)];
    x[2 * headDim - 1] = Number.NaN;
    x.fill(1e25, 2 * headDim, 2 * headDim + 4);
    const window = await h.from(x);
    const eps = 0.01;
    await h.run(normHeads({ x: window, weight: { window: await h.from(weight), type: "F32" }, eps, headDim, heads }));
    const got = await h.floats(window);
    for (let head = 0; head < heads; head++) {
      const [from, to] = [x, got].map((data) => data.subarray(head * headDim, (head + 1) * headDim));
      if (head === 1 || head === 2) {
        assert.ok(
          to.every((value) => !Number.isFinite(value)),
          `head ${head}`,
        );
        continue;
      }
      const square = from.reduce((sum, value) => sum + value * value, 0);
      const r = 1 / Math.sqrt(square / headDim + eps);
      near(
        to,
        Float64Array.from(from, (value, i) => value * r * weight[i]),
        `head ${head}`,
      );
    }
  }
};

/** Pairs side by side and half a head apart, of queries, keys and what the cache keeps. */
const checkRope: Check = async (h) => {
  const [rows, heads] = [3, 4];
  for (const ropePairs of ["halves", "adjacent"] as const) {
    const shape = { slots: 2, slotBlocks: 2, kvHeads: 2, headDim: 24, ropePairs };
    const { headDim, kvHeads } = shape;
    const noise = noiseOf(generator(headDim));
    const data = cacheData(shape, noise);
    const cache = await cacheOf(h, shape, data);
    const angles = new Float32Array(data.tables.buffer, 4 * (data.tables.length - 2 * 128 * headDim));
    const before = [heads, kvHeads, kvHeads].map((count) => noise(rows * count * headDim));
    const [q, k, v] = await Promise.all(before.map((each) => h.from(each)));
    const [slots, positions] = [Int32Array.of(0, 1, 1), Int32Array.of(130, 0, 77)];
    const places = { slots: await h.from(slots), positions: await h.from(positions) };
    await h.run(ropeStore({ cache, q, k, v, ...places, heads, rows }));
    const [keys, values] = [await h.floats(cache.keys), await h.floats(cache.values)];
    const turned = (x: Float32Array, row: number, count: number) => {
      const out = Float64Array.from(x.subarray(row * count * headDim, (row + 1) * count * headDim));
      for (let pair = 0; pair < (count * headDim) / 2; pair++) {
        const [head, i] = [Math.floor((2 * pair) / headDim), pair % (headDim / 2)];
        const [a, b] = (ropePairs === "halves" ? [i, i + headDim / 2] : [2 * i, 2 * i + 1]).map(
          (e) => head * headDim + e,
        );
        const [cos, sin] = angles.subarray(positions[row] * headDim + 2 * i);
        [out[a], out[b]] = [out[a] * cos - out[b] * sin, out[b] * cos + out[a] * sin];
      }
      return out;
    };
    for (let row = 0; row < rows; row++) {
      const what = `${ropePairs}, row ${row}`;
      const part = (x: Float32Array, count: number) => x.subarray(row * count * headDim, (row + 1) * count * headDim);
      near(part(await h.floats(q), heads), turned(before[0], row, heads), `${what}, q`);
      near(part(await h.floats(k), kvHeads), turned(before[1], row, kvHeads), `${what}, k`);
      for (let head = 0; head < kvHeads; head++) {
        const at = cacheAt(shape, slots[row], head, positions[row]);
        const own = (x: ArrayLike<number>) => Array.from(x).slice(head * headDim, (head + 1) * headDim);
        near(keys.subarray(at, at + headDim), own(turned(before[1], row, kvHeads)), `${what}, stored key`);
        near(values.subarray(at, at + headDim), own(part(before[2], kvHeads)), `${what}, stored value`);
      }
    }
  }
};

/** Random codes with a scale for each block, after them, as the loader lets them lie. */
async function blockMatrices(h: Harness, outputs: readonly number[], columns: number) {
  const random = generator(columns + outputs.length);
  const all = outputs.map((rows) => {
    const weights = ternaries(rows * columns, random);
    const scales = Float32Array.from({ length: weights.length / 256 }, (_, i) => {
      return i % 7 === 3 ? 0 : (i % 3 === 0 ? -1 : 1) * ((random() % 1000) / 1000 + 0.1);
    });
    const codes = pack(weights);
    const data = new Uint8Array(codes.length + 4 * scales.length);
    data.set(codes);
    data.set(new Uint8Array(scales.buffer), codes.length);
    return { rows, weights, scales, scalesAt: codes.length, data };
  });
  const windows = await h.together(all.map(({ data }) => data));
  return all.map((matrix, i) => ({ ...matrix, codes: windows[i], scale: Math.fround(0.7 + i) }));
}

/** Few rows and many, alone and added: near to float64, and all forms with the same bits. */
const checkBlocks: Check = async (h) => {
  const [columns, most] = [768, 18];
  const noise = generator(5);
  const x = Int8Array.from({ length: most * columns }, () => (noise() % 255) - 127);
  const scales = Float32Array.from({ length: most }, () => (noise() % 1000) / 7000 + 0.01);
  const matrices = await blockMatrices(h, [9, 17, 70], columns);
  const alone: Float32Array[] = [];
  for (const [rows, subgroupMatrices] of [
    [1, false],
    [2, false],
    [3, false],
    [18, false],
    [18, true],
  ] as const) {
    const input = {
      values: await h.from(x.subarray(0, rows * columns)),
      scales: await h.from(scales.subarray(0, rows)),
      sums: await h.zeros(4 * rows),
    };
    const projections = await Promise.all(matrices.map(async (m) => ({ ...m, out: await h.zeros(4 * rows * m.rows) })));
    const addTo = await h.from(new Float32Array(9 * rows).fill(1));
    const added = { ...projections[0], out: await h.zeros(4 * rows * 9), addTo };
    await h.run(
      ...ternary({ projections, columns, rows, x: input, subgroupMatrices }),
      ...ternary({ projections: [added], columns, rows, x: input, subgroupMatrices }),
    );
    for (const [i, { weights, scales: blocks, scale, rows: outputs, out }] of projections.entries()) {
      const got = await h.floats(out);
      const want = Float64Array.from({ length: rows * outputs }, (_, at) => {
        const [row, output] = [Math.floor(at / outputs), at % outputs];
        let sum = 0;
        for (let c = 0; c < columns; c++) {
          const block = (output * columns + c) >> 8;
          sum += weights[output * columns + c] * x[row * columns + c] * blocks[block];
        }
        return sum * scale * scales[row];
      });
      near(got, want, `${rows} rows, matrix ${i}`);
      alone[i] ??= got.slice(0, outputs);
      assert.deepEqual(got.slice(0, outputs), alone[i], "the same bits in all forms");
    }
    const first = await h.floats(projections[0].out);
    assert.deepEqual(await h.floats(added.out), first);
    assert.deepEqual(
      await h.floats(addTo),
      first.map((value) => 1 + value),
    );
  }
};

/** One row whose ops are joined leaves what they leave one by one, with scales of blocks and without, in every finish. */
const checkRow: Check = async (h) => {
  const [columns, position] = [512, 131];
  const noise = noiseOf(generator(columns));
  const [x, norm, residual] = [await h.from(noise(columns, 3)), await h.from(noise(columns, 2)), noise(64)];
  const shape = { slots: 1, slotBlocks: 2, kvHeads: 1, headDim: 32, ropePairs: "adjacent" as const };
  const past = cacheData(shape, noise);
  const places = await h.from(Int32Array.of(0, position));
  const [slots, positions] = [await h.from(Int32Array.of(0)), await h.from(Int32Array.of(position))];
  const kinds: readonly { kind: Finish["kind"]; outputs: readonly number[] }[] = [
    { kind: "rope", outputs: [64, 32, 32] },
    { kind: "gate", outputs: [70, 70] },
    { kind: "store", outputs: [70, 9] },
    { kind: "store", outputs: [64] },
  ];
  for (const { kind, outputs } of kinds) {
    for (const scaled of [true, false]) {
      const matrices = await blockMatrices(h, outputs, columns);
      const left: Record<string, Uint32Array>[] = [];
      for (const joined of [true, false]) {
        const projections = await Promise.all(
          matrices.map(async ({ scalesAt, ...m }) => ({
            ...m,
            ...(scaled && { scalesAt }),
            out: await h.zeros(4 * m.rows),
            addTo: outputs.length === 1 ? await h.from(residual) : undefined,
          })),
        );
        const cache = await cacheOf(h, shape, past);
        const out = await quantizedOf(h, 1, columns);
        const weight = { window: norm, type: "F32" } as const;
        const row = { x, weight, eps: 1e-5, columns, quantized: out, projections };
        const finish: Finish =
          kind === "rope"
            ? { kind, cache, places, positionAt: 1 }
            : kind === "gate"
              ? { kind, activation: "silu" }
              : { kind };
        const apart: Call[] = [
          normQuantize({ x, weight, eps: 1e-5, width: columns, rows: 1, out }),
          ...ternary({ projections, columns, rows: 1, x: out }),
        ];
        const [q, k, v] = projections.map((projection) => projection.out);
        if (kind === "rope") apart.push(ropeStore({ cache, q, k, v, slots, positions, heads: 2, rows: 1 }));
        await h.run(...(joined ? [ternaryRow(row, finish)] : apart));
        // the gate's own kernel comes after, and is compared elsewhere
        const results = kind === "gate" ? projections.slice(1) : projections;
        const windows: Window[] = [
          ...results.flatMap(({ out, addTo }) => [out, ...(addTo === undefined ? [] : [addTo])]),
          cache.keys,
          cache.values,
          ...Object.values(out),
        ];
        left.push(
          Object.fromEntries(await Promise.all(windows.map(async (w, i) => [`${i}`, await h.words(w)] as const))),
        );
      }
      assert.deepEqual(left[0], left[1], `${kind}, ${scaled ? "scales of blocks" : "one scale"}`);
    }
  }
};

/** Every check; those of dense types apart, by name. */
export const CHECKS: Readonly<Record<string, Check>> = {
  quantize: checkQuantize,
  "norm heads": checkNormHeads,
  "rope store": checkRope,
  "ternary with scales of blocks": checkBlocks,
  "a row in one dispatch": checkRow,
  ...Object.fromEntries(DENSE.map((type) => [`dense ${type}`, checkDense(type)])),
};
