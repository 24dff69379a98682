/** Log probabilities of tokens in both of OpenAI's forms. That of chats: the token as text, its bytes, and the likeliest beside it. */
import type { Piece, PromptLogprob, Tokenizer } from "../../index.js";

export interface Likelihood {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[];
}

export interface TokenEntry extends Likelihood {
  readonly top_logprobs: readonly Likelihood[];
}

/** JSON has no -Infinity; this is OpenAI's word for "as good as impossible". */
const LEAST = -9999;

function likelihood(tokenizer: Tokenizer, id: number, logprob: number): Likelihood {
  const bytes = tokenizer.bytes(id);
  const token = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  return { token, logprob: Math.max(LEAST, logprob), bytes: [...bytes] };
}

/**
 * The entries of an answer, given out with its text: what belongs to text that is held back waits, and what belongs to a stop
 * string or a call of a tool is left out as the string is.
 */
export class TokenEntries {
  #held: TokenEntry[] = [];

  constructor(readonly tokenizer: Tokenizer) {}

  /** Those that `piece` brings out. */
  take({ id, logprob, top = [], text, toolCall, finish }: Piece): TokenEntry[] {
    if (id !== undefined && logprob !== undefined) {
      const top_logprobs = top.map((each) => likelihood(this.tokenizer, each.id, each.logprob));
      this.#held.push({ ...likelihood(this.tokenizer, id, logprob), top_logprobs });
    }
    if (text === "" && finish === undefined && toolCall === undefined) return [];
    const ofCall = toolCall !== undefined && text === "";
    const out = finish?.stop === undefined && !ofCall ? this.#held : [];
    this.#held = [];
    return out;
  }
}

/** The older form, of text completions: a list for each thing to know. The first token of a prompt has no probability. */
export interface LegacyForm {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly (number | null)[];
  /** the likeliest, and the one that was taken */
  readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[];
  /** where each begins in the text, in characters */
  readonly text_offset: readonly number[];
}

export class LegacyLogprobs {
  #offset: number;

  /** `before` comes before the first of them in the text. */
  constructor(before: string) {
    this.#offset = lengthOf(before);
  }

  take(entries: readonly TokenEntry[]): LegacyForm {
    return {
      tokens: entries.map(({ token }) => token),
      token_logprobs: entries.map(({ logprob }) => logprob),
      top_logprobs: entries.map(likeliest),
      text_offset: entries.map(({ token }) => this.#next(token)),
    };
  }

  #next(token: string): number {
    const offset = this.#offset;
    this.#offset += lengthOf(token);
    return offset;
  }

  static joined(parts: readonly LegacyForm[]): LegacyForm {
    return {
      tokens: parts.flatMap(({ tokens }) => tokens),
      token_logprobs: parts.flatMap(({ token_logprobs }) => token_logprobs),
      top_logprobs: parts.flatMap(({ top_logprobs }) => top_logprobs),
      text_offset: parts.flatMap(({ text_offset }) => text_offset),
    };
  }
}

const likeliest = ({ token, logprob, top_logprobs }: TokenEntry): Record<string, number> =>
  Object.fromEntries([...top_logprobs.map((each) => [each.token, each.logprob]), [token, logprob]]);

/** Of the tokens of a prompt, which is `text` in the answer. */
export function promptForm(tokenizer: Tokenizer, scored: readonly PromptLogprob[], text: string): LegacyForm {
  const entries = scored.map(({ id, logprob, top = [] }) => {
    const top_logprobs = top.map((each) => likelihood(tokenizer, each.id, each.logprob));
    return { ...likelihood(tokenizer, id, logprob ?? 0), top_logprobs };
  });
  return {
    tokens: entries.map(({ token }) => token),
    token_logprobs: scored.map(({ logprob }, i) => (logprob === undefined ? null : entries[i].logprob)),
    top_logprobs: scored.map(({ logprob }, i) => (logprob === undefined ? null : likeliest(entries[i]))),
    text_offset: offsetsOf(tokenizer, scored, lengthOf(text)),
  };
}

/** A token that is not in the text, as the one that begins it, has no length; nor has a blank that is put before it. */
function offsetsOf(tokenizer: Tokenizer, scored: readonly PromptLogprob[], length: number): number[] {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let end = 0;
  const begins = scored.map(({ id }) => {
    const begin = end;
    if (!tokenizer.isSpecial(id)) end += lengthOf(decoder.decode(tokenizer.bytes(id), { stream: true }));
    return begin;
  });
  return begins.map((begin) => Math.max(0, begin - Math.max(0, end - length)));
}

const lengthOf = (text: string) => Array.from(text).length;
