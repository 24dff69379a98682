/**
 * The shipped kernels, called as the threads call them, against naive oracles: integer results exactly, at odd sizes and
 * at the ends of the number ranges.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { chooseKernels } from "../../../src/backend/cpu/choice/choose.js";
import { DOT_FORMS } from "../../../src/backend/cpu/choice/forms.js";
import { HALF, instantiate, type Kernels, MASKS } from "../../../src/backend/cpu/kernels.js";
import { scanLimit, tableScratchBytes } from "../../../src/backend/cpu/sizes.js";
import { roundHalfEven } from "../../../src/backend/formulas.js";
import { halfToFloat } from "../../../src/formats/float.js";
import { denseFormatOf } from "../../../src/formats/table.js";
import { Random } from "../../random.js";

/** A memory with a bump allocator, and kernels over it. */
class Bench {
  readonly memory = new WebAssembly.Memory({ initial: 1024, maximum: 65_536, shared: true });
  readonly kernels: Kernels;
  #end = 64;
  constructor(module: WebAssembly.Module) {
    this.kernels = instantiate(module, this.memory);
  }
  allocate(bytes: number): number {
    const address = this.#end;
    this.#end += Math.ceil(bytes / 64) * 64;
    assert.ok(this.#end <= this.memory.buffer.byteLength);
    return address;
  }
  put(data: Int8Array | Uint8Array | Float32Array | Uint16Array): number {
    const address = this.allocate(data.byteLength);
    new Uint8Array(this.memory.buffer).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), address);
    return address;
  }
  i8 = (address: number, length: number) => new Int8Array(this.memory.buffer, address, length);
  i32 = (address: number, length: number) => new Int32Array(this.memory.buffer, address, length);
  f32 = (address: number, length: number) => new Float32Array(this.memory.buffer, address, length);
  reset(): void {
    this.#end = 64;
  }
}

/** I2_S bytes of row-major codes, blocks of 128 in 32 bytes. */
function encodeI2S(codes: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(codes.length / 4);
  codes.forEach((code, i) => {
    const inBlock = i % 128;
    bytes[32 * Math.floor(i / 128) + (inBlock % 32)] |= code << (6 - 2 * Math.floor(inBlock / 32));
  });
  return bytes;
}

function naiveDot(codes: Uint8Array, x: Int8Array, rows: number, columns: number): Int32Array {
  return Int32Array.from({ length: rows }, (_, r) => {
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += (codes[r * columns + c] - 1) * x[c];
    return sum;
  });
}

/** Equal, or both NaN. */
function assertSame(got: number, want: number, what: string): void {
  assert.ok(got === want || (Number.isNaN(got) && Number.isNaN(want)), `${what}: expected ${want}, got ${got}`);
}

const sumOf = (x: Int8Array) => x.reduce((sum, value) => sum + value, 0);

const SHAPES = [
  [1, 128],
  [3, 256],
  [8, 384],
  [17, 640],
  [40, 128 * 27],
  [129, 128],
] as const;

const EXTREMES: readonly [name: string, code: number | undefined, value: number | undefined][] = [
  ["random", undefined, undefined],
  ["all +127 against all +1", 2, 127],
  ["all -128 against all +1", 2, -128],
  ["all -128 against all -1", 0, -128],
  ["all +127 against all -1", 0, 127],
  ["all -128 against all 0", 1, -128],
];

for (const form of DOT_FORMS) {
  describe(form, async () => {
    const { module } = await chooseKernels({ form });
    for (const [name, code, value] of EXTREMES) {
      test(`sums of ${name} are exact at odd sizes`, () => {
        const bench = new Bench(module);
        const random = new Random(1);
        for (const [rows, columns] of SHAPES) {
          bench.reset();
          const codes = Uint8Array.from({ length: rows * columns }, () => code ?? random.integer(0, 2));
          const x = Int8Array.from({ length: columns }, () => value ?? random.integer(-128, 127));
          const groups = Math.ceil(rows / 8);
          const packed = bench.allocate(groups * 2 * columns);
          assert.equal(bench.kernels.ternaryPack(bench.put(encodeI2S(codes)), packed, columns, rows), 0);
          const out = bench.allocate(32 * groups);
          bench.kernels[form](packed, bench.put(x), out, columns, groups, sumOf(x), ...MASKS);
          assert.deepEqual(bench.i32(out, rows).slice(), naiveDot(codes, x, rows, columns), `${rows} x ${columns}`);
        }
      });
    }
  });
}

