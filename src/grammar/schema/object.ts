/** Objects: the properties in the order of the schema, then others where these are asked for. */
import { choice, EMPTY, type Expression, optional, Rule, repeat, sequence, text } from "../expression.js";
import { refused } from "../network.js";
import { constant, STRING } from "./json.js";
import { at, isSchemaObject, type Schema } from "./keywords.js";
import { otherThan } from "./string.js";

interface Member {
  /** name, colon and value */
  readonly text: Expression;
  readonly required: boolean;
}

/** `of` makes the expression of a schema within. */
export function objectOf(schema: Schema, path: string, of: (schema: unknown, path: string) => Expression): Expression {
  const { properties = {}, required = [], additionalProperties } = schema;
  if (!isSchemaObject(properties))
    throw refused(`${at(path, "properties")}: expected an object of schemas, got another value`);
  if (!Array.isArray(required) || !required.every((name) => typeof name === "string")) {
    throw refused(`${at(path, "required")}: expected an array of names, got another value`);
  }
  const names = [...new Set([...Object.keys(properties), ...required])];
  const members = names.map((name): Member => {
    const known = Object.hasOwn(properties, name);
    const value = known
      ? of(properties[name], at(at(path, "properties"), name))
      : of(additionalProperties ?? true, at(path, "additionalProperties"));
    return { text: sequence(constant(name), text(":"), value), required: required.includes(name) };
  });
  const others =
    additionalProperties === undefined ? undefined : of(additionalProperties, at(path, "additionalProperties"));
  const other = others && sequence(names.length === 0 ? STRING : otherThan(names), text(":"), others);
  return sequence(text("{"), inOrder(members, other, path), text("}"));
}

/** Rules of their own for what follows a member, so that each stands once however many are optional. */
function inOrder(members: readonly Member[], other: Expression | undefined, path: string): Expression {
  const more = other && new Rule(`${path}: others`, repeat(sequence(text(","), other), 0));
  let following: Expression = more ?? EMPTY;
  let beginning: Expression = other === undefined || more === undefined ? EMPTY : optional(sequence(other, more));
  for (const { text: own, required } of [...members].reverse()) {
    const first = sequence(own, following);
    const next = sequence(text(","), own);
    beginning = required ? first : new Rule(`${path}: first`, choice(first, beginning));
    following = new Rule(`${path}: next`, sequence(required ? next : optional(next), following));
  }
  return beginning;
}
