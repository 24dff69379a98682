/**
 * What an answer may be: `schema`, `grammar` or `regex` made into a matcher. One for an engine: it knows the tokens, and keeps
 * the grammars used last.
 */
import type { NextTurn } from "../platform/platform.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { Automaton } from "./automaton.js";
import { grammarExpression } from "./ebnf.js";
import type { Expression } from "./expression.js";
import { Masks } from "./masks.js";
import { Matcher } from "./matcher.js";
import { networkOf, refused } from "./network.js";
import { regexExpression } from "./regex.js";
import { jsonSchema } from "./schema/schema.js";
import type { Shape } from "./shape.js";
import { type TokenTree, tokenTree } from "./token-tree.js";

/** Grammars that are kept, those used last. */
const KEPT = 16;
/** Characters of a schema as JSON, of EBNF or of a regular expression. */
const MOST_CHARACTERS = 1 << 18;

export class Grammars {
  #tree: Promise<TokenTree> | undefined;
  /** by what they were made of */
  readonly #kept = new Map<string, Masks>();

  constructor(
    readonly tokenizer: Tokenizer,
    readonly nextTurn: NextTurn,
  ) {}

  /** A matcher at the beginning of an answer. Rejects with GRAMMAR where the shape cannot be honoured. */
  async matcher(shape: Shape): Promise<Matcher> {
    const { name, source, expression } = readShape(shape);
    return this.matcherOf(name, `${name} ${source}`, expression);
  }

  /** The same of an expression, which is made unless a grammar of that `key` is kept; `name` is how messages call it. */
  async matcherOf(name: string, key: string, expression: () => Expression): Promise<Matcher> {
    const masks = this.#kept.get(key) ?? new Masks(automatonOf(name, expression), await this.#tokens(), this.tokenizer);
    this.#keep(key, masks);
    return new Matcher(masks, this.tokenizer);
  }

  #tokens(): Promise<TokenTree> {
    this.#tree ??= tokenTree(this.tokenizer, this.nextTurn);
    return this.#tree;
  }

  #keep(key: string, masks: Masks): void {
    this.#kept.delete(key);
    this.#kept.set(key, masks);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT) this.#kept.delete(oldest);
  }
}

const EXPRESSIONS: Readonly<Record<keyof Shape, (source: string) => Expression>> = {
  schema: (source) => jsonSchema(JSON.parse(source), "schema"),
  grammar: grammarExpression,
  regex: (source) => regexExpression(source, "regex"),
};

/** What is given of `shape`, and how it becomes an expression. */
export function readShape(shape: Shape): { name: string; source: string; expression: () => Expression } {
  const [[name, value]] = Object.entries(shape) as [[keyof Shape, object | string]];
  const source = sourceOf(name, value);
  return { name, source, expression: () => EXPRESSIONS[name](source) };
}

/** As text: a schema is a copy that later changes do not reach. */
function sourceOf(name: keyof Shape, value: object | string): string {
  const source = typeof value === "string" ? value : nestedAtMost(name, () => JSON.stringify(value));
  if (source.length <= MOST_CHARACTERS) return source;
  throw refused(`${name}: expected at most ${MOST_CHARACTERS} characters, got ${source.length}`);
}

function automatonOf(name: string, expression: () => Expression): Automaton {
  return nestedAtMost(name, () => new Automaton(networkOf(expression(), name), name));
}

/** Whatever recurses ends at the limit of the stack, which is an error as any other. */
function nestedAtMost<T>(name: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw error instanceof RangeError ? refused(`${name}: expected less nesting, got too much of it`) : error;
  }
}
