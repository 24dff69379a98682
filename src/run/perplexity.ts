/**
 * Perplexity of a text under teacher forcing: how surprised the model is by each token, given the true ones before it.
 *
 * Windows. The text is cut into pieces that follow each other without overlap; each is scored from an empty cache after
 * the token that begins a text, so that all of its tokens are predicted. Where the vocabulary has no such token, the first
 * token of each piece is only given. A window is a piece with that token.
 */
import * as check from "../check.js";
import type { Tokenizer } from "../text/tokenizer.js";
import type { Session } from "./session.js";

/** What is asked of an engine. */
export interface Scorer {
  readonly tokenizer: Tokenizer;
  readonly contextLength: number;
  /** A new timeline. */
  session(): Session;
}

/** Of `perplexity`. */
export interface PerplexityOptions {
  /** tokens of one window, 2 or more; default: the whole context */
  readonly window?: number | undefined;
  /** special tokens in a text become their ids; default false: they are plain characters */
  readonly parseSpecial?: boolean | undefined;
  /** called after each window with the tokens so far of all tokens of the text */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

const CHECKS = {
  parseSpecial: check.boolean,
  onProgress: check.callable,
  signal: check.signal,
};

/** How well a model predicts a text. */
export interface Perplexity {
  /** tokens that were predicted */
  readonly tokens: number;
  readonly windows: number;
  /** mean of -ln p, in nats a token */
  readonly loss: number;
  /** standard error of `loss`, as if tokens were independent; 0 for one token */
  readonly lossError: number;
  /** e to the power of `loss` */
  readonly perplexity: number;
  readonly ms: number;
  readonly tokensPerSecond: number;
}

/** Waits for a place in the cache as a session does. `text`: text, or ids as `engine.tokenizer` gives them. */
export async function perplexity(
  engine: Scorer,
  text: string | check.TokenIds,
  options: PerplexityOptions = {},
): Promise<Perplexity> {
  if (typeof engine?.session !== "function") throw check.wrongType("engine", "an Engine", engine);
  const { tokenizer, contextLength } = engine;
  const checks: check.OptionChecks<PerplexityOptions> = { ...CHECKS, window: check.integer(2, contextLength) };
  const { window = contextLength, parseSpecial = false, onProgress, signal } = check.options(options, checks);
  const given = check.textOrIds(tokenizer.size)("text", text);
  const ids = typeof given === "string" ? tokenizer.encode(given, { addBos: false, parseSpecial }) : given;
  const start = tokenizer.addBos && tokenizer.bos !== undefined ? [tokenizer.bos] : [];
  const content = ids[0] === start[0] ? ids.slice(start.length) : ids;
  if (content.length + start.length < 2) throw new RangeError("text: expected a token that can be predicted, got none");

  await using session = engine.session();
  const logprobs: number[] = [];
  const size = window - start.length;
  let windows = 0;
  const begin = performance.now();
  for (let first = 0; first < content.length; first += size) {
    signal?.throwIfAborted();
    const piece = content.slice(first, first + size);
    for (const logprob of await session.score([...start, ...piece], { signal })) logprobs.push(logprob);
    windows++;
    onProgress?.(first + piece.length, content.length);
  }
  const ms = performance.now() - begin;
  const { loss, lossError } = lossOf(logprobs);
  const tokens = logprobs.length;
  return { tokens, windows, loss, lossError, perplexity: Math.exp(loss), ms, tokensPerSecond: (1000 * tokens) / ms };
}

function lossOf(logprobs: readonly number[]): { loss: number; lossError: number } {
  const count = logprobs.length;
  const loss = -logprobs.reduce((sum, logprob) => sum + logprob, 0) / count;
  const squares = logprobs.reduce((sum, logprob) => sum + (logprob + loss) ** 2, 0);
  return { loss, lossError: count < 2 ? 0 : Math.sqrt(squares / (count - 1) / count) };
}
