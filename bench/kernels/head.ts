/** The output table: a quarter of the 128256 rows of 2B-4T, which is still far more than the caches hold. */
import { share } from "../../src/backend/cpu/commands.js";
import { HALF } from "../../src/backend/cpu/kernels.js";
import { HEAD_GROUP, HEAD_NUMBERS, scanLimit } from "../../src/backend/cpu/sizes.js";
import { halfToFloat } from "../../src/formats/float.js";
import { Random } from "../../test/random.js";
import { type CaseMaker, expectValues, type Space } from "./case.js";

const COLUMNS = 2560;
const ROWS = 32_064;
/** Rows that differ; the table is these again and again. */
const DISTINCT = 1002 * 4;
const COPIES = ROWS / DISTINCT;

interface Table {
  readonly address: number; // (ROWS, COLUMNS) F16
  readonly rows: readonly Float32Array[];
}

function makeTable(space: Space): Table {
  const random = new Random(4);
  const bits = Uint16Array.from({ length: DISTINCT * COLUMNS }, () => {
    return (random.integer(0, 1) << 15) | (random.integer(8, 14) << 10) | random.integer(0, 1023);
  });
  const address = space.repeat(space.put(bits), bits.byteLength, COPIES);
  const rows = Array.from({ length: DISTINCT }, (_, r) => {
    return Float32Array.from(bits.subarray(r * COLUMNS, (r + 1) * COLUMNS), halfToFloat);
  });
  return { address, rows };
}

const hidden = () => {
  const random = new Random(5);
  return Float32Array.from({ length: COLUMNS }, () => random.gaussian());
};

/** Exact logits of all rows in float64, and for each |w| |x|, by which errors are judged. */
function plainLogits({ rows }: Table, x: Float32Array): { logits: Float64Array; sizes: Float64Array } {
  const norm = (v: Float32Array) => Math.sqrt(v.reduce((sum, value) => sum + value * value, 0));
  const [logits, sizes] = [new Float64Array(ROWS), new Float64Array(ROWS)];
  for (const [r, row] of rows.entries()) {
    const logit = row.reduce((sum, w, c) => sum + w * x[c], 0);
    const size = norm(row) * norm(x);
    for (let copy = r; copy < ROWS; copy += DISTINCT) [logits[copy], sizes[copy]] = [logit, size];
  }
  return { logits, sizes };
}

export const logitsF16: CaseMaker = (space) => {
  const table = makeTable(space);
  const x = hidden();
  const [input, out] = [space.put(x), space.allocate(4 * ROWS)];
  return {
    kernel: "logitsF16",
    shape: `${ROWS} x ${COLUMNS}`,
    macs: ROWS * COLUMNS,
    bytes: 2 * ROWS * COLUMNS,
    calls: (threads) =>
      Array.from({ length: threads }, (_, thread) => {
        const [begin, end] = share(ROWS, thread, threads);
        const from = table.address + 2 * COLUMNS * begin;
        return [{ kernel: "logitsF16", args: [from, input, out + 4 * begin, COLUMNS, end - begin, ...HALF] }];
      }),
    reset: () => void space.f32(out, ROWS).fill(0),
    check: () => {
      const { logits, sizes } = plainLogits(table, x);
      expectValues("logitsF16", space.f32(out, ROWS), logits, (r) => 1e-5 * sizes[r]);
    },
  };
};

export const headScan: CaseMaker = (space, { decodeF16, headPack, headQuantize }) => {
  const table = makeTable(space);
  const groups = ROWS / HEAD_GROUP;
  const [row, codes, numbers] = [
    space.allocate(4 * COLUMNS),
    space.allocate(ROWS * COLUMNS),
    space.allocate(groups * HEAD_NUMBERS),
  ];
  for (let r = 0; r < ROWS; r++) {
    const group = Math.floor(r / HEAD_GROUP);
    decodeF16(table.address + 2 * COLUMNS * r, row, COLUMNS);
    headPack(row, codes + group * HEAD_GROUP * COLUMNS, numbers + group * HEAD_NUMBERS, r % HEAD_GROUP, COLUMNS);
  }
  const x = hidden();
  const [u, factors] = [space.allocate(2 * COLUMNS), space.allocate(64)];
  headQuantize(space.put(x), u, factors, COLUMNS, scanLimit(COLUMNS));
  const [lower, upper] = [space.allocate(4 * ROWS), space.allocate(4 * ROWS)];
  return {
    kernel: "headScan",
    shape: `${ROWS} x ${COLUMNS}`,
    macs: ROWS * COLUMNS,
    bytes: ROWS * COLUMNS + groups * HEAD_NUMBERS,
    calls: (threads) =>
      Array.from({ length: threads }, (_, thread) => {
        const [begin, end] = share(groups, thread, threads);
        const weights = [codes + begin * HEAD_GROUP * COLUMNS, numbers + begin * HEAD_NUMBERS];
        const bounds = [lower, upper].map((address) => address + 4 * HEAD_GROUP * begin);
        return [{ kernel: "headScan", args: [...weights, u, factors, ...bounds, COLUMNS, end - begin] }];
      }),
    reset: () => {
      space.f32(lower, ROWS).fill(Number.NaN);
      space.f32(upper, ROWS).fill(Number.NaN);
    },
    check: () => {
      const { logits, sizes } = plainLogits(table, x);
      const [low, high] = [space.f32(lower, ROWS), space.f32(upper, ROWS)];
      for (const [r, logit] of logits.entries()) {
        const bounded = low[r] <= logit && logit <= high[r];
        // a bound that is never wrong because it is wide would prove nothing
        if (bounded && high[r] - low[r] < 0.05 * sizes[r]) continue;
        throw new Error(`headScan: expected narrow bounds of ${logit} in row ${r}, got ${low[r]} to ${high[r]}`);
      }
    },
  };
};
