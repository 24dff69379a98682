/**
 * What several expressions have in common, as one machine: the product of their automata, walked to its end, so that what
 * leads nowhere is taken out. All of it is bounded, since expressions come from requests.
 */
import { Automaton, type State } from "./automaton.js";
import { choice, type Expression, type Length, type MachineState } from "./expression.js";
import { networkOf, refused } from "./network.js";

export interface Limits {
  /** how messages call what is made */
  readonly name: string;
  /** what must not match the whole text */
  readonly except?: readonly Expression[] | undefined;
  /** how many characters a text has; `letters` are any of them */
  readonly length?: { readonly min: number; readonly max: number; readonly letters: Expression } | undefined;
}

/** States of a product: some 5 MB. */
const MOST_STATES = 10_000;
/** Steps of one of the automata, see `Automaton.allow`. */
const MOST_STEPS = 1_000_000;
/** States times characters of which a text has to have more. */
const MOST_AHEAD = 1 << 21;

/** The texts that match all of `parts`. */
export function intersection(parts: readonly Expression[], limits: Limits): Expression {
  const { name, length } = limits;
  const states = withoutDeadEnds(new Product(parts, limits).states());
  if (states.length === 0) return choice();
  if (length === undefined) return { kind: "machine", states };
  const counted = new Characters(states, length, name);
  return counted.isAlive(0, 0) ? { kind: "machine", states, length: counted } : choice();
}

/** Undefined: nothing can follow. */
type Row = readonly (State | null)[];

class Product {
  readonly #automata: readonly Automaton[];
  /** of the automata, those that must match come first */
  readonly #matching: number;
  readonly #name: string;
  readonly #counts: boolean;
  readonly #ids = new Map<State | null, number>();
  readonly #numbers = new Map<string, number>();
  /** by number: the states of the automata */
  readonly #rows: Row[] = [];

  constructor(parts: readonly Expression[], { name, except = [], length }: Limits) {
    const matching = length === undefined ? parts : [...parts, length.letters];
    this.#automata = [...matching, ...except].map((part) => new Automaton(networkOf(part, name), name));
    this.#matching = matching.length;
    this.#name = name;
    this.#counts = length !== undefined;
  }