for (const binary of ["ternaryDot16", "ternaryDotBaseline"] as const) {
  describe(`kernels of the binary of ${binary}`, async () => {
    const { module } = await chooseKernels({ form: binary });

    for (const tile of [32, 64])
      test(`tables give the same sums for ${tile} tokens, whatever the extremes`, () => {
        const bench = new Bench(module);
        const random = new Random(2);
        for (const [name, code, value] of EXTREMES) {
          for (const [rows, columns] of SHAPES) {
            bench.reset();
            const codes = Uint8Array.from({ length: rows * columns }, () => code ?? random.integer(0, 2));
            const x = Int8Array.from({ length: tile * columns }, () => value ?? random.integer(-128, 127));
            const groups = Math.ceil(rows / 8);
            const packed = bench.allocate(groups * 2 * columns);
            bench.kernels.ternaryPack(bench.put(encodeI2S(codes)), packed, columns, rows);
            const [input, acc] = [bench.allocate(2 * tile * columns), bench.allocate(32 * tile * groups)];
            const scratch = bench.allocate(tableScratchBytes(8 * groups, tile));
            bench.kernels.tableTranspose(bench.put(x), input, columns, tile);
            bench.kernels.tableDot(packed, input, acc, scratch, columns, groups, tile, MASKS[0]);
            const sums = bench.i32(acc, 8 * tile * groups);
            for (let token = 0; token < tile; token++) {
              const want = naiveDot(codes, x.subarray(token * columns, (token + 1) * columns), rows, columns);
              for (const [r, sum] of want.entries())
                assert.equal(sums[tile * r + token], sum, `${name}: row ${r}, token ${token}`);
            }
          }
        }
      });

    test("scaling by tables and by rows gives the same bits", () => {
      const bench = new Bench(module);
      const random = new Random(3);
      for (const rows of [1, 3, 4, 9, 32]) {
        for (const [tile, tokens] of [
          [32, 1],
          [32, 2],
          [32, 3],
          [32, 5],
          [32, 32],
          [64, 33],
          [64, 64],
        ]) {
          bench.reset();
          const acc = bench.allocate(4 * tile * rows);
          const sums = bench.i32(acc, tile * rows).map(() => random.integer(-300_000, 300_000));
          bench.i32(acc, tile * rows).set(sums);
          const factors = Float32Array.from({ length: tile }, () => random.next());
          const residual = Float32Array.from({ length: tokens * rows }, () => random.gaussian());
          const [out, addTo] = [bench.allocate(4 * tokens * rows), bench.put(residual)];
          bench.kernels.tableScale(acc, out, addTo, 4 * rows, rows, tokens, bench.put(factors), tile);
          const line = bench.allocate(4 * rows);
          const [one, oneAdd] = [bench.allocate(4 * rows), bench.allocate(4 * rows)];
          for (let t = 0; t < tokens; t++) {
            bench.i32(line, rows).forEach((_, r, all) => {
              all[r] = sums[tile * r + t];
            });
            bench.f32(oneAdd, rows).set(residual.subarray(t * rows, (t + 1) * rows));
            bench.kernels.ternaryScale(line, one, oneAdd, rows, factors[t]);
            assert.deepEqual(bench.f32(out + 4 * t * rows, rows).slice(), bench.f32(one, rows).slice());
            assert.deepEqual(bench.f32(addTo + 4 * t * rows, rows).slice(), bench.f32(oneAdd, rows).slice());
            for (const [r, y] of bench.f32(one, rows).entries()) {
              assert.equal(y, Math.fround(Math.fround(sums[tile * r + t]) * factors[t]));
            }
          }
        }
      }
    });

    test("a code of 3 is found wherever it stands", () => {
      const bench = new Bench(module);
      for (const at of [0, 127, 128, 200, 639, 640, 1279]) {
        bench.reset();
        const codes = new Uint8Array(2 * 640).fill(1);
        codes[at] = 3;
        const packed = bench.allocate(2 * 640);
        assert.notEqual(bench.kernels.ternaryPack(bench.put(encodeI2S(codes)), packed, 640, 2), 0, `code ${at}`);
      }
    });

    test("normQuantize rounds ties to even and keeps to int8", () => {
      const { kernels, ...bench } = withMethods(new Bench(module));
      const random = new Random(4);
      for (const n of [16, 48, 256, 6912]) {
        const x = Float32Array.from({ length: n }, () => random.gaussian());
        const weight = Float32Array.from({ length: n }, () => 1 + random.next());
        const [normed, q, scale] = [bench.allocate(4 * n), bench.allocate(n), bench.allocate(8)];
        kernels.normQuantize(bench.put(x), bench.put(weight), normed, q, scale, scale + 4, n, 1e-5);
        const meanSquare = x.reduce((sum, value) => sum + value * value, 0) / n;
        const absmax = bench.f32(normed, n).reduce((max, y) => Math.max(max, Math.abs(y)), 1e-5);
        bench.f32(normed, n).forEach((y, i) => {
          assert.ok(Math.abs(y - (x[i] * weight[i]) / Math.sqrt(meanSquare + 1e-5)) < 2e-6 * absmax);
          const exact = Math.fround(y * Math.fround(127 / absmax));
          assert.equal(bench.i8(q, n)[i], Math.max(-128, Math.min(127, roundHalfEven(exact))) + 0);
        });
        assert.equal(bench.f32(scale, 1)[0], Math.fround(absmax / 127));
        assert.equal(bench.i32(scale + 4, 1)[0], sumOf(bench.i8(q, n)));
      }
      // a row whose scaled values are exact halves: norm 1 with eps 0, absmax 127 / 2
      const halves = Float32Array.from(
        { length: 16 },
        (_, i) => (i % 2 === 0 ? 1 : -1) * [127, 1, 3, 5, 7, 9, 11, 125][i >> 1],
      );
      const rms = Math.sqrt(halves.reduce((sum, value) => sum + value * value, 0) / 16);
      const weight = new Float32Array(16).fill(rms / 2);
      const [normed, q, scale] = [bench.allocate(64), bench.allocate(16), bench.allocate(8)];
      kernels.normQuantize(bench.put(halves), bench.put(weight), normed, q, scale, scale + 4, 16, 0);
      bench.f32(normed, 16).forEach((y, i) => {
        assert.equal(
          bench.i8(q, 16)[i],
          roundHalfEven(Math.fround(y * Math.fround(127 / bench.f32(normed, 16)[0]))) + 0,
        );
      });
    });

    test("a row of zeros quantises to zeros", () => {
      const bench = new Bench(module);
      const [normed, q, scale] = [bench.allocate(64), bench.put(new Int8Array(16).fill(5)), bench.allocate(8)];
      const zeros = bench.put(new Float32Array(16));
      bench.kernels.normQuantize(zeros, bench.put(new Float32Array(16).fill(1)), normed, q, scale, scale + 4, 16, 1e-5);
      assert.deepEqual(bench.i8(q, 16).slice(), new Int8Array(16));
      assert.equal(bench.f32(scale, 1)[0], Math.fround(Math.fround(1e-5) / 127));
    });

    test("every F16 and BF16 value decodes exactly, infinities and NaN too, in rows and as a scale of a block", () => {
      const bench = new Bench(module);
      const bits = Uint16Array.from({ length: 65_536 }, (_, i) => i);
      const table = bench.put(bits);
      const out = bench.allocate(4 * bits.length);
      bench.kernels.decodeF16(table, out, bits.length);
      for (const [i, value] of bench.f32(out, bits.length).entries()) assertSame(value, halfToFloat(i), `half ${i}`);
      bench.kernels.decodeBF16(table, out, bits.length);
      const words = new Uint32Array(bench.memory.buffer, out, bits.length);
      for (const [i, word] of words.entries()) assert.equal(word, i * 65_536);

      const [q8, q6] = [new Uint8Array(34).fill(1), new Uint8Array(210).fill(0x11)];
      q6.fill(1, 192, 208);
      for (const [decode, block, at, values] of [
        ["decodeQ8_0", q8, 0, 32],
        ["decodeQ6_K", q6, 208, 256],
      ] as const) {
        const [from, to] = [bench.allocate(block.length), bench.allocate(4 * values)];
        const type = decode === "decodeQ8_0" ? "Q8_0" : "Q6_K";
        for (const half of bits) {
          if (half % 3 !== 0 && (half & 0x7c00) !== 0x7c00) continue; // a third of the finite ones, all others
          new DataView(block.buffer).setUint16(at, half, true);
          new Uint8Array(bench.memory.buffer).set(block, from);
          bench.kernels[decode](from, to, values);
          const [got, want] = [bench.f32(to, values), denseFormatOf(type).decode(block, values)];
          for (const i of [0, values - 1]) assertSame(got[i], want[i], `${type}, scale ${half}`);
        }
      }
    });

    test("every finite F16 value decodes exactly inside the dot", () => {
      const bench = new Bench(module);
      const bits = Uint16Array.from({ length: 65_536 }, (_, i) => (((i >> 10) & 31) === 31 ? 0 : i));
      const table = bench.put(bits);
      const unit = new Float32Array(16);
      const logits = bench.allocate(4 * 4096);
      for (let lane = 0; lane < 16; lane++) {
        const x = bench.put(unit.fill(0).fill(1, lane, lane + 1));
        bench.kernels.logitsF16(table, x, logits, 16, 4096, ...HALF);
        for (const [r, y] of bench.f32(logits, 4096).entries()) assert.equal(y, halfToFloat(bits[16 * r + lane]) + 0);
      }
    });

    test("NaN and infinity reach the scale from every element: norms, and keys and values of 16 bits", () => {
      const n = 64;
      for (const poison of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        for (let at = 0; at < n; at++) {
          const bench = new Bench(module);
          const x = Float32Array.from({ length: n }, (_, i) => Math.sin(i));
          const [weight, normed, q, scale] = [
            new Float32Array(n).fill(1),
            ...[256, 64, 8].map((b) => bench.allocate(b)),
          ];
          const ones = bench.put(weight);
          const spoilt = bench.put(x.map((value, i) => (i === at ? poison : value)));
          bench.kernels.normQuantize(spoilt, ones, normed, q, scale, scale + 4, n, 1e-5);
          assert.ok(!Number.isFinite(bench.f32(scale, 1)[0]), `${poison} at ${at}`);
          assert.ok(bench.f32(normed, n).every(Number.isNaN), "and all of the row");

          const [cache, scales] = [bench.allocate(64 * 128 * 2), bench.allocate(64)];
          bench.kernels.storeKey16(spoilt, cache, scales, 0, n, 4095);
          assert.ok(!Number.isFinite(bench.f32(scales, 1)[0]), `key ${poison} at ${at}`);
          bench.kernels.storeValue16(spoilt, cache, scales, 1, n);
          assert.ok(!Number.isFinite(bench.f32(scales, 2)[1]), `value ${poison} at ${at}`);
        }
      }
    });

    test("the scan bounds every logit of the full head, near-ties and huge norms included", () => {
      const bench = new Bench(module);
      const random = new Random(5);
      const [n, rows] = [256, 64];
      for (const size of [1e-4, 1, 3e4]) {
        bench.reset();
        const table = Uint16Array.from({ length: n * rows }, (_, i) => {
          const row = Math.floor(i / n);
          if (row === 7) return 0; // a row of zeros
          const exponent = row === 9 ? 30 : random.integer(8, 14); // a row of huge values
          return (random.integer(0, 1) << 15) | (exponent << 10) | random.integer(0, 1023);
        });
        table.copyWithin(n, 0, n); // two equal rows
        const address = bench.put(table);
        const [row, codes, numbers] = [bench.allocate(4 * n), bench.allocate(n * rows), bench.allocate(16 * rows)];
        for (let r = 0; r < rows; r++) {
          bench.kernels.decodeF16(address + 2 * n * r, row, n);
          bench.kernels.headPack(row, codes + (r >> 2) * 4 * n, numbers + (r >> 2) * 64, r & 3, n);
        }
        const x = Float32Array.from({ length: n }, (_, i) => size * (i === 3 ? 40 : 1) * random.gaussian());
        const [u, factors] = [bench.allocate(2 * n), bench.allocate(16)];
        const [lower, upper, logits] = [bench.allocate(4 * rows), bench.allocate(4 * rows), bench.allocate(4 * rows)];
        const input = bench.put(x);
        bench.kernels.headQuantize(input, u, factors, n, scanLimit(n));
        bench.kernels.headScan(codes, numbers, u, factors, lower, upper, n, rows / 4);
        bench.kernels.logitsF16(address, input, logits, n, rows, ...HALF);
        bench.f32(logits, rows).forEach((logit, r) => {
          const [low, high] = [bench.f32(lower, rows)[r], bench.f32(upper, rows)[r]];
          assert.ok(low <= logit && logit <= high, `row ${r}: ${logit} not in ${low} to ${high}`);
        });
      }
    });

    test("atLeast finds the indices of values that are not below the threshold, NaN with them", () => {
      const bench = new Bench(module);
      const random = new Random(6);
      for (const n of [1, 3, 4, 5, 31, 1024]) {
        bench.reset();
        const values = Float32Array.from({ length: n }, () => random.integer(0, 9) || Number.NaN);
        const [at, found] = [bench.put(values), bench.allocate(4 * n)];
        const count = bench.kernels.atLeast(at, n, 5, found);
        const want = [...values.keys()].filter((i) => !(values[i] < 5));
        assert.deepEqual([...bench.i32(found, count)], want);
      }
    });
  });
}

/** So that a bench can be taken apart without losing `this`. */
function withMethods(bench: Bench) {
  return {
    kernels: bench.kernels,
    allocate: (bytes: number) => bench.allocate(bytes),
    put: (data: Parameters<Bench["put"]>[0]) => bench.put(data),
    i8: bench.i8,
    i32: bench.i32,
    f32: bench.f32,
  };
}
