/** What an expression matches but for the empty text: a counted part that takes nothing would not end. */
import { choice, EMPTY, type Expression, Rule, repeat, sequence } from "./expression.js";

export class NonEmpty {
  readonly #nullable: ReadonlySet<Rule>;
  readonly #made = new Map<Rule, Rule>();

  /** For the parts of `root`. */
  constructor(root: Expression) {
    this.#nullable = nullableRules(root);
  }

  /** Whether the empty text matches. */
  isNullable(part: Expression): boolean {
    return isNullable(part, this.#nullable);
  }

  /** The same without the empty text. */
  of(part: Expression): Expression {
    if (!this.isNullable(part)) return part;
    switch (part.kind) {
      case "text":
      case "character":
        return choice();
      case "sequence":
        return this.#sequence(part.parts);
      case "choice":
        return choice(...part.parts.map((each) => this.of(each)));
      case "repeat":
        return repeat(this.of(part.part), 1, part.max);
      case "machine":
        throw new Error("a machine is repeated with what is around it, or not at all");
      case "rule":
        return this.#rule(part);
      default:
        return part satisfies never;
    }
  }

  /** One of the parts is the first that takes something. */
  #sequence(parts: readonly Expression[]): Expression {
    return choice(...parts.map((part, i) => sequence(this.of(part), ...parts.slice(i + 1))));
  }

  #rule(rule: Rule): Rule {
    const known = this.#made.get(rule);
    if (known !== undefined) return known;
    const made = new Rule(rule.name);
    this.#made.set(rule, made);
    made.body = this.of(rule.body ?? choice());
    return made;
  }
}

/** `rules` are those that match the empty text, as far as is known. */
function isNullable(part: Expression, rules: ReadonlySet<Rule>): boolean {
  switch (part.kind) {
    case "text":
      return part.text === "";
    case "character":
      return false;
    case "sequence":
      return part.parts.every((each) => isNullable(each, rules));
    case "choice":
      return part.parts.some((each) => isNullable(each, rules));
    case "repeat":
      return part.min === 0 || isNullable(part.part, rules);
    case "machine":
      return part.states[0].accepts && (part.length?.min ?? 0) === 0;
    case "rule":
      return rules.has(part);
    default:
      return part satisfies never;
  }
}

function nullableRules(root: Expression): Set<Rule> {
  const nullable = new Set<Rule>();
  const rules = rulesOf(root);
  for (let size = -1; size < nullable.size; ) {
    size = nullable.size;
    for (const rule of rules) if (isNullable(rule.body ?? choice(), nullable)) nullable.add(rule);
  }
  return nullable;
}

/** The rules that occur, those used last first: they are what the others stand on. */
function rulesOf(root: Expression): Rule[] {
  const found = new Set<Rule>();
  const waiting: Expression[] = [root];
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    if (part.kind === "sequence" || part.kind === "choice") for (const each of part.parts) waiting.push(each);
    else if (part.kind === "repeat") waiting.push(part.part);
    else if (part.kind === "rule" && !found.has(part)) {
      found.add(part);
      waiting.push(part.body ?? EMPTY);
    }
  }
  return [...found].reverse();
}
