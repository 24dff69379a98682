/**
 * What the engine needs of the machine that it runs on, so that the parts which run everywhere name no host: they are given
 * what they need of this. Types only; `node.ts` is the one implementation so far.
 */

/** Resolves in a later turn of the event loop: what is ready by now (messages, timers, input) comes first. */
export type NextTurn = () => Promise<void>;

export interface Platform {
  readonly nextTurn: NextTurn;
}
