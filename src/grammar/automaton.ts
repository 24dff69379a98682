/**
 * A network as an automaton over bytes, made as it is walked: a state is the set of places in which a text may be, each with
 * the calls that it is in. States, and the calls in them, are equal only if they are the same object, so that a state
 * reached before is a look-up. What is remembered is bounded, and so is the work: grammars come from requests.
 */
import { type Letter, type Network, type Node, refused } from "./network.js";

/** A call under way: where it goes on, how many times its part or a character of it is done, and the call that it is in. */
export class Frame {
  readonly depth: number;

  constructor(
    readonly id: number,
    /** the node of the call */
    readonly node: number,
    /** times that are done; those beyond the least are not counted where there is no most */
    readonly count: number,
    readonly parent: Frame | undefined,
  ) {
    this.depth = parent === undefined ? 1 : parent.depth + 1;
  }
}

/** A node with edges, and the call that it is in. */
export interface Place {
  readonly node: number;
  readonly frame: Frame | undefined;
}

export class State {
  /** by class of byte; null: none, undefined: not known yet */
  readonly next: (State | null | undefined)[] = [];

  constructor(
    readonly places: readonly Place[],
    /** whether a text may end here */
    readonly accepts: boolean,
    readonly generation: number,
  ) {}
}

/** Places of one state: a grammar that needs more is ambiguous in a way that no text format is. */
const MOST_PLACES = 2048;
/** States, and frames, that are remembered: some 10 MB. */
const MOST_STATES = 20_000;

export class Automaton {
  readonly start: State;
  readonly #nodes: Network["nodes"];
  #states = new Map<string, State>();
  #frames = new Map<string, Frame>();
  #nextFrame = 1;
  #generation = 0;
  /** steps that may be taken, see `allow` */
  #work = 0;

  /** `name` is how messages call the grammar. */
  constructor(
    readonly network: Network,
    readonly name: string,
  ) {
    this.#nodes = network.nodes;
    this.allow(MOST_PLACES * 100);
    this.start = this.#closure([{ node: network.start, frame: undefined }]);
  }

  /** Allows so many more steps of some 50 ns, of which unused ones are kept up to `most`. */
  allow(steps: number, most = steps): void {
    this.#work = Math.min(most, this.#work + steps);
  }

