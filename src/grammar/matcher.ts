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
    const bytes = this.tokenizer.bytes(id);
    const state = this.#reached(bytes);
    if (state === null) throw new Error(`grammar: expected a token that it allows, got bytes ${bytes.join(" ")}`);
    this.#state = state;
  }

  get done(): boolean {
    return this.accepts && this.#state.places.length === 0;
  }

  /** Whether the text may end here. */
  get accepts(): boolean {
    return this.#state.accepts;
  }

  /** Whether these bytes may come next. */
  allows(bytes: Uint8Array): boolean {
    return this.#reached(bytes) !== null;
  }

  /** Goes on with a text that no token need spell; false, and nothing changes, where it is not allowed. */
  acceptText(text: string): boolean {
    const state = this.#reached(new TextEncoder().encode(text));
    this.#state = state ?? this.#state;
    return state !== null;
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

  #reached(bytes: Uint8Array): State | null {
    this.#automaton.allow(STEPS, MOST_STEPS);
    let state: State | null = this.#automaton.current(this.#state);
    for (const byte of bytes) state = state && this.#automaton.step(state, byte);
    return state;
  }
}
