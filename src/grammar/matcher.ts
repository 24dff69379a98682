/** One answer's way through a grammar: follows the ids that were chosen, and says which may come next. */
import type { Tokenizer } from "../text/tokenizer.js";
import type { Automaton, State } from "./automaton.js";
import type { Guide } from "./guide.js";
import type { Masks } from "./masks.js";

/** Steps of the automaton a token: see `Automaton.allow`. The walk of 128,256 tokens takes 40,000. */
const STEPS = 100_000;
const MOST_STEPS = 500_000;

export class Matcher implements Guide {
  #state: State;
  readonly #automaton: Automaton;

  constructor(
    readonly masks: Masks,
    readonly tokenizer: Tokenizer,
  ) {
    this.#automaton = masks.automaton;
    this.#state = this.#automaton.start;
  }

  get done(): boolean {
    return this.#state.accepts && this.#state.places.length === 0;
  }

  /**
   * The ids that may come next; end tokens where the text may end. Throws GRAMMAR where the grammar takes too much time.
   */
  mask(): Uint32Array {
    this.#automaton.allow(STEPS, MOST_STEPS);
    this.#state = this.#automaton.current(this.#state);
    return this.masks.of(this.#state);
  }

  accept(id: number): void {
    if (this.tokenizer.isSpecial(id)) return; // an end token: nothing follows
    this.#state = this.#after(this.#state, this.tokenizer.bytes(id));
  }

  /** Goes on with a text that no token need spell; false, and nothing changes, where it is not allowed. */
  acceptText(text: string): boolean {
    let state: State | null = this.#automaton.current(this.#state);
    for (const byte of new TextEncoder().encode(text)) {
      state = this.#automaton.step(state, byte);
      if (state === null) return false;
    }
    this.#state = state;
    return true;
  }

  forced(most: number): Uint8Array {
    this.#automaton.allow(STEPS, MOST_STEPS);
    const bytes: number[] = [];
    let state = this.#automaton.current(this.#state);
    for (let byte = this.#automaton.onlyByte(state); byte >= 0 && bytes.length < most; ) {
      bytes.push(byte);
      state = this.#automaton.step(state, byte) as State;
      byte = this.#automaton.onlyByte(state);
    }
    return Uint8Array.from(bytes);
  }

  #after(from: State, bytes: Uint8Array): State {
    let state: State | null = from;
    for (const byte of bytes) {
      state = this.#automaton.step(state, byte);
      if (state === null) throw new Error(`grammar: expected a token that it allows, got bytes ${bytes.join(" ")}`);
    }
    return state;
  }
}
