/** What is asked of each engine that serves several clients. */

export type ServerQuestion =
  /** an answer runs; a second one comes with a prompt of so many tokens */
  | { readonly kind: "beside"; readonly prompt: number; readonly running: boolean }
  /** so many clients at once, each with a prompt and an answer of its own */
  | { readonly kind: "clients"; readonly clients: number; readonly prompt: number; readonly tokens: number };

/**
 * "beside": `firstMs` of the second answer, and `stallMs`, the longest time between two tokens of the running one while the
 * second was at its prompt, 0 where none ran. "clients": `tokensPerSecond` of all together, from the first request to the
 * last token.
 */
export type ServerFigure = Readonly<Record<string, number>>;

/** The clients' prompts share no prefix: each begins with another id after the first. */
export function promptOf(ids: readonly number[], client: number, length: number): number[] {
  return [ids[0], ...ids.slice(1 + client, length + client)];
}

/** How long the longest pause between two of `times` is that touches the time from `from` to `to`. */
export function longestPause(times: readonly number[], from: number, to: number): number {
  const pauses = times.slice(1).map((time, i) => (times[i] < to && time > from ? time - times[i] : 0));
  return Math.max(0, ...pauses);
}
