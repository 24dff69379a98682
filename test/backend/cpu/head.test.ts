/**
 * The exact head: the best ids and their logits are those of the full head, bit for bit, over thousands of hidden states,
 * ties and near-ties included, for every head type and number of threads.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Backend, Head, Tensor, Weight, WeightSource } from "../../../src/backend/backend.js";
import { memoryBytes } from "../../../src/platform/bytes.js";
import { CPU_VARIANTS } from "../../backends.js";
import { Random } from "../../random.js";

const WIDTH = 256;
const ROWS = 8; // requested rows of a batch
const VOCABULARY = 1537; // no multiple of a group or a vector
const BATCHES = 120; // 960 hidden states for each variant
const MOST = 40;

/** F16 rows that make it hard: equal rows, rows one step apart, a huge row, a row of zeros. */
function hardTable(random: Random): Uint16Array {
  const table = new Uint16Array(VOCABULARY * WIDTH);
  for (let i = 0; i < table.length; i++)
    table[i] = (random.integer(0, 1) << 15) | (random.integer(9, 14) << 10) | random.integer(0, 1023);
  const copy = (from: number, to: number) => table.copyWithin(to * WIDTH, from * WIDTH, (from + 1) * WIDTH);
  for (const to of [0, 800, 1536]) copy(5, to);
  for (const to of [6, 900, 1100]) {
    copy(5, to);
    table[to * WIDTH + (to % WIDTH)] ^= 1; // the smallest change of one weight
  }
  table.fill(0, 77 * WIDTH, 78 * WIDTH);
  for (let i = 0; i < WIDTH; i++) table[78 * WIDTH + i] = (table[78 * WIDTH + i] & 0x83ff) | (27 << 10);
  return table;
}

function hiddenStates(random: Random, batch: number, table: Uint16Array): Float32Array {
  const x = Float32Array.from({ length: ROWS * WIDTH }, () => random.gaussian());
  if (batch % 4 === 1) for (let i = 0; i < x.length; i++) x[i] *= 1e4; // huge norms
  if (batch % 4 === 2) for (let i = 0; i < x.length; i++) if (i % 37 !== 0) x[i] = 0; // few coordinates
  if (batch % 4 === 3) {
    // along row 5 and its near-copies: the best are ties and near-ties
    for (let i = 0; i < x.length; i++)
      x[i] = ((table[5 * WIDTH + (i % WIDTH)] & 0x8000) === 0 ? 1 : -1) * (1 + 0.01 * x[i]);
  }
  return x;
}

describe("the best of the exact head are those of the full head", () => {
  const table = hardTable(new Random(11));
  const source: WeightSource = {
    name: "table",
    type: "F16",
    rows: VOCABULARY,
    columns: WIDTH,
    bytes: memoryBytes(new Uint8Array(table.buffer)),
    offset: 0,
    byteLength: table.byteLength,
  };

  for (const variant of CPU_VARIANTS) {
    test(variant.name, { skip: variant.skip }, async () => {
      const backend = await variant.create(ROWS);
      try {
        const [weight] = await backend.load([source]);
        const head = await backend.head(weight, ROWS, MOST);
        const [x, logits] = [backend.tensor(ROWS, WIDTH), backend.tensor(ROWS, VOCABULARY)];
        const random = new Random(12);
        for (let batch = 0; batch < BATCHES; batch++) {
          const count = [1, 2, 7, MOST][batch % 4 === 3 ? (batch >> 2) % 4 : batch % 4];
          backend.write(x, hiddenStates(random, batch, table));
          await compare(backend, { weight, head, x, logits }, count);
        }
      } finally {
        await backend.close();
      }
    });
  }
});

async function compare(
  b: Backend,
  { weight, head, x, logits }: { weight: Weight; head: Head; x: Tensor; logits: Tensor },
  count: number,
): Promise<void> {
  const rows = new Int32Array(ROWS).map((_, i) => i);
  b.begin({ tokens: rows, slots: rows, positions: rows, outputs: rows });
  b.logits(logits, weight, x);
  b.best(head, x, count);
  await b.run();
  for (let row = 0; row < ROWS; row++) {
    const all = await b.read(logits, row, 1);
    const want = Int32Array.from(all.keys()).sort((i, j) => all[j] - all[i] || i - j);
    const ids = want.slice(0, count).sort();
    const best = await b.readBest(head, row);
    assert.deepEqual(best.ids, ids);
    assert.deepEqual(
      best.logits,
      Float32Array.from(ids, (id) => all[id]),
    );
  }
}
