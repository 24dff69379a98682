/** The kernels between the matrices, over a batch of 64 rows. */
import { share } from "../../src/backend/cpu/commands.js";
import { Random } from "../../test/random.js";
import { type CaseMaker, expectValues } from "./case.js";

const ROWS = 64;

const gaussians = (length: number, seed: number) => {
  const random = new Random(seed);
  return Float32Array.from({ length }, () => random.gaussian());
};

/** For each thread the calls of its share of the rows. */
function byRow(kernel: string, threads: number, args: (row: number) => number[]) {
  return Array.from({ length: threads }, (_, thread) => {
    const [begin, end] = share(ROWS, thread, threads);
    return Array.from({ length: end - begin }, (_, i) => ({ kernel, args: args(begin + i) }));
  });
}

export const normQuantize =
  (n: number): CaseMaker =>
  (space) => {
    const [x, weight] = [gaussians(ROWS * n, 6), gaussians(n, 7).map((value) => 1 + value / 10)];
    const [input, scaleBy] = [space.put(x), space.put(weight)];
    const [normed, q] = [space.allocate(4 * ROWS * n), space.allocate(ROWS * n)];
    const [scales, sums] = [space.allocate(4 * ROWS), space.allocate(4 * ROWS)];
    const eps = 1e-5;
    return {
      kernel: "normQuantize",
      shape: `${ROWS} rows of ${n}`,
      macs: 0,
      bytes: 4 * ROWS * n,
      calls: (threads) =>
        byRow("normQuantize", threads, (row) => {
          const at = row * n;
          return [input + 4 * at, scaleBy, normed + 4 * at, q + at, scales + 4 * row, sums + 4 * row, n, eps];
        }),
      reset: () => void space.u8(q, ROWS * n).fill(0x55),
      check: () => {
        for (let row = 0; row < ROWS; row++) {
          const mine = x.subarray(row * n, (row + 1) * n);
          const square = mine.reduce((sum, value) => sum + value * value, 0) / n;
          const y = Float64Array.from(mine, (value, i) => (value / Math.sqrt(square + eps)) * weight[i]);
          const largest = y.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
          const want = y.map((value) => (value * 127) / largest);
          const got = space.i8(q + row * n, n);
          expectValues("normQuantize", got, want, 0.501); // half a step, and what float32 makes of ties
          const sum = got.reduce((total, value) => total + value, 0);
          expectValues("normQuantize, sum", space.i32(sums + 4 * row, 1), [sum]);
          expectValues("normQuantize, scale", space.f32(scales + 4 * row, 1), [largest / 127], largest * 1e-7);
        }
      },
    };
  };

export const gateRelu2 =
  (n: number): CaseMaker =>
  (space) => {
    const [gate, up] = [gaussians(ROWS * n, 8), gaussians(ROWS * n, 9)];
    const [g, u, out] = [space.put(gate), space.put(up), space.allocate(4 * ROWS * n)];
    return {
      kernel: "gateRelu2",
      shape: `${ROWS} rows of ${n}`,
      macs: 0,
      bytes: 8 * ROWS * n,
      calls: (threads) =>
        byRow("gateRelu2", threads, (row) => [g, u, out].map((address) => address + 4 * row * n).concat(n)),
      reset: () => void space.f32(out, ROWS * n).fill(Number.NaN),
      check: () => {
        const want = gate.map((value, i) => Math.fround(Math.max(value, 0) ** 2) * up[i]);
        expectValues("gateRelu2", space.f32(out, ROWS * n), want);
      },
    };
  };

export const rope =
  (heads: number, headDim: number): CaseMaker =>
  (space) => {
    const half = headDim / 2;
    const width = heads * headDim;
    const x = gaussians(ROWS * width, 10);
    const angles = Float32Array.from({ length: headDim }, (_, i) => {
      const angle = 100 * 500_000 ** (-(i % half) / half);
      return i < half ? Math.cos(angle) : Math.sin(angle);
    });
    const [input, table] = [space.put(x), space.put(angles)];
    return {
      kernel: "rope",
      shape: `${ROWS} rows of ${heads} heads of ${headDim}`,
      macs: 0,
      bytes: 4 * ROWS * width,
      calls: (threads) => byRow("rope", threads, (row) => [input + 4 * row * width, table, heads, headDim]),
      reset: () => space.f32(input, ROWS * width).set(x),
      check: () => {
        const want = x.map((value, i) => {
          const pair = i % headDim;
          const [c, s] = [angles[pair % half], angles[half + (pair % half)]];
          const product = (a: number, b: number) => Math.fround(a * b);
          return pair < half
            ? product(value, c) - product(x[i + half], s)
            : product(value, c) + product(x[i - half], s);
        });
        expectValues("rope", space.f32(input, ROWS * width), want);
      },
    };
  };
