/**
 * The ids of text that must come next. They are fed at once, without a choice for each, so they have to be those that the
 * tokenizer gives for the text: at the seam with what came before, and wherever the text may go on.
 */
import type { Tokenizer } from "../text/tokenizer.js";
import type { Guide } from "./guide.js";

/** Bytes looked ahead for. */
const MOST_BYTES = 1024;
/** ids before the text that are looked at, as they may be one token with its beginning */
const BEFORE = 4;
/** what may follow: a letter, a digit, a blank, a line, signs of JSON */
const FOLLOWING = ["a", "1", " ", "\n", '"', "}", ",", "-", "\\"];

/** Ids that must follow, which `guide` then has accepted. `history` are all ids so far. */
export function takeForced(guide: Guide, tokenizer: Tokenizer, history: readonly number[]): number[] {
  const text = wholeCharacters(guide.forced(MOST_BYTES));
  if (text === "") return [];
  const before = lastPlain(tokenizer, history);
  const known = tokenizer.decode(before);
  const encode = (end: string) => tokenizer.encode(known + text + end, { addBos: false });
  let ids = encode("");
  if (known.includes("\ufffd") || before.some((id, i) => ids[i] !== id)) return [];
  for (const end of FOLLOWING) ids = ids.slice(0, sameLength(ids, encode(end)));
  const forced = ids.slice(before.length);
  for (const id of forced) guide.accept(id);
  return forced;
}

function lastPlain(tokenizer: Tokenizer, history: readonly number[]): readonly number[] {
  const last = history.slice(-BEFORE);
  return last.slice(last.findLastIndex((id) => tokenizer.isSpecial(id)) + 1);
}

/** The text without a character that is not complete. */
function wholeCharacters(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes, { stream: true });
}

function sameLength(a: readonly number[], b: readonly number[]): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return length;
}
