/**
 * A place in the cache: a slot of the backend, and the blocks that its positions lie in. Whole blocks of a beginning that
 * the cache has are shared; one that others have as well is copied before it is written to. Blocks are taken as positions
 * are needed, go to the cache as they fill, and what is begun does when the place is given up, or when another begins with
 * it: that one copies what there is, while the first goes on behind it in the same block.
 */
import type { Backend, Cache } from "../backend/backend.js";
import type { Node, PrefixCache } from "./prefix-cache.js";
import { Interrupted, type Request, type Room } from "./request.js";

/** A cache on a backend, and the books about it. */
export interface Pool {
  readonly backend: Backend;
  readonly cache: Cache;
  readonly books: PrefixCache;
}

/** Who has a place. */
export interface Holder {
  /** the order of coming */
  readonly ticket: number;
  /** whose what it computes is, see `PrefixCache.forget`; compared by identity */
  readonly owner: object;
  /** finds and leaves beginnings only among those of the same salt */
  readonly salt?: string | undefined;
  /** ids that were computed, from position 0 on: kept by the holder */
  readonly tokens: readonly number[];
}

/** What the places have in common. */
export interface Shared {
  /** of the present backend */
  readonly pool: Pool;
  /** puts what others have computed of the beginning of `ids` into the cache */
  publish(ids: readonly number[], salt: string | undefined): void;
  /** interrupts another holder, so that blocks are freed; whether there was one */
  preemptFor(place: Place): boolean;
  /** the slot is free */
  left(place: Place): void;
}

/** Ends a request whose place went to another; it goes on when there is one again. */
export class Preempted extends Interrupted {}

export class Place implements Room {
  /** what computes here */
  request: Request | undefined;
  #pool: Pool;
  /** whole blocks in the tree, held, from position 0 on */
  readonly #path: Node[] = [];
  /** held: its first ids are to be copied to the next block, before anything is written */
  #part: Node | undefined;
  /** held: the block after those of the path, while it is not full and others know of it */
  #known: Node | undefined;
  /** all blocks, those of the path first */
  readonly #blocks: number[] = [];
  /** what it begins with */
  #ids: readonly number[];
  #hasBegun = false;
  /** blocks that these take */
  #claimed: number;
  #isPlaced = false;
  #isOpen = true;

  constructor(
    readonly holder: Holder,
    readonly shared: Shared,
    readonly slot: number,
    ids: readonly number[],
  ) {
    this.#pool = shared.pool;
    this.#ids = ids;
    this.#claimed = Math.ceil(ids.length / this.#pool.books.blockPositions);
  }

