/**
 * Products of quantised blocks (asm/packed.ts): rows in fixed point hold their floats, products agree with float64 sums, and one
 * row of floats alone gives the bits that it gives among four.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { chooseKernels } from "../../../src/backend/cpu/choice/choose.js";
import { instantiate, type Kernels, PACKED } from "../../../src/backend/cpu/kernels.js";
import { denseFormatOf } from "../../../src/formats/table.js";
import { Random } from "../../random.js";

const [X, FIXED, FACTORS, TABLE, OUT] = [0x1000, 0x10000, 0x20000, 0x30000, 0x80000];
const STRIDE = 16; // four factors a block
const TYPES = [
  ["Q8_0", 34],
  ["Q4_0", 18],
] as const;

class Bench {
  readonly memory = new WebAssembly.Memory({ initial: 32, maximum: 65_536, shared: true });
  readonly kernels: Kernels;
  constructor(module: WebAssembly.Module) {
    this.kernels = instantiate(module, this.memory);
  }
  floats = (at: number, count: number) => new Float32Array(this.memory.buffer, at, count);

  /** Four rows of n floats, and in fixed point. */
  write(rows: Float32Array, n: number): void {
    this.floats(X, 4 * n).set(rows);
    for (let row = 0; row < 4; row++) {
      this.kernels.fixedPoint(X + 4 * row * n, FIXED + 4 * row * n, FACTORS + 4 * row, STRIDE, n);
    }
  }

  /** (4, rows): by the kernel for one row of floats, and by that for four. */
  multiply(type: (typeof TYPES)[number][0], n: number, rows: number): [Float32Array, Float32Array] {
    for (let row = 0; row < 4; row++) {
      const x = [FIXED + 4 * row * n, FACTORS + 4 * row, STRIDE] as const;
      this.kernels[`rows${type}`](TABLE, ...x, OUT + 4 * row * rows, n, rows, ...PACKED);
    }
    const single = this.floats(OUT, 4 * rows).slice();
    this.floats(OUT, 4 * rows).fill(Number.NaN);
    this.kernels[`tile${type}`](TABLE, FIXED, FACTORS, STRIDE, OUT, 4 * rows, n, rows, ...PACKED);
    return [single, this.floats(OUT, 4 * rows).slice()];
  }
}

/** Blocks of random bytes, or of `byte`, with finite scales of both signs. */
function randomBlocks(random: Random, count: number, size: number, byte?: number): Uint8Array {
  const bytes = Uint8Array.from({ length: count * size }, () => byte ?? random.integer(0, 255));
  for (let at = 0; at < bytes.length; at += size) bytes[at + 1] = (random.integer(0, 1) << 7) | random.integer(0, 45);
  return bytes;
}

for (const form of ["ternaryDot16", "ternaryDotBaseline"] as const) {
  describe(`the binary of ${form}`, async () => {
    const { module } = await chooseKernels({ form });

    test("rows in fixed point: large elements are exact, small ones to 2^-29 of the block's largest", () => {
      const bench = new Bench(module);
      const random = new Random(1);
      const n = 96;
      for (const size of [1, 3e-38, 1e-20, 1e30, 3e38, 0]) {
        const x = Float32Array.from(
          { length: 4 * n },
          () => size * (2 * random.next() - 1) * 2 ** -random.integer(0, 30),
        );
        bench.write(x, n);
        for (let i = 0; i < x.length; i++) {
          const [row, block] = [Math.floor(i / n), Math.floor((i % n) / 32)];
          const factor = bench.floats(FACTORS + STRIDE * block + 4 * row, 1)[0];
          const integers = new Int16Array(bench.memory.buffer, FIXED + 4 * row * n + 128 * block + 2 * (i % 32), 33);
          const got = factor * (integers[0] + integers[32] / 32_768);
          const start = i - (i % 32);
          const largest = x.subarray(start, start + 32).reduce((max, value) => Math.max(max, Math.abs(value)), 0);
          const bound = Math.abs(x[i]) >= largest / 32 && largest > 1e-30 ? 0 : Math.max(largest, 1e-30) * 2 ** -29;
          assert.ok(Math.abs(got - x[i]) <= bound, `${x[i]}: got ${got}, of a block up to ${largest}`);
        }
      }
    });

    for (const [type, size] of TYPES) {
      test(`${type}: products are within 2e-7 of the sum of their magnitudes, the same for one row and for four`, () => {
        const bench = new Bench(module);
        const random = new Random(2);
        for (const [rows, n] of [
          [1, 32],
          [3, 64],
          [4, 320],
          [7, 1024],
          [9, 96],
        ] as const) {
          for (const byte of [undefined, 0x80, 0x7f, 0xff]) {
            const bytes = randomBlocks(random, (rows * n) / 32, size, byte);
            new Uint8Array(bench.memory.buffer).set(bytes, TABLE);
            const table = denseFormatOf(type).decode(bytes, rows * n);
            const x = Float32Array.from(
              { length: 4 * n },
              (_, i) => (byte === undefined ? random.gaussian() : 1) * (1 + (i >> 7)),
            );
            bench.write(x, n);
            const [single, tile] = bench.multiply(type, n, rows);
            assert.deepEqual(tile, single);
            for (const [i, got] of single.entries()) {
              const [row, output] = [Math.floor(i / rows), i % rows];
              let [want, magnitude] = [0, 0];
              for (let c = 0; c < n; c++) {
                const product = table[output * n + c] * x[row * n + c];
                want += product;
                magnitude += Math.abs(product);
              }
              assert.ok(Math.abs(got - want) <= 2e-7 * magnitude, `${rows} x ${n}, ${i}: expected ${want}, got ${got}`);
            }
          }
        }
      });

      test(`${type}: an input that is not finite gives no finite product`, () => {
        const bench = new Bench(module);
        const random = new Random(3);
        const n = 64;
        new Uint8Array(bench.memory.buffer).set(randomBlocks(random, 5 * (n / 32), size), TABLE);
        for (const poison of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
          for (let at = 0; at < n; at++) {
            bench.write(
              Float32Array.from({ length: 4 * n }, (_, i) => (i % n === at ? poison : Math.sin(i))),
              n,
            );
            for (const out of bench.multiply(type, n, 5)) assert.ok(!out.some(Number.isFinite), `${poison} at ${at}`);
          }
        }
      });
    }

    test("float rows: two at a time have the sums of one", () => {
      const bench = new Bench(module);
      const random = new Random(4);
      const n = 80;
      const row = bench.floats(TABLE, n);
      row.set(Float32Array.from({ length: n }, () => random.gaussian()));
      bench.write(
        Float32Array.from({ length: 4 * n }, () => random.gaussian()),
        n,
      );
      for (const count of [1, 2, 3, 4]) {
        bench.kernels.dotRows(TABLE, X, OUT, 8, n, count);
        for (let i = 0; i < count; i++) {
          assert.equal(bench.floats(OUT + 8 * i, 1)[0], bench.kernels.dotF32(TABLE, X + 4 * n * i, n));
        }
      }
      const half = new Uint16Array(bench.memory.buffer, TABLE, n);
      half.set(
        new Uint16Array(Float32Array.from({ length: n }, () => random.gaussian()).buffer).filter((_, i) => i % 2 === 1),
      );
      bench.kernels.logitsBF16(TABLE, X, OUT, n, 1);
      bench.kernels.decodeBF16(TABLE, OUT + 64, n);
      assert.equal(bench.floats(OUT, 1)[0], bench.kernels.dotF32(OUT + 64, X, n));
    });
  });
}
