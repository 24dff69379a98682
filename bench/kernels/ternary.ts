/** Ternary matrices of the 2B-4T shape: one row of activations, and a tile of them by tables. */

import type { DotForm } from "../../src/backend/cpu/choice/forms.js";
import { share } from "../../src/backend/cpu/commands.js";
import { MASKS } from "../../src/backend/cpu/kernels.js";
import { GROUP, TILE, TILE_GROUPS, tableScratchBytes } from "../../src/backend/cpu/sizes.js";
import { Random } from "../../test/random.js";
import { type CaseMaker, expectValues, type Space } from "./case.js";

/** Copies of a matrix add up to this: far more than the caches hold, so that weights come from memory. */
const BYTES = 128e6;

interface Matrix {
  readonly rows: number;
  readonly columns: number;
  /** (rows, columns), 0 to 2 */
  readonly codes: Uint8Array;
  readonly address: number;
  readonly bytes: number;
}

function makeMatrix(
  space: Space,
  pack: Parameters<CaseMaker>[1]["ternaryPack"],
  rows: number,
  columns: number,
): Matrix {
  const random = new Random(1);
  const codes = Uint8Array.from({ length: rows * columns }, () => random.integer(0, 2));
  const source = space.put(encodeI2S(codes));
  const bytes = (rows * columns) / 4;
  const address = space.allocate(bytes);
  if (pack(source, address, columns, rows) !== 0) throw new Error("ternaryPack: expected codes 0 to 2, got 3");
  return { rows, columns, codes, address, bytes };
}

/** I2_S: 128 columns in 32 bytes, byte b has column b in bits 7:6, 32 + b in 5:4, and so on. */
function encodeI2S(codes: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(codes.length / 4);
  for (let i = 0; i < codes.length; i++) {
    const inBlock = i & 127;
    bytes[((i >> 7) << 5) + (inBlock & 31)] |= codes[i] << (6 - 2 * (inBlock >> 5));
  }
  return bytes;
}

/** sum over c of (code[r][c] - 1) * x[c] */
function plainDot({ rows, columns, codes }: Matrix, x: Int8Array): Int32Array {
  return Int32Array.from({ length: rows }, (_, r) => {
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += (codes[r * columns + c] - 1) * x[c];
    return sum;
  });
}

function randomRow(columns: number, random: Random): Int8Array {
  return Int8Array.from({ length: columns }, () => random.integer(-127, 127));
}

export const ternaryDot =
  (kernel: DotForm, rows: number, columns: number): CaseMaker =>
  (space, { ternaryPack }) => {
    const matrix = makeMatrix(space, ternaryPack, rows, columns);
    const copies = Math.ceil(BYTES / matrix.bytes);
    const weights = space.repeat(matrix.address, matrix.bytes, copies);
    const x = randomRow(columns, new Random(2));
    const [input, out] = [space.put(x), space.allocate(4 * rows)];
    const sum = x.reduce((total, value) => total + value, 0);
    return {
      kernel,
      shape: `${rows} x ${columns}, ${copies} matrices`,
      macs: copies * rows * columns,
      bytes: copies * matrix.bytes,
      calls: (threads) =>
        Array.from({ length: threads }, (_, thread) => {
          const [begin, end] = share(rows / GROUP, thread, threads);
          return Array.from({ length: copies }, (_, copy) => {
            const from = weights + copy * matrix.bytes + begin * GROUP * (columns / 4);
            return { kernel, args: [from, input, out + 4 * GROUP * begin, columns, end - begin, sum, ...MASKS] };
          });
        }),
      reset: () => void space.i32(out, rows).fill(0),
      check: () => expectValues(kernel, space.i32(out, rows), plainDot(matrix, x)),
    };
  };

const SCRATCH = tableScratchBytes(GROUP * TILE_GROUPS, TILE);

export const tableDot =
  (rows: number, columns: number, maxThreads: number): CaseMaker =>
  (space, { ternaryPack, tableTranspose }) => {
    const matrix = makeMatrix(space, ternaryPack, rows, columns);
    const random = new Random(3);
    const x = Array.from({ length: TILE }, () => randomRow(columns, random));
    const input = space.allocate(2 * TILE * columns);
    tableTranspose(space.put(Int8Array.from(x.flatMap((row) => [...row]))), input, columns, TILE);
    const sums = space.allocate(4 * TILE * rows); // (rows, TILE) int32
    const scratch = space.allocate(SCRATCH * maxThreads);
    return {
      kernel: "tableDot",
      shape: `${rows} x ${columns}, ${TILE} tokens`,
      macs: TILE * rows * columns,
      bytes: matrix.bytes,
      calls: (threads) =>
        Array.from({ length: threads }, (_, thread) => {
          const [begin, end] = share(rows / GROUP, thread, threads);
          return Array.from({ length: Math.ceil((end - begin) / TILE_GROUPS) }, (_, i) => {
            const first = begin + i * TILE_GROUPS;
            const [from, to] = [matrix.address + first * GROUP * (columns / 4), sums + 4 * TILE * GROUP * first];
            const groups = Math.min(TILE_GROUPS, end - first);
            const args = [from, input, to, scratch + thread * SCRATCH, columns, groups, TILE, MASKS[0]];
            return { kernel: "tableDot", args };
          });
        }),
      reset: () => void space.i32(sums, TILE * rows).fill(0),
      check: () => {
        const got = space.i32(sums, TILE * rows);
        for (const [token, row] of x.entries()) {
          const mine = Int32Array.from({ length: rows }, (_, r) => got[TILE * r + token]);
          expectValues(`tableDot, token ${token}`, mine, plainDot(matrix, row));
        }
      },
    };
  };
