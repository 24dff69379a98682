/**
 * The tokens that a state allows. A walk through the tree of tokens with the automaton; for the states of a string that is
 * most of the vocabulary. So what does not depend on the calls that a state is in is remembered for all of them: its own
 * mask, and where in the tree its innermost call may end. What follows there is walked for the state in question.
 */
import type { Tokenizer } from "../text/tokenizer.js";
import { type Automaton, Frame, type Place, type State } from "./automaton.js";
import type { TokenTree } from "./token-tree.js";

/** Of a state apart from the calls that it is in. */
interface Inner {
  /** tokens that do not leave it, or just so */
  readonly mask: Uint32Array;
  /** nodes of the tree at which it may be left */
  readonly exits: Int32Array;
}

/** Masks that are remembered: 16 KB each for 128,256 tokens. */
const MOST_MASKS = 256;

/** stands for the calls that a state is in */
const OUTSIDE = new Frame(-1, -1, 0, undefined);

export class Masks {
  #inner = new Map<State, Inner>();
  #whole = new Map<State, Uint32Array>();
  readonly #words: number;
  /** by depth: the state before the byte of a node */
  readonly #path: State[] = [];

  constructor(
    readonly automaton: Automaton,
    readonly tree: TokenTree,
    readonly tokenizer: Pick<Tokenizer, "stopIds">,
  ) {
    this.#words = Math.ceil(tree.size / 32);
  }

  /** A bit for each id that may follow, see `Draw.mask`. */
  of(state: State): Uint32Array {
    let mask = this.#whole.get(state);
    if (mask === undefined) {
      mask = this.#maskOf(state);
      if (this.#whole.size === MOST_MASKS) this.#whole.clear();
      this.#whole.set(state, mask);
    }
    return mask;
  }

  #maskOf(state: State): Uint32Array {
    const common = this.#outOfLength(commonFrame(state.places));
    const { mask, exits } = this.#innerOf(this.#apart(state, common));
    const whole = mask.slice();
    if (common !== undefined && exits.length > 0) {
      const outer = this.automaton.after(common);
      for (const node of exits) this.#walk(outer, node + 1, this.tree.after[node], whole);
    }
    if (state.accepts) for (const id of this.tokenizer.stopIds) allow(whole, id);
    return whole;
  }

  #innerOf(state: State): Inner {
    let inner = this.#inner.get(state);
    if (inner === undefined) {
      const mask = new Uint32Array(this.#words);
      const exits = this.#walk(state, 0, this.tree.byte.length, mask);
      inner = { mask, exits: Int32Array.from(exits) };
      if (this.#inner.size === MOST_MASKS) this.#inner.clear();
      this.#inner.set(state, inner);
    }
    return inner;
  }

  /** Walks the nodes from `first` to before `end`, all of them below one; gives those at which a text may end. */
  #walk(from: State, first: number, end: number, mask: Uint32Array): number[] {
    const { byte, depth, after, token, twin } = this.tree;
    const { automaton } = this;
    const { classOf } = automaton.network;
    const path = this.#path;
    const exits: number[] = [];
    if (first < end) path[depth[first]] = from;
    let steps = 0;
    for (let node = first; node < end; steps++) {
      const before = path[depth[node]];
      const next = before.next[classOf[byte[node]]] ?? automaton.step(before, byte[node]);
      if (next === null) {
        node = after[node];
        continue;
      }
      path[depth[node] + 1] = next;
      for (let id = token[node]; id >= 0; id = twin[id]) allow(mask, id);
      if (next.accepts) exits.push(node);
      node++;
    }
    automaton.spend(steps / 8);
    return exits;
  }

  /** The state with `common` and what it is in left open, and with counts as far as a token can tell them. */
  #apart(state: State, common: Frame | undefined): State {
    const rebased = (frame: Frame | undefined): Frame | undefined => {
      if (frame === common || frame === undefined) return OUTSIDE;
      return this.automaton.frame(frame.node, this.#nearCount(frame), rebased(frame.parent));
    };
    const places = state.places.map(({ node, frame }) => ({ node, frame: rebased(frame) }));
    return this.automaton.state(places, false);
  }

  /** Characters are counted from within, so that the call which bounds them is not to be left open. */
  #outOfLength(frame: Frame | undefined): Frame | undefined {
    return frame !== undefined && this.automaton.callOf(frame.node).length !== undefined ? frame.parent : frame;
  }

  /** A count that is as good as `count` within the bytes of one token: each time takes at least one. */
  #nearCount({ node, count }: Frame): number {
    const { min, max, length } = this.automaton.callOf(node);
    const far = this.tree.longest + 1;
    if (length !== undefined) {
      const near = max - length.farthest - far; // up to there any text can still end
      return count < min || near < min || max === Number.POSITIVE_INFINITY ? count : Math.max(count, near);
    }
    if (count < min) return Math.max(count, min - count > far ? min - far - 1 : count);
    return max === Number.POSITIVE_INFINITY ? count : Math.max(count, max - far - 1);
  }
}

function allow(mask: Uint32Array, id: number): void {
  mask[id >>> 5] |= 1 << (id & 31);
}

/** The innermost call that all the places are in. */
function commonFrame(places: readonly Place[]): Frame | undefined {
  let common = places[0]?.frame;
  for (const { frame } of places) {
    let other = frame;
    while (common !== other) {
      if (common === undefined || other === undefined) return undefined;
      if (common.depth > other.depth) common = common.parent;
      else if (other.depth > common.depth) other = other.parent;
      else {
        common = common.parent;
        other = other.parent;
      }
    }
  }
  return common;
}