  spend(steps: number): void {
    this.#work -= steps;
    if (this.#work >= 0) return;
    throw refused(`${this.name}: expected one that takes less time; it is ambiguous, or counts within what it counts`);
  }

  /** What follows `state` after `byte`; null: nothing may. */
  step(state: State, byte: number): State | null {
    const group = this.network.classOf[byte];
    const known = state.next[group];
    if (known !== undefined) return known;
    const next = this.#step(state, byte);
    state.next[group] = next;
    return next;
  }

  #step({ places }: State, byte: number): State | null {
    const reached: Place[] = [];
    for (const { node, frame } of places) {
      const { edges } = this.#nodes[node];
      for (let e = 0; e < edges.length; e += 3) {
        if (byte < edges[e] || byte > edges[e + 1]) continue;
        const to = edges[e + 2];
        reached.push({ node: to, frame: this.#nodes[to].letter?.endsCharacter ? this.#counted(frame) : frame });
      }
      this.spend(1 + edges.length / 24);
    }
    const next = reached.length === 0 ? null : this.#closure(reached);
    return next?.accepts || next?.places.length ? next : null; // too many characters, or too few to come
  }

  /** One character more. */
  #counted(frame: Frame | undefined): Frame | undefined {
    return frame && this.frame(frame.node, frame.count + 1, frame.parent);
  }

  /** The byte that follows `state` if there is but one and the text may not end there; -1 if not. */
  onlyByte({ places, accepts }: State): number {
    if (accepts) return -1;
    let only = -1;
    for (const { node } of places) {
      const { edges } = this.#nodes[node];
      for (let e = 0; e < edges.length; e += 3) {
        if (edges[e] !== edges[e + 1] || (only >= 0 && only !== edges[e])) return -1;
        only = edges[e];
      }
    }
    return only;
  }

  /** The state after the call `frame` was done once more. */
  after(frame: Frame): State {
    return this.#closure([], frame);
  }

  /** The state of these places, which need no byte to be in. */
  state(places: readonly Place[], accepts: boolean): State {
    if (places.length > MOST_PLACES) {
      throw refused(`${this.name}: expected at most ${MOST_PLACES} ways to read a text, got more; it is ambiguous`);
    }
    if (this.#states.size >= MOST_STATES || this.#frames.size >= MOST_STATES) this.#forget();
    const sorted = [...places].sort((a, b) => a.node - b.node || idOf(a.frame) - idOf(b.frame));
    const key = `${accepts}${sorted.map(({ node, frame }) => `,${node}:${idOf(frame)}`).join("")}`;
    let state = this.#states.get(key);
    if (state === undefined) {
      state = new State(sorted, accepts, this.#generation);
      this.#states.set(key, state);
    }
    return state;
  }

  frame(node: number, count: number, parent: Frame | undefined): Frame {
    const { min, max } = this.callOf(node);
    const own = max === Number.POSITIVE_INFINITY ? Math.min(count, min) : count;
    const key = `${node},${own},${idOf(parent)}`;
    let frame = this.#frames.get(key);
    if (frame === undefined) {
      frame = new Frame(this.#nextFrame++, node, own, parent);
      this.#frames.set(key, frame);
    }
    return frame;
  }

  callOf(node: number): NonNullable<Node["call"]> {
    const { call } = this.#nodes[node];
    if (call === undefined) throw new Error(`node ${node}: expected a call`);
    return call;
  }

  /** The same state where it is remembered; what others remember of an older one is let go. */
  current(state: State): State {
    return state.generation === this.#generation ? state : this.state(state.places, state.accepts);
  }

  #forget(): void {
    this.#states = new Map();
    this.#frames = new Map();
    this.#generation++;
  }

  /** Follows what takes no byte, from `places` and from the end of a call. */
  #closure(places: readonly Place[], done?: Frame): State {
    const nodes = this.#nodes;
    const seen = new Set<number>();
    const found: Place[] = [];
    const waiting: Place[] = [...places];
    let accepts = false;
    const again = (node: number, count: number, parent: Frame | undefined) => {
      const { start, next, min, max, length } = this.callOf(node);
      if (length !== undefined) {
        waiting.push({ node: start, frame: this.frame(node, 0, parent) });
        return;
      }
      if (count >= min) waiting.push({ node: next, frame: parent });
      if (count >= max) return;
      // a call with nothing after it need not be remembered: lists that are rules of themselves would grow without end
      const last = count + 1 === max && isEnd(nodes[next]);
      waiting.push({ node: start, frame: last ? parent : this.frame(node, count, parent) });
    };
    const leave = (call: Frame) => {
      const { next, min, length } = this.callOf(call.node);
      if (length === undefined) again(call.node, call.count + 1, call.parent);
      else if (call.count >= min) waiting.push({ node: next, frame: call.parent });
    };
    if (done !== undefined) leave(done);
    for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
      const { node, frame } = place;
      const key = idOf(frame) * nodes.length + node;
      if (seen.has(key)) continue;
      seen.add(key);
      this.spend(1);
      const { edges, skips, call, letter, ends } = nodes[node];
      if (letter !== undefined && !this.#isAlive(letter, frame)) continue;
      if (edges.length > 0) found.push(place);
      for (const to of skips) waiting.push({ node: to, frame });
      if (call !== undefined) again(node, 0, frame);
      if (!ends) continue;
      if (frame === undefined || frame.node < 0) accepts = true;
      else leave(frame);
    }
    return this.state(found, accepts);
  }

  #isAlive({ state }: Letter, frame: Frame | undefined): boolean {
    return frame === undefined || this.callOf(frame.node).length?.isAlive(state, frame.count) !== false;
  }
}

const idOf = (frame: Frame | undefined): number => frame?.id ?? 0;

const isEnd = ({ ends, edges, skips, call }: Node): boolean =>
  ends && edges.length === 0 && skips.length === 0 && call === undefined;
