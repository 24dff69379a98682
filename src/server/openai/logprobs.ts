/** Log probabilities of tokens in both of OpenAI's forms. That of chats: the token as text, its bytes, and the likeliest beside it. */
import type { Piece, Tokenizer } from "../../index.js";

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

/** The older form, of text completions: a list for each thing to know. */
export interface LegacyForm {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly number[];
  /** the likeliest, and the one that was taken */
  readonly top_logprobs: readonly Readonly<Record<string, number>>[];
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
      top_logprobs: entries.map(({ token, logprob, top_logprobs }) => {
        return Object.fromEntries([...top_logprobs.map((each) => [each.token, each.logprob]), [token, logprob]]);
      }),
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

const lengthOf = (text: string) => Array.from(text).length;
