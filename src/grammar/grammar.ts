/**
 * What an answer may be: `schema`, `grammar` or `regex` made into a matcher. One for an engine: it knows the tokens, and keeps
 * the grammars used last.
 */
import type { NextTurn } from "../platform/platform.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { Automaton } from "./automaton.js";
import { grammarExpression } from "./ebnf.js";
import { type Expression, sequence } from "./expression.js";
import { Masks } from "./masks.js";
import { Matcher } from "./matcher.js";
import { networkOf, refused } from "./network.js";
import { regexExpression } from "./regex.js";
import { jsonSchema } from "./schema/schema.js";
import type { Shape } from "./shape.js";
import { type TokenTree, tokenTree } from "./token-tree.js";

/** Grammars that are kept, those used last. */
const KEPT = 16;

export class Grammars {
  #tree: Promise<TokenTree> | undefined;
  /** by what they were made of */
  readonly #kept = new Map<string, Masks>();

  constructor(
    readonly tokenizer: Tokenizer,
    readonly nextTurn: NextTurn,
  ) {}

  /** A matcher at the beginning of an answer. Rejects with GRAMMAR where the shape cannot be honoured. */
  async matcher(shape: Shape | Expression): Promise<Matcher> {
    const key = "kind" in shape ? undefined : JSON.stringify(shape);
    let masks = key === undefined ? undefined : this.#kept.get(key);
    if (masks === undefined) {
      const automaton = automatonOf(shape);
      masks = new Masks(automaton, await this.#tokens(), this.tokenizer.stopIds);
    }
    if (key !== undefined) this.#keep(key, masks);
    return new Matcher(masks, this.tokenizer);
  }

  #tokens(): Promise<TokenTree> {
    this.#tree ??= tokenTree(this.tokenizer, this.nextTurn);
    return this.#tree;
  }

  #keep(key: string, masks: Masks): void {
    this.#kept.delete(key);
    this.#kept.set(key, masks);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) break;
      this.#kept.delete(oldest);
    }
  }
}

function expressionOf({ schema, grammar, regex }: Shape): Expression {
  if (schema !== undefined) return jsonSchema(schema, "schema");
  if (grammar !== undefined) return grammarExpression(grammar);
  return regex === undefined ? sequence() : regexExpression(regex, "regex");
}

function automatonOf(shape: Shape | Expression): Automaton {
  try {
    return new Automaton(networkOf("kind" in shape ? shape : expressionOf(shape)));
  } catch (error) {
    throw error instanceof RangeError ? refused("expected less nesting: it is too deep") : error;
  }
}
