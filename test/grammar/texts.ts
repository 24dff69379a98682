/** Texts of grammars, without a model: whether one is accepted, and random ones. */
import { Automaton, type State } from "../../src/grammar/automaton.js";
import type { Expression } from "../../src/grammar/expression.js";
import { networkOf } from "../../src/grammar/network.js";
import type { Random } from "../random.js";

export const automatonOf = (expression: Expression): Automaton =>
  new Automaton(networkOf(expression, "grammar"), "grammar");

const PLENTY = 1e9;

/** After a text; undefined where it is refused. */
function stateAfter(automaton: Automaton, text: string): State | undefined {
  automaton.allow(PLENTY);
  let state: State | null = automaton.start;
  for (const byte of new TextEncoder().encode(text)) {
    state = automaton.step(state, byte);
    if (state === null) return undefined;
  }
  return state;
}

export const accepts = (automaton: Automaton, text: string): boolean => stateAfter(automaton, text)?.accepts === true;

/** Whether a text may go on to one that is accepted. */
export const begins = (automaton: Automaton, text: string): boolean => stateAfter(automaton, text) !== undefined;

/** A random text of some `length` bytes or, where it cannot end there, more; undefined where that takes too many. */
export function randomText(automaton: Automaton, random: Random, length: number): string | undefined {
  automaton.allow(PLENTY);
  const bytes: number[] = [];
  let state = automaton.start;
  while (bytes.length < 20 * length + 200) {
    if (state.accepts && (state.places.length === 0 || bytes.length >= length || random.chance(0.05))) {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
    }
    const ways = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => automaton.step(state, byte) !== null);
    // a range of bytes counts once, so that rare ways are taken too
    const groups = [...new Set(ways.map((byte) => automaton.network.classOf[byte]))];
    const group = random.pick(groups);
    const byte = random.pick(ways.filter((each) => automaton.network.classOf[each] === group));
    bytes.push(byte);
    state = automaton.step(state, byte) as State;
  }
  return undefined;
}
