/** Log probabilities of tokens in OpenAI's form: the token as text, its bytes, and the likeliest beside it. */
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
 * string is left out as the string is.
 */
export class TokenEntries {
  #held: TokenEntry[] = [];

  constructor(readonly tokenizer: Tokenizer) {}

  /** Those that `piece` brings out. */
  take({ id, logprob, top = [], text, finish }: Piece): TokenEntry[] {
    if (id !== undefined && logprob !== undefined) {
      const top_logprobs = top.map((each) => likelihood(this.tokenizer, each.id, each.logprob));
      this.#held.push({ ...likelihood(this.tokenizer, id, logprob), top_logprobs });
    }
    if (text === "" && finish === undefined) return [];
    const out = finish?.stop === undefined ? this.#held : [];
    this.#held = [];
    return out;
  }
}