  /** The first one is the beginning. */
  states(): MachineState[] {
    for (const automaton of this.#automata) automaton.allow(MOST_STEPS);
    const groups = groupsOf(this.#automata);
    this.#number(this.#automata.map(({ start }) => start));
    const states: MachineState[] = [];
    // rows are added on the way
    for (let i = 0; i < this.#rows.length; i++) states.push(this.#stateOf(this.#rows[i], groups));
    return states;
  }

  #stateOf(row: Row, { groupOf, bytes }: Groups): MachineState {
    const targets = bytes.map((byte) => this.#after(row, byte));
    const edges: number[] = [];
    for (let byte = 0; byte < 256; byte++) {
      const to = targets[groupOf[byte]];
      if (to === undefined) continue;
      const last = edges.length - 2;
      if (last > 0 && edges[last] === byte - 1 && edges[last + 1] === to) edges[last] = byte;
      else edges.push(byte, byte, to);
    }
    const accepts = row.every((state, i) => (state?.accepts ?? false) === i < this.#matching);
    return { edges, accepts, endsCharacter: this.#counts && row[this.#matching - 1]?.accepts === true };
  }

  #after(row: Row, byte: number): number | undefined {
    const next = row.map((state, i) => state && this.#automata[i].step(state, byte));
    return next.indexOf(null) < this.#matching && next.includes(null) ? undefined : this.#number(next);
  }

  #number(row: Row): number {
    const key = row.map((state) => this.#idOf(state)).join();
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#rows.push(row) - 1;
    if (number === MOST_STATES) {
      throw refused(
        `${this.#name}: expected what takes at most ${MOST_STATES} states together, got more; ask for less at once`,
      );
    }
    this.#numbers.set(key, number);
    return number;
  }

  #idOf(state: State | null): number {
    const id = this.#ids.get(state) ?? this.#ids.size;
    this.#ids.set(state, id);
    return id;
  }
}

/** Bytes that none of the automata tells apart. */
interface Groups {
  readonly groupOf: Uint8Array;
  /** one byte of each */
  readonly bytes: readonly number[];
}

function groupsOf(automata: readonly Automaton[]): Groups {
  const groupOf = new Uint8Array(256);
  const bytes: number[] = [];
  const known = new Map<string, number>();
  for (let byte = 0; byte < 256; byte++) {
    const key = automata.map(({ network }) => network.classOf[byte]).join();
    const group = known.get(key) ?? bytes.push(byte) - 1;
    known.set(key, group);
    groupOf[byte] = group;
  }
  return { groupOf, bytes };
}

function* targetsOf({ edges }: MachineState): Generator<number, void> {
  for (let e = 2; e < edges.length; e += 3) yield edges[e];
}

/** By target: the states that have a way to it. */
function sourcesOf(targets: readonly Iterable<number>[]): number[][] {
  const sources: number[][] = targets.map(() => []);
  for (const [from, each] of targets.entries()) for (const to of each) sources[to].push(from);
  return sources;
}

/** Only the states from which a text can end; none where the first cannot. */
function withoutDeadEnds(states: readonly MachineState[]): MachineState[] {
  const alive = distances(states, sourcesOf(states.map((state) => new Set(targetsOf(state)))));
  if (alive[0] < 0) return [];
  const numbers = new Int32Array(states.length);
  const kept = states.filter((_, i) => alive[i] >= 0);
  for (let i = 0, number = 0; i < states.length; i++) numbers[i] = alive[i] >= 0 ? number++ : -1;
  return kept.map(({ edges, ...state }) => {
    const left: number[] = [];
    for (let e = 0; e < edges.length; e += 3) {
      const to = numbers[edges[e + 2]];
      if (to >= 0) left.push(edges[e], edges[e + 1], to);
    }
    return { ...state, edges: left };
  });
}

/** How many ways each state is from one that accepts; -1: none leads there. */
function distances(states: readonly MachineState[], sources: readonly (readonly number[])[]): Int32Array {
  const far = new Int32Array(states.length).fill(-1);
  let waiting = states.flatMap(({ accepts }, i) => (accepts ? [i] : []));
  for (let steps = 0; waiting.length > 0; steps++) {
    const here = waiting.filter((state) => far[state] < 0);
    for (const state of here) far[state] = steps;
    waiting = here.flatMap((state) => sources[state]);
  }
  return far;
}

/** The length of texts, in characters: a state is one whole character from those that it is in next. */
class Characters implements Length {
  readonly min: number;
  readonly max: number;
  readonly farthest: number;
  readonly #states: number;
  /** (states) characters to the nearest end */
  readonly #far: Int32Array;
  /** (min, states) whether a text of so many characters can end */
  readonly #early: Uint8Array;

  constructor(states: readonly MachineState[], { min, max }: NonNullable<Limits["length"]>, name: string) {
    if (min * states.length > MOST_AHEAD) {
      const most = Math.floor(MOST_AHEAD / states.length);
      throw refused(`${name}.minLength: expected at most ${most} beside what else is asked, got ${min}`);
    }
    const next = nextCharacters(states);
    this.min = min;
    this.max = max;
    this.#states = states.length;
    this.#far = distances(states, sourcesOf(next));
    this.farthest = this.#far.reduce((a, b) => Math.max(a, b));
    this.#early = new Uint8Array(min * states.length);
    for (let count = min - 1; count >= 0; count--) {
      for (const [state, following] of next.entries()) {
        this.#early[count * states.length + state] = Number(following.some((each) => this.isAlive(each, count + 1)));
      }
    }
  }

  isAlive(state: number, count: number): boolean {
    if (count < this.min) return this.#early[count * this.#states + state] === 1;
    return this.#far[state] <= this.max - count;
  }
}

/** By state: those in which a text can be when the character that is under way, or else the next one, is whole. */
function nextCharacters(states: readonly MachineState[]): number[][] {
  const next: (number[] | undefined)[] = states.map(() => undefined);
  // the bytes of one character lead to no state twice
  const of = (state: number): number[] => {
    next[state] ??= [
      ...new Set([...targetsOf(states[state])].flatMap((to) => (states[to].endsCharacter ? [to] : of(to)))),
    ];
    return next[state];
  };
  return states.map((_, state) => of(state));
}