  /** Whether it was not given up. */
  get isOpen(): boolean {
    return this.#isOpen;
  }
  /** Blocks that it was let in for, and has not taken yet. */
  get promised(): number {
    return Math.max(0, this.#claimed - this.#blocks.length);
  }
  /** Whether its request waits for whoever asked, and not the other way round. */
  get isStalled(): boolean {
    return this.request?.isStalled === true;
  }

  /** Positions, in whole blocks, of the beginning of `ids` that are in the cache once what is being fed here has been. */
  promisedOf(ids: readonly number[]): number {
    const isFeeding = this.request !== undefined && !this.isStalled && this.holder.tokens.length < this.#ids.length;
    if (this.#hasBegun && !isFeeding) return 0;
    const { blockPositions } = this.#pool.books;
    return Math.floor(commonLength(this.#ids, ids) / blockPositions) * blockPositions;
  }

  /**
   * Begins a timeline of `ids`; gives the positions that are computed already, all but the last one at most, and with
   * `anew` none. What was here before goes to the cache.
   */
  begin(ids: readonly number[], anew: boolean): number {
    this.#leave();
    this.#pool = this.shared.pool;
    const { books } = this.#pool;
    this.#ids = ids;
    this.#hasBegun = true;
    this.#claimed = Math.ceil(ids.length / books.blockPositions);
    if (anew) return 0;
    this.shared.publish(ids, this.holder.salt);
    const { path, part, length } = books.find(this.holder.salt, ids, ids.length - 1);
    for (const node of path) this.#share(node);
    if (part !== undefined) this.#beginWith(part, length);
    return length;
  }

  /** Lets others find what has been computed of `ids` in a block that is not full yet. */
  publish(ids: readonly number[]): void {
    const { tokens, salt } = this.holder;
    const first = this.#positionsOfPath;
    const count = commonLength(tokens, ids) - first;
    if (this.#blocks.length <= this.#path.length || count <= 0) return;
    if (this.#pool.books.find(salt, tokens, first + count).length === first + count) return;
    this.#known = this.#put(Int32Array.from(tokens.slice(first, first + count)));
  }

  /** Makes places for positions before `end`, as far as blocks are free; gives how many positions have one. */
  reach(end: number): number {
    const { books, backend, cache } = this.#pool;
    const wanted = Math.ceil(end / books.blockPositions);
    if (wanted > this.#blocks.length || !this.#isPlaced) {
      if (!this.#copyPart()) return this.#positions;
      while (this.#blocks.length < wanted) {
        const block = books.take();
        if (block === undefined) break;
        this.#blocks.push(block);
        this.#isPlaced = false;
      }
      if (!this.#isPlaced) backend.place(cache, this.slot, Int32Array.from(this.#blocks));
      this.#isPlaced = true;
    }
    return this.#positions;
  }

  /** The same, and where no block is free another holder is interrupted. */
  claim(end: number): boolean {
    while (this.#isOpen && this.reach(end) < end) if (!this.shared.preemptFor(this)) return false;
    return this.#isOpen;
  }

  /** The holder's tokens have become more: blocks that are full go to the cache. */
  fed(): void {
    const { blockPositions } = this.#pool.books;
    const { tokens } = this.holder;
    while (this.#isOpen && (this.#path.length + 1) * blockPositions <= tokens.length) this.#add(blockPositions);
  }

  /** Gives the place up; safe to call twice. Runs that were called before may still write to positions without ids. */
  release(): void {
    if (!this.#isOpen) return;
    this.#leave();
    this.#isOpen = false;
    this.shared.left(this);
  }

  /** The same in the middle of a request, which ends. */
  interrupt(): void {
    this.request?.reject(new Preempted());
    this.release();
  }

  get #positions(): number {
    return this.#blocks.length * this.#pool.books.blockPositions;
  }

  #share(node: Node): void {
    this.#pool.books.hold(node, this.holder.owner);
    this.#path.push(node);
    this.#blocks.push(node.block);
  }

  /** Takes a node over that ends here and nobody else uses, or remembers to copy it. */
  #beginWith(part: Node, length: number): void {
    const { books } = this.#pool;
    const isWhole = length - this.#positions === part.ids.length;
    if (isWhole && part.users === 0 && part.children.length === 0) {
      this.#blocks.push(books.remove(part));
    } else {
      books.hold(part, this.holder.owner);
      this.#part = part;
    }
  }

  /** Whether nothing is to be copied any more. Where no block is free the node itself does, if nobody else needs it. */
  #copyPart(): boolean {
    const part = this.#part;
    if (part === undefined) return true;
    const { backend, cache, books } = this.#pool;
    const block = books.take();
    if (block !== undefined) {
      backend.copyBlock(cache, part.block, block);
      books.counts.copied++;
      books.release(part);
      this.#blocks.push(block);
    } else {
      if (part.users > 1 || part.children.length > 0) return false;
      this.#blocks.push(books.remove(part));
    }
    this.#part = undefined;
    this.#isPlaced = false;
    return true;
  }

  /** Puts the first block that is not in the tree into it, with its ids, `count`. */
  #add(count: number): Node {
    const { books } = this.#pool;
    const { tokens } = this.holder;
    const at = this.#path.length;
    const first = at * books.blockPositions;
    const node = this.#put(Int32Array.from(tokens.slice(first, first + count)));
    this.#known = undefined;
    if (node.block !== this.#blocks[at]) this.#isPlaced = false; // somebody else computed the same
    this.#blocks[at] = node.block;
    this.#path.push(node);
    return node;
  }

  /** The block after those of the path is in the tree with these ids, and held. */
  #put(ids: Int32Array): Node {
    const { books } = this.#pool;
    const { salt, owner } = this.holder;
    if (this.#known !== undefined) return books.grow(this.#known, ids, owner);
    return books.add(this.#blocks[this.#path.length], ids, { parent: this.#path.at(-1), salt, owner });
  }

  /** Lets go of all blocks. */
  #leave(): void {
    const { books } = this.#pool;
    const rest = this.holder.tokens.length - this.#positionsOfPath;
    if (this.#part !== undefined) books.release(this.#part);
    else if (rest > 0 && this.#blocks.length > this.#path.length) this.#add(rest);
    for (const block of this.#blocks.slice(this.#path.length)) books.give(block);
    for (const node of this.#path.reverse()) books.release(node);
    this.#part = undefined;
    this.#path.length = 0;
    this.#blocks.length = 0;
    this.#isPlaced = false;
  }

  get #positionsOfPath(): number {
    return this.#path.length * this.#pool.books.blockPositions;
  }
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return length;
}
