/**
 * Which special tokens of a rendered chat are the template's. Nothing that a user wrote ever becomes one, whatever the
 * template does with it: cut, lower, replace, join, or frame by `<|` and `|>`.
 *
 * 1. Before rendering, each special token in a literal of the template becomes one character of the private-use area that
 *    is in none of the users' texts. In the rendered text these characters are the special tokens; all else is plain. The
 *    users' texts go in as they are, so a template that looks into them sees what was written.
 * 2. A template may also compose one, as `'<|' + message.role + '|>'`. Where the text has one like that, it is rendered
 *    again with every visible character of the users replaced by a private-use twin, but for roles that are words. If that
 *    gives the same text, then what consists of none of the twins is the template's own. Such a token begins and ends with
 *    a character that is in no word, so that a role alone is none.
 */
import { TernionError } from "../errors.js";
import { type DataObject, mapStrings, stringsIn } from "./messages.js";
import { WordFinder } from "./special.js";
import type { PromptPart, Tokenizer } from "./tokenizer.js";

type Specials = Pick<Tokenizer, "specialPieces" | "idOf">;

const FIRST_PRIVATE = 0xe000;
const LAST_PRIVATE = 0xf8ff;
const PRIVATE = /[\ue000-\uf8ff]/g;

/** Private-use characters that are in none of some texts. */
class Unused {
  readonly #used = new Uint8Array(LAST_PRIVATE + 1 - FIRST_PRIVATE);
  #at = 0;

  constructor(texts: Iterable<string>) {
    for (const text of texts) {
      for (const [character] of text.matchAll(PRIVATE)) this.#used[character.charCodeAt(0) - FIRST_PRIVATE] = 1;
    }
  }

  next(): string | undefined {
    while (this.#used[this.#at] === 1) this.#at++;
    return this.#at < this.#used.length ? String.fromCharCode(FIRST_PRIVATE + this.#at++) : undefined;
  }
}

/** Special tokens that a template may compose: visible ASCII, with other ends than words have. */
const COMPOSABLE = /^[!#-/:-@[\]^`{-~][!#-[\]-~]*[!#-/:-@[\]^`{-~]$/;

export class Provenance {
  readonly #specials: Specials;
  readonly #all: WordFinder;
  readonly #composable: WordFinder;

  constructor(specials: Specials) {
    this.#specials = specials;
    this.#all = new WordFinder(specials.specialPieces);
    this.#composable = new WordFinder(specials.specialPieces.filter((piece) => COMPOSABLE.test(piece)));
  }

  begin(literals: readonly string[], data: DataObject): Marked {
    return new Marked(this.#all, this.#composable, this.#specials, literals, data);
  }
}

/** One chat. */
export class Marked {
  /** the template's, with a character for each special token */
  readonly literals: readonly string[];
  readonly #unused: Unused;
  /** special token → its character, and the way back */
  readonly #marks = new Map<string, string>();
  readonly #marked = new Map<string, string>();
  #twins = new Map<string, string>();

  constructor(
    readonly all: WordFinder,
    readonly composable: WordFinder,
    readonly specials: Specials,
    literals: readonly string[],
    readonly data: DataObject,
  ) {
    this.#unused = new Unused([...literals, ...stringsIn(data)]);
    this.literals = literals.map((literal) => this.#mark(literal));
  }

  /** `piece` as a template gets it in a variable such as bos_token. */
  variable(piece: string): string {
    return this.#mark(piece);
  }

  #mark(text: string): string {
    return replaceAll(this.all, text, (piece) => {
      let mark = this.#marks.get(piece);
      if (mark === undefined) {
        mark = this.#unused.next() ?? noneLeft();
        this.#marks.set(piece, mark);
        this.#marked.set(mark, piece);
      }
      return mark;
    });
  }

  /** Whether a second rendering, of `twins()`, can tell more about `text`. */
  mayBeComposed(text: string): boolean {
    return this.composable.next(text, 0) !== undefined;
  }

  /** The data with twins in place of visible characters; undefined where there are not enough. */
  twins(): DataObject | undefined {
    const twins = new Map<string, string>();
    const twinOf = (character: string) => {
      // what could become visible ASCII in another case, but for what JSON escapes
      const cases = character + character.toLowerCase() + character.toUpperCase();
      if (!/[!#-[\]-~]|\p{Cc}/u.test(cases)) return character;
      const twin = twins.get(character) ?? this.#unused.next() ?? "";
      twins.set(character, twin);
      return twin;
    };
    const twinned = (text: string) => text.replace(/[^\s"\\]/g, twinOf);
    const { messages, ...variables } = this.data;
    const withRoles = (messages as readonly DataObject[]).map(({ role, ...rest }) => ({
      role: /^\w*$/.test(role as string) ? role : twinned(role as string),
      ...(mapStrings(rest, twinned) as DataObject),
    }));
    this.#twins = new Map(Array.from(twins, ([character, twin]) => [twin, character]));
    if (this.#twins.has("")) return undefined;
    return { ...(mapStrings(variables, twinned) as DataObject), messages: withRoles };
  }

  /** The prompt, of the rendered text and of that of the twins. */
  parts(text: string, ofTwins?: string): PromptPart[] {
    const owned = ofTwins === undefined ? undefined : this.#owned(text, ofTwins);
    const parts: PromptPart[] = [];
    let start = 0;
    for (const { 0: mark, index } of text.matchAll(PRIVATE)) {
      const piece = this.#marked.get(mark);
      if (piece === undefined) continue;
      this.#pushPlain(parts, text, { start, end: index, owned });
      parts.push(this.#idOf(piece));
      start = index + 1;
    }
    this.#pushPlain(parts, text, { start, end: text.length, owned });
    return parts;
  }

  /** What is between two marks: plain text, but for tokens that the template composed. */
  #pushPlain(parts: PromptPart[], text: string, { start, end, owned }: Stretch): void {
    const within = text.slice(start, end);
    let done = 0;
    const pushUpTo = (index: number) => {
      if (index > done) parts.push(within.slice(done, index));
    };
    let from = 0;
    for (
      let found = owned && this.composable.next(within, from);
      found !== undefined;
      found = this.composable.next(within, from)
    ) {
      const { index, word } = found;
      const own = owned?.subarray(start + index, start + index + word.length).every((flag) => flag === 1);
      from = index + (own ? word.length : 1);
      if (!own) continue;
      pushUpTo(index);
      parts.push(this.#idOf(word));
      done = from;
    }
    pushUpTo(within.length);
  }

  #idOf(piece: string): number {
    return this.specials.idOf(piece) as number;
  }

  /** 1 for each character that is no user's; undefined if the template did something else with the twins. */
  #owned(text: string, ofTwins: string): Uint8Array | undefined {
    if (ofTwins.length !== text.length) return undefined;
    const owned = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) {
      const character = this.#twins.get(ofTwins[i]);
      if ((character ?? ofTwins[i]) !== text[i]) return undefined;
      owned[i] = character === undefined ? 1 : 0;
    }
    return owned;
  }
}

interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly owned: Uint8Array | undefined;
}

function noneLeft(): never {
  const message = "messages: expected unused characters of U+E000 to U+F8FF, got all of them in use";
  throw new TernionError("CHAT_TEMPLATE", `${message}. Remove some from the messages.`);
}

function replaceAll(finder: WordFinder, text: string, change: (word: string) => string): string {
  let done = "";
  let start = 0;
  for (const { index, word } of finder.all(text)) {
    done += text.slice(start, index) + change(word);
    start = index + word.length;
  }
  return done + text.slice(start);
}
