/**
 * Byte-pair merging over token ids: the bytes of a word become tokens, the best merge first, of equal ones the leftmost.
 * Takes n log n for n bytes, whatever they are; a long word can be merged in steps, so that nobody waits for it.
 */

/** left id, right id and id of the result, for each merge, the best first */
export type MergeTable = Int32Array;

/**
 * How early each merge comes, where several come at the same time: as in SentencePiece, where it is the score of the result
 * that counts. Absent: the table is in their order.
 */
export type Priorities = Int32Array;

const NONE = -1;

/** A pair of ids → its merge. Open addressing, twice the room; the seed keeps a file from choosing where its pairs go. */
export class Merges {
  /** index of the merge, plus one; 0 is free */
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #seed = Math.floor(Math.random() * 2 ** 32) | 1;

  constructor(
    readonly table: MergeTable,
    readonly priorities?: Priorities,
  ) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(2, (2 * table.length) / 3)));
    this.#slots = new Int32Array(size);
    this.#mask = size - 1;
    // of a pair that occurs twice the last counts
    for (let i = 0; i < table.length; i += 3) this.#slots[this.#slotOf(table[i], table[i + 1])] = i / 3 + 1;
  }

  /** Where in the list the merge of this pair is, or -1. */
  rankOf(left: number, right: number): number {
    return this.#slots[this.#slotOf(left, right)] - 1;
  }

  /** What is merged first has the least. */
  priorityOf(rank: number): number {
    return this.priorities?.[rank] ?? rank;
  }

  resultOf(rank: number): number {
    return this.table[3 * rank + 2];
  }

  #slotOf(left: number, right: number): number {
    let hash = Math.imul(left ^ this.#seed, 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 15) ^ right, 0x85ebca6b);
    for (let slot = (hash ^ (hash >>> 13)) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const found = this.#slots[slot] - 1;
      if (found === NONE || (this.table[3 * found] === left && this.table[3 * found + 1] === right)) return slot;
    }
  }
}

/** The tokens of a word; each is known by the position of its first byte. */
interface Chain {
  readonly ids: Int32Array;
  readonly next: Int32Array;
  readonly before: Int32Array;
  /** of the merge of the token that begins here with the next one, or -1 */
  readonly ranks: Int32Array;
  /** priority * 2^31 + position of pairs that can merge, and of some that could; the least is on top */
  readonly heap: Float64Array;
}

function chain(length: number): Chain {
  const numbers = () => new Int32Array(length);
  // a merge takes one pair out and puts two in
  return { ids: numbers(), next: numbers(), before: numbers(), ranks: numbers(), heap: new Float64Array(2 * length) };
}

/** Words up to this length are merged at once, all in the same memory. */
export const SHORT = 1024;
const shared = chain(SHORT);

/** One word under way. */
export class Word {
  readonly #merges: Merges;
  readonly #ids: Int32Array;
  readonly #next: Int32Array;
  readonly #before: Int32Array;
  readonly #ranks: Int32Array;
  readonly #heap: Float64Array;
  #heapSize = 0;
  readonly #length: number;
  /** pairs before this position were looked up */
  #ranked = 0;

  /** `symbols`: the tokens to begin with; what is below 0 merges with nothing */
  constructor(merges: Merges, symbols: Int32Array) {
    const { length } = symbols;
    this.#merges = merges;
    this.#length = length;
    const tokens = length > SHORT ? chain(length) : shared;
    this.#ids = tokens.ids;
    this.#next = tokens.next;
    this.#before = tokens.before;
    this.#ranks = tokens.ranks;
    this.#heap = tokens.heap;
    for (let i = 0; i < length; i++) {
      this.#ids[i] = symbols[i];
      this.#next[i] = i + 1;
      this.#before[i] = i - 1;
    }
  }

  /** Looks up pairs and merges them, in up to `steps` steps; true once none is left. */
  merge(steps: number): boolean {
    let step = 0;
    for (; step < steps && this.#ranked < this.#length; step++) this.#rank(this.#ranked++);
    for (; step < steps; step++) {
      if (this.#heapSize === 0) return true;
      const top = this.#pop();
      const left = top % 2 ** 31;
      const rank = this.#ranks[left];
      // else the pair has changed since
      if (rank >= 0 && this.#merges.priorityOf(rank) === Math.floor(top / 2 ** 31)) {
        this.#join(left, this.#merges.resultOf(rank));
      }
    }
    return false;
  }

  /** Appends the tokens. */
  collect(ids: number[]): void {
    for (let i = 0; i < this.#length; i = this.#next[i]) ids.push(this.#ids[i]);
  }

  #join(left: number, id: number): void {
    const right = this.#next[left];
    const after = this.#next[right];
    this.#ids[left] = id;
    this.#ranks[right] = NONE;
    this.#next[left] = after;
    if (after < this.#length) this.#before[after] = left;
    this.#rank(left);
    if (this.#before[left] >= 0) this.#rank(this.#before[left]);
  }

  /** Looks up the pair that begins at `left`, anew. */
  #rank(left: number): void {
    const right = this.#next[left];
    const rank = right < this.#length ? this.#merges.rankOf(this.#ids[left], this.#ids[right]) : NONE;
    this.#ranks[left] = rank;
    if (rank >= 0) this.#push(this.#merges.priorityOf(rank) * 2 ** 31 + left);
  }

  #push(key: number): void {
    const heap = this.#heap;
    let at = this.#heapSize++;
    for (let above = (at - 1) >> 1; at > 0 && heap[above] > key; above = (at - 1) >> 1) {
      heap[at] = heap[above];
      at = above;
    }
    heap[at] = key;
  }

  #pop(): number {
    const heap = this.#heap;
    const top = heap[0];
    const key = heap[--this.#heapSize];
    const size = this.#heapSize;
    let at = 0;
    for (let below = 1; below < size; below = 2 * at + 1) {
      if (below + 1 < size && heap[below + 1] < heap[below]) below++;
      if (heap[below] >= key) break;
      heap[at] = heap[below];
      at = below;
    }
    heap[at] = key;
    return top;
  }
}
