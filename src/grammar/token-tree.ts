/**
 * The bytes of all tokens as a tree, so that what a grammar refuses of a beginning it refuses once for all tokens that begin
 * so. Nodes are in the order of a walk: those below a node follow it. Made once for a vocabulary: 0.2 s for the 128,256
 * tokens of Llama 3, in slices.
 */
import type { NextTurn } from "../platform/platform.js";
import type { Tokenizer } from "../text/tokenizer.js";

export interface TokenTree {
  /** ids of the vocabulary */
  readonly size: number;
  /** bytes of the longest token */
  readonly longest: number;
  /** (nodes) the byte that leads to a node */
  readonly byte: Uint8Array;
  /** (nodes) bytes before it */
  readonly depth: Uint16Array;
  /** (nodes) the first node that is not below it */
  readonly after: Int32Array;
  /** (nodes) the id of its bytes, or -1 */
  readonly token: Int32Array;
  /** (ids) the next id of the same bytes, or -1 */
  readonly twin: Int32Array;
}

/** Special tokens, and those of no bytes, are not in it. */
export async function tokenTree(tokenizer: Tokenizer, nextTurn: NextTurn): Promise<TokenTree> {
  // sorting all at once would keep the thread busy for 0.1 s
  const groups = new Map<string, TokenBytes[]>();
  for (let id = 0; id < tokenizer.size; id++) {
    if (id % SLICE === 0) await nextTurn();
    const bytes = tokenizer.isSpecial(id) ? NONE : tokenizer.bytes(id);
    if (bytes.length === 0) continue;
    const key = String.fromCharCode(...bytes);
    const group = groups.get(key.slice(0, 2));
    if (group === undefined) groups.set(key.slice(0, 2), [{ key, id }]);
    else group.push({ key, id });
  }
  const builder = new Builder(tokenizer.size);
  let sorted = SLICE;
  for (const name of [...groups.keys()].sort()) {
    const group = groups.get(name) ?? [];
    if (sorted + group.length > SLICE) await nextTurn();
    sorted = sorted + group.length > SLICE ? group.length : sorted + group.length;
    builder.add(group.sort(inOrder));
  }
  return builder.tree();
}

interface TokenBytes {
  /** a character for each byte */
  readonly key: string;
  readonly id: number;
}

const inOrder = (a: TokenBytes, b: TokenBytes): number => {
  if (a.key === b.key) return a.id - b.id;
  return a.key < b.key ? -1 : 1;
};

const NONE = new Uint8Array();
const SLICE = 4096;

class Builder {
  readonly #byte: number[] = [];
  readonly #depth: number[] = [];
  readonly #after: number[] = [];
  readonly #token: number[] = [];
  readonly #twin: Int32Array;
  /** nodes from the root to the last one */
  readonly #path: number[] = [];
  #last = "";
  #longest = 0;

  constructor(readonly size: number) {
    this.#twin = new Int32Array(size).fill(-1);
  }

  /** Sorted by their bytes, and after all that came before. */
  add(tokens: readonly TokenBytes[]): void {
    for (const { key, id } of tokens) {
      if (key === this.#last) {
        const node = this.#path[key.length - 1];
        this.#twin[id] = this.#token[node];
        this.#token[node] = id;
        continue;
      }
      let shared = 0;
      while (shared < this.#last.length && key[shared] === this.#last[shared]) shared++;
      this.#closeTo(shared);
      for (let i = shared; i < key.length; i++) this.#open(key.charCodeAt(i), i);
      this.#token[this.#token.length - 1] = id;
      this.#last = key;
      this.#longest = Math.max(this.#longest, key.length);
    }
  }

  tree(): TokenTree {
    this.#closeTo(0);
    return {
      size: this.size,
      longest: this.#longest,
      byte: Uint8Array.from(this.#byte),
      depth: Uint16Array.from(this.#depth),
      after: Int32Array.from(this.#after),
      token: Int32Array.from(this.#token),
      twin: this.#twin,
    };
  }

  #open(byte: number, depth: number): void {
    this.#path.push(this.#byte.push(byte) - 1);
    this.#depth.push(depth);
    this.#after.push(0);
    this.#token.push(-1);
  }

  #closeTo(depth: number): void {
    for (const node of this.#path.splice(depth)) this.#after[node] = this.#byte.length;
  }
}
