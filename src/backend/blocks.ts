/** Which blocks of a cache hold the positions of its slots: the host's side of `Backend.place`, with its checks. */
import type { Batch, CacheShape } from "./backend.js";

/** In the table: the slot has no such positions. */
const NO_BLOCK = -1;

export class BlockTable {
  /** of all slots */
  readonly blocks: number;
  /** most of one slot */
  readonly slotBlocks: number;
  readonly words: Int32Array; // (slots, slotBlocks)
  /** the last batch that was found to have its places */
  #checked: object | undefined;

  constructor(
    readonly shape: CacheShape,
    /** positions of one block */
    readonly blockPositions: number,
  ) {
    const { slots, positions, blocks } = shape;
    this.slotBlocks = Math.ceil(positions / blockPositions);
    this.blocks = blocks ?? slots * this.slotBlocks;
    const own = blocks === undefined; // each slot has blocks of its own from the start
    this.words = Int32Array.from({ length: slots * this.slotBlocks }, (_, i) => (own ? i : NO_BLOCK));
  }

  place(slot: number, blocks: Int32Array): void {
    const { shape, slotBlocks } = this;
    if (!(slot >= 0 && slot < shape.slots)) {
      throw new RangeError(`place: expected a slot from 0 to ${shape.slots - 1}, got ${slot}`);
    }
    if (blocks.length > slotBlocks) {
      throw new RangeError(`place: expected at most ${slotBlocks} blocks of a slot, got ${blocks.length}`);
    }
    for (const block of blocks) this.checkBlock("place", block);
    this.#checked = undefined;
    const row = this.words.subarray(slot * slotBlocks, (slot + 1) * slotBlocks);
    row.fill(NO_BLOCK).set(blocks);
  }

  /** Throws a RangeError where the cache has no such block; `call` is what asked for it. */
  checkBlock(call: string, block: number): void {
    if (block >= 0 && block < this.blocks) return;
    throw new RangeError(`${call}: expected blocks from 0 to ${this.blocks - 1}, got ${block}`);
  }

  blockOf(slot: number, position: number): number {
    return this.words[slot * this.slotBlocks + Math.floor(position / this.blockPositions)];
  }

  /** Throws a RangeError where a row of the batch has no place. Asked twice a layer; a batch does not change, and is looked at once. */
  check(batch: Pick<Batch, "slots" | "positions">): void {
    if (batch === this.#checked) return;
    const { slots, positions } = batch;
    for (let row = 0; row < slots.length; row++) {
      const [slot, position] = [slots[row], positions[row]];
      if (position >= 0 && position < this.shape.positions && this.blockOf(slot, position) >= 0) continue;
      throw new RangeError(
        `cache: expected a place for position ${position} of slot ${slot}, got none of ${this.shape.positions} positions ` +
          `in ${this.shape.slots} slots. Place the slot's blocks first.`,
      );
    }
    this.#checked = batch;
  }
}
