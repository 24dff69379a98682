/** `place` and `copyBlock`: wherever the blocks of a slot lie, and whoever shares them, attention gives the same bits. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Backend, Cache, CacheShape, Tensor } from "../../../src/backend/backend.js";
import type { Variant } from "../../backends.js";
import { batchOf, MAX_ROWS, runOps, uniform, withBackend } from "./common.js";

const SHAPE = { layers: 2, slots: 2, positions: 320, kvHeads: 2, headDim: 16, ropeBase: 10_000 };
const HEADS = 4;
const LENGTH = 300;
const CONTEXTS = [1, 31, 32, 33, 127, 128, 129, 200, 257, LENGTH];

interface Parts {
  readonly b: Backend;
  readonly qkv: { q: Tensor; k: Tensor; v: Tensor };
  readonly out: Tensor;
}

async function withParts(variant: Variant, use: (parts: Parts) => Promise<void>): Promise<void> {
  await withBackend(variant, [], async (b) => {
    const tensor = (heads: number) => b.tensor(MAX_ROWS, heads * SHAPE.headDim);
    const qkv = { q: tensor(HEADS), k: tensor(SHAPE.kvHeads), v: tensor(SHAPE.kvHeads) };
    await use({ b, qkv, out: tensor(HEADS) });
  });
}

/** Stores positions first .. end - 1 of a slot in both layers: of one `seed` the same for each slot. */
async function store({ b, qkv }: Parts, cache: Cache, slot: number, seed: number, first: number, end: number) {
  for (let at = first; at < end; at += MAX_ROWS) {
    const rows = Math.min(MAX_ROWS, end - at);
    const positions = Int32Array.from({ length: rows }, (_, i) => at + i);
    const batch = batchOf(rows, { positions, slots: new Int32Array(rows).fill(slot) });
    for (const layer of [0, 1]) {
      const values = (part: number) =>
        uniform(LENGTH * qkv.k.width, 10 * seed + 2 * layer + part).subarray(
          at * qkv.k.width,
          (at + rows) * qkv.k.width,
        );
      b.write(qkv.k, values(0));
      b.write(qkv.v, values(1));
      await runOps(b, batch, () => b.ropeStore(cache, layer, qkv));
    }
  }
}

/** Attention of a slot's contexts in both layers: row by row, then all rows in one batch. */
async function attended({ b, qkv, out }: Parts, cache: Cache, slot: number): Promise<Float32Array[]> {
  const found: Float32Array[] = [];
  b.write(qkv.q, uniform(MAX_ROWS * qkv.q.width, 5, 2));
  for (const layer of [0, 1]) {
    for (const contexts of [...CONTEXTS.map((context) => [context]), CONTEXTS]) {
      const positions = Int32Array.from(contexts, (context) => context - 1);
      const batch = batchOf(contexts.length, { positions, slots: new Int32Array(contexts.length).fill(slot) });
      await runOps(b, batch, () => b.attend(out, qkv.q, cache, layer));
      found.push(await b.read(out, 0, contexts.length));
    }
  }
  return found;
}

const range = (first: number, end: number) => Int32Array.from({ length: end - first }, (_, i) => first + i);

/** Blocks of one slot. */
const slotBlocksOf = ({ blockPositions }: Cache) => Math.ceil(SHAPE.positions / blockPositions);

/** The cache of `shape`, whose blocks are of the size that the backend states. */
function cacheOf(b: Backend, shape: CacheShape = SHAPE): Cache {
  const cache = b.cache(shape);
  assert.equal(cache.blockPositions, b.blockPositions);
  return cache;
}

