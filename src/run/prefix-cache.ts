/**
 * Who has which block of the cache, and what the blocks hold: a tree of beginnings. A node is a block and the ids at its
 * positions; the way to it from a root spells all ids from position 0 on. Blocks with ids never change while they are in
 * the tree, so any number of users share them. What nobody uses stays until its block is needed: the one used longest ago
 * goes first, and what goes on from another before that.
 *
 * It keeps books only: what a backend does with the blocks is the business of place.ts.
 */

export interface Node {
  /** undefined of a root, which has no block and no ids */
  readonly parent: Node | undefined;
  readonly block: number;
  /** 1 to `blockPositions`; only nodes of as many have children. May become more, and does not change otherwise */
  ids: Int32Array;
  readonly children: Node[];
  users: number;
  /** the only one who computed or found it; undefined once there is another */
  owner: object | undefined;
}

interface Root extends Node {
  readonly salt: string | undefined;
}

/** The longest beginning of some ids that is in the tree. */
export interface Found {
  /** positions */
  readonly length: number;
  /** whole blocks */
  readonly path: readonly Node[];
  /** of this one only the first ids are the same */
  readonly part: Node | undefined;
}

/** Blocks that held something else before they were given, and blocks that were copied. */
export interface CacheCounts {
  evicted: number;
  copied: number;
}

export class PrefixCache {
  /** blocks that two users or more have */
  shared = 0;
  /** those that have children */
  readonly #roots = new Map<string | undefined, Root>();
  /** without ids; the last one is given first */
  readonly #free: number[];
  /** in the tree and without users, the one used longest ago first; a child is always before its parent */
  readonly #idle = new Set<Node>();

  constructor(
    readonly blocks: number,
    readonly blockPositions: number,
    readonly counts: CacheCounts = { evicted: 0, copied: 0 },
  ) {
    this.#free = Array.from({ length: blocks }, (_, i) => blocks - 1 - i);
  }

  /** Blocks that `take` can give. */
  get available(): number {
    return this.#free.length + this.#idle.size;
  }
  /** Blocks that nobody uses, and which hold something. */
  get cached(): number {
    return this.#idle.size;
  }

  /** What is in the tree of the first `most` of `ids`, from those with the same salt. */
  find(salt: string | undefined, ids: readonly number[], most: number): Found {
    const path: Node[] = [];
    let at: Node | undefined = this.#roots.get(salt);
    let length = 0;
    while (at !== undefined) {
      const { node, count } = longest(at.children, ids, length, most);
      length += count;
      if (node === undefined || count < this.blockPositions) return { length, path, part: node };
      path.push(node);
      at = node;
    }
    return { length, path, part: undefined };
  }

  /** One user more, of `owner`'s. */
  hold(node: Node, owner: object): void {
    if (node.owner !== owner) node.owner = undefined;
    if (node.users === 0) this.#idle.delete(node);
    if (node.users === 1) this.shared++;
    node.users++;
  }

  /** One user less; whoever holds a child and its parent releases the child first. */
  release(node: Node): void {
    node.users--;
    if (node.users === 1) this.shared--;
    if (node.users === 0) this.#idle.add(node);
  }

  /** A block that nobody has; undefined where all are in use. */
  take(): number | undefined {
    const block = this.#free.pop();
    if (block !== undefined) return block;
    const [oldest] = this.#idle;
    if (oldest === undefined) return undefined;
    this.counts.evicted++;
    return this.remove(oldest);
  }

  /** Gives a block back that is not in the tree. */
  give(block: number): void {
    this.#free.push(block);
  }

  /**
   * Puts a block with its ids into the tree, under `parent` or else the root of the salt; the node is held. Where it is
   * there already, that one is held, and `block` is free.
   */
  add(block: number, ids: Int32Array, { parent, salt, owner }: Under): Node {
    const under = parent ?? this.#root(salt);
    const same = under.children.find((child) => startsWith(child.ids, ids));
    if (same !== undefined) {
      this.give(block);
      this.hold(same, owner);
      return same;
    }
    const part = under.children.find((child) => child.users === 0 && startsWith(ids, child.ids));
    const alone = part === undefined || part.owner === owner;
    const node = { parent: under, block, ids, children: [], users: 1, owner: alone ? owner : undefined };
    under.children.push(node);
    if (part !== undefined) this.give(this.remove(part)); // the new one holds all that it did
    return node;
  }

  /**
   * What a held node has becomes `ids`, which begin with what it had; where the same is there already, that one is held in
   * its place. Gives the one that is held.
   */
  grow(node: Node, ids: Int32Array, owner: object): Node {
    const siblings = (node.parent as Node).children;
    const same = siblings.find((child) => child !== node && startsWith(child.ids, ids));
    if (same === undefined) {
      node.ids = ids;
      return node;
    }
    this.hold(same, owner);
    this.release(node);
    return same;
  }

  /** Takes a node without children and other users out of the tree; its block is the caller's. */
  remove(node: Node): number {
    const { children: siblings, ...root } = node.parent as Root;
    siblings.splice(siblings.indexOf(node), 1);
    if (siblings.length === 0 && root.parent === undefined) this.#roots.delete(root.salt);
    this.#idle.delete(node);
    return node.block;
  }

  /** Frees what only `owner` computed, and nobody uses. */
  forget(owner: object): void {
    for (const node of this.#idle) {
      if (node.owner === owner && node.children.length === 0) this.give(this.remove(node)); // children come first
    }
  }

  #root(salt: string | undefined): Root {
    const known = this.#roots.get(salt);
    if (known !== undefined) return known;
    const none = { parent: undefined, block: -1, ids: new Int32Array(), children: [], users: 0, owner: undefined };
    const root = { ...none, salt };
    this.#roots.set(salt, root);
    return root;
  }
}

/** Where a node goes, and whose it is. */
export interface Under {
  readonly parent: Node | undefined;
  readonly salt: string | undefined;
  readonly owner: object;
}

/** The node that shares most with `ids` from `from` to `most`; of several one that shares all it has. */
function longest(nodes: readonly Node[], ids: readonly number[], from: number, most: number) {
  let best: { node: Node | undefined; count: number } = { node: undefined, count: 0 };
  for (const node of nodes) {
    const count = common(node.ids, ids, from, most);
    const better = count > best.count || (count === best.count && count === node.ids.length);
    if (count > 0 && better) best = { node, count };
  }
  return best;
}

function common(own: Int32Array, ids: readonly number[], from: number, most: number): number {
  const end = Math.min(own.length, most - from);
  for (let i = 0; i < end; i++) if (own[i] !== ids[from + i]) return i;
  return Math.max(0, end);
}

const startsWith = (ids: Int32Array, begin: Int32Array): boolean =>
  begin.length <= ids.length && begin.every((id, i) => id === ids[i]);
