/**
 * EBNF as GBNF (llama.cpp) and XGrammar write it, as an expression:
 *
 *   root   ::= "yes" | "no" reason?      # a comment
 *   reason ::= ", because " [a-z ]{1,80}
 *
 * A rule ends where the next one begins. Text in quotation marks and classes take the escapes of C.
 */
import { Cursor, readTimes } from "./cursor.js";
import {
  character,
  choice,
  codeOf,
  type Expression,
  except,
  type Ranges,
  Rule,
  repeat,
  sequence,
  text,
} from "./expression.js";
import { refused } from "./network.js";

const NAME = /[A-Za-z_][\w.-]*/y;
const BLANK = /(?:\s|#[^\n]*)+/y;
const DEFINED = /(?:\s|#[^\n]*)*::=/y;
const HEX = /x([\da-fA-F]{1,2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})/y;
const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", f: "\f", v: "\v", 0: "\0" };

/** What the rule `root` of `source` describes. */
export function grammarExpression(source: string): Expression {
  const parser = new Parser(new Cursor("grammar", source));
  const rules = parser.rules();
  const root = rules.get("root");
  if (root?.body === undefined) throw refused('grammar: expected a rule "root ::= ...", got none');
  for (const [name, { body }] of rules) {
    if (body === undefined) throw refused(`grammar: expected a rule "${name} ::= ...", which is used, got none`);
  }
  return root;
}

class Parser {
  readonly #rules = new Map<string, Rule>();

  constructor(readonly cursor: Cursor) {}

  rules(): Map<string, Rule> {
    this.#blank();
    while (!this.cursor.ended) {
      const [name] = this.cursor.match(NAME) ?? [];
      if (name === undefined || this.cursor.match(DEFINED) === undefined)
        throw this.cursor.wrong('a rule "name ::= ..."');
      const rule = this.#rule(name);
      if (rule.body !== undefined) throw refused(`grammar: expected one rule "${name}", got another`);
      this.#blank();
      rule.body = this.#alternatives();
    }
    return this.#rules;
  }

  #rule(name: string): Rule {
    const rule = this.#rules.get(name) ?? new Rule(`grammar: rule ${name}`);
    this.#rules.set(name, rule);
    return rule;
  }

  #alternatives(): Expression {
    const parts: Expression[] = [];
    do {
      this.#blank();
      parts.push(this.#sequence());
    } while (this.cursor.takes("|"));
    return choice(...parts);
  }

  #sequence(): Expression {
    const parts: Expression[] = [];
    while (!this.cursor.ended && !"|)".includes(this.cursor.peek()) && !this.#beginsRule()) {
      const part = this.#atom();
      const times = readTimes(this.cursor);
      parts.push(times === undefined ? part : repeat(part, times.min, times.max));
      this.#blank();
    }
    return sequence(...parts);
  }

  #beginsRule(): boolean {
    const { at } = this.cursor;
    const begins = this.cursor.match(NAME) !== undefined && this.cursor.match(DEFINED) !== undefined;
    this.cursor.at = at;
    return begins;
  }

  #atom(): Expression {
    const { cursor } = this;
    if (cursor.takes('"')) return this.#text();
    if (cursor.takes("[")) return character(this.#class());
    if (cursor.takes("(")) {
      const part = cursor.nested(() => this.#alternatives());
      cursor.expect(")");
      return part;
    }
    const [name] = cursor.match(NAME) ?? [];
    if (name === undefined) throw cursor.wrong("a text, a class, a rule or a group");
    return this.#rule(name);
  }

  #text(): Expression {
    let value = "";
    while (!this.cursor.takes('"')) value += this.#letter();
    return text(value);
  }

  #class(): Ranges {
    const { cursor } = this;
    const negated = cursor.takes("^");
    const ranges: (readonly [number, number])[] = [];
    while (!cursor.takes("]")) {
      const from = codeOf(this.#letter());
      const isRange = cursor.peek() === "-" && cursor.text[cursor.at + 1] !== "]";
      if (isRange) cursor.next();
      const to = isRange ? codeOf(this.#letter()) : from;
      if (to < from) throw cursor.wrong("a range that ascends");
      ranges.push([from, to]);
    }
    return except(negated ? ranges : except(ranges));
  }

  #letter(): string {
    const { cursor } = this;
    if (!cursor.takes("\\")) return cursor.next();
    const hex = cursor.match(HEX);
    if (hex === undefined) {
      const letter = cursor.next();
      return ESCAPES[letter] ?? letter;
    }
    const code = Number.parseInt(hex[1] ?? hex[2] ?? hex[3], 16);
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw cursor.wrong("the code of a character before");
    return String.fromCodePoint(code);
  }

  #blank(): void {
    this.cursor.match(BLANK);
  }
}