export function blocks(variant: Variant): void {
  describe("blocks of the cache", () => {
    test("anywhere: the same bits", async () => {
      await withParts(variant, async (parts) => {
        const { b } = parts;
        const [plain, placed] = [cacheOf(b), cacheOf(b)];
        // the slots take turns, from the end
        const turns = range(0, placed.blocks).reverse();
        const placedOf = (slot: number) => turns.filter((_, i) => i % 2 === slot);
        for (const slot of [0, 1]) b.place(placed, slot, placedOf(slot));
        for (const cache of [plain, placed]) {
          for (const slot of [0, 1]) await store(parts, cache, slot, slot, 0, LENGTH);
        }
        for (const slot of [0, 1]) {
          assert.deepEqual(await attended(parts, placed, slot), await attended(parts, plain, slot), `slot ${slot}`);
        }
      });
    });

    test("shared by two slots, as far as their beginning is the same: the same bits as storing it twice", async () => {
      await withParts(variant, async (parts) => {
        const { b } = parts;
        const [twice, shared] = [cacheOf(b), cacheOf(b)];
        const common = 2 * shared.blockPositions;
        const count = slotBlocksOf(shared);
        for (const cache of [twice, shared]) {
          await store(parts, cache, 0, 1, 0, common);
          await store(parts, cache, 0, 2, common, LENGTH);
        }
        b.place(shared, 1, Int32Array.of(0, 1, ...range(count + 2, 2 * count)));
        await store(parts, twice, 1, 1, 0, common);
        for (const cache of [twice, shared]) await store(parts, cache, 1, 3, common, LENGTH);
        for (const slot of [0, 1]) {
          assert.deepEqual(await attended(parts, shared, slot), await attended(parts, twice, slot), `slot ${slot}`);
        }
      });
    });

    test("moved from one slot to another, with what they hold", async () => {
      await withParts(variant, async (parts) => {
        const { b } = parts;
        const cache = cacheOf(b);
        await store(parts, cache, 0, 1, 0, LENGTH);
        const before = await attended(parts, cache, 0);
        const count = slotBlocksOf(cache);
        b.place(cache, 1, range(0, count));
        b.place(cache, 0, range(count, 2 * count));
        await store(parts, cache, 0, 2, 0, LENGTH);
        assert.deepEqual(await attended(parts, cache, 1), before);
      });
    });

    test("copied: each of the two then takes its own continuation", async () => {
      for (const type of ["f32", "i16"] as const) {
        await withParts(variant, async (parts) => {
          const { b } = parts;
          const [whole, copied] = [b.cache({ ...SHAPE, type }), b.cache({ ...SHAPE, type })];
          const { blockPositions } = copied;
          const count = slotBlocksOf(copied);
          const common = 2 * blockPositions - 5; // in the middle of the second block
          for (const slot of [0, 1]) await store(parts, whole, slot, 1, 0, common);
          await store(parts, copied, 0, 1, 0, common);
          b.place(copied, 1, Int32Array.of(0, ...range(count + 1, 2 * count)));
          b.copyBlock(copied, 1, count + 1);
          for (const cache of [whole, copied]) {
            for (const slot of [1, 0]) await store(parts, cache, slot, 2 + slot, common, LENGTH);
          }
          const found: Float32Array[][] = [];
          for (const slot of [0, 1]) {
            found.push(await attended(parts, copied, slot));
            assert.deepEqual(found[slot], await attended(parts, whole, slot), `slot ${slot}, ${type}`);
          }
          assert.notDeepEqual(found[0], found[1]);
        });
      }
    });

    test("placed and copied with runs under way: these see the cache as it was", async () => {
      await withParts(variant, async (parts) => {
        const { b, qkv } = parts;
        const cache = cacheOf(b);
        const count = slotBlocksOf(cache);
        for (const slot of [0, 1]) await store(parts, cache, slot, slot, 0, MAX_ROWS);
        const outs = Array.from({ length: Math.min(b.runsAhead, 3) }, () => b.tensor(1, qkv.q.width));
        const seen = async () => {
          const found: Float32Array[] = [];
          for (const out of outs) found.push(await b.read(out, 0, 1));
          return found;
        };
        b.write(qkv.q, uniform(MAX_ROWS * qkv.q.width, 5, 2));
        const batch = batchOf(1, { positions: Int32Array.of(MAX_ROWS - 1) });
        const moves = [
          () => b.place(cache, 0, range(0, count)),
          () => b.place(cache, 0, range(count, 2 * count)),
          () => b.copyBlock(cache, 0, count),
        ];
        const rounds: Float32Array[][] = [];
        for (const wait of [true, false]) {
          await store(parts, cache, 1, 1, 0, MAX_ROWS);
          b.write(qkv.q, uniform(MAX_ROWS * qkv.q.width, 5, 2));
          const runs: Promise<Int32Array>[] = [];
          for (const [i, out] of outs.entries()) {
            moves[i]();
            const run = runOps(b, batch, () => {
              for (let times = 0; times < 50; times++) b.attend(out, qkv.q, cache, 0);
            });
            if (wait) await run;
            runs.push(run);
          }
          await Promise.all(runs);
          rounds.push(await seen());
        }
        assert.deepEqual(rounds[1], rounds[0]);
        const [first, second, third] = rounds[0];
        if (third === undefined) return; // no runs ahead
        assert.notDeepEqual(second, first);
        assert.deepEqual(third, first);
      });
    });

    test("fewer than the slots' positions: a position without a block is refused before anything is stored", async () => {
      await withParts(variant, async (parts) => {
        const { b, qkv } = parts;
        const cache = cacheOf(b, { ...SHAPE, blocks: 3 });
        assert.equal(cache.blocks, 3);
        const { blockPositions } = cache;
        b.begin(batchOf(1));
        assert.throws(() => b.ropeStore(cache, 0, qkv), /position 0 of slot 0, got none/);
        b.place(cache, 1, Int32Array.of(2, 0));
        await store(parts, cache, 1, 1, 0, 2 * blockPositions);
        b.begin(batchOf(1, { positions: Int32Array.of(2 * blockPositions), slots: Int32Array.of(1) }));
        assert.throws(() => b.ropeStore(cache, 0, qkv), RangeError);
        assert.throws(() => b.attend(parts.out, qkv.q, cache, 0), RangeError);
        await b.run();
      });
    });

    test("that do not exist, or are too many, are refused", async () => {
      await withParts(variant, async ({ b }) => {
        const cache = cacheOf(b);
        for (const wrong of [Int32Array.of(cache.blocks), Int32Array.of(-1), range(0, slotBlocksOf(cache) + 1)]) {
          assert.throws(() => b.place(cache, 0, wrong), RangeError);
        }
        assert.throws(() => b.place(cache, SHAPE.slots, Int32Array.of(0)), RangeError);
        assert.throws(() => b.place(cache, -1, Int32Array.of(0)), RangeError);
        for (const wrong of [-1, cache.blocks]) {
          assert.throws(() => b.copyBlock(cache, wrong, 0), RangeError);
          assert.throws(() => b.copyBlock(cache, 0, wrong), RangeError);
        }
      });
    });
  });
}
