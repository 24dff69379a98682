/**
 * JSON schema (2020-12, what of it describes a value from left to right) as an expression: its texts are JSON without blanks
 * that the schema describes. They need not be all of those: properties come in the order of the schema, those that it does
 * not name come only where `additionalProperties` says so, and a keyword of one type means that type.
 * A keyword that is not honoured is refused by its name and place, never passed over.
 */
import { choice, type Expression, optional, Rule, repeat, sequence, text } from "../expression.js";
import { refused } from "../network.js";
import {
  ARRAY,
  BOOLEAN,
  constant,
  INTEGER,
  MOST_DIGITS,
  NULL,
  NUMBER,
  OBJECT,
  STRING,
  separated,
  VALUE,
} from "./json.js";
import {
  assertions,
  at,
  both,
  count,
  isSchemaObject,
  kindOf,
  numeric,
  OF_TYPE,
  type Schema,
  TYPES,
  type TypeName,
} from "./keywords.js";
import { LARGEST_STEP, multiples, numberWithin } from "./number.js";
import { objectOf } from "./object.js";
import { areApart } from "./one-of.js";
import { stringWith } from "./string.js";

/** Schemas within schemas. */
const MOST_NESTED = 100;

/** `name` is how messages call the schema. Throws GRAMMAR for what cannot be honoured. */
export function jsonSchema(schema: unknown, name: string): Expression {
  return new Converter(schema, name).of(schema, name);
}

class Converter {
  readonly #rules = new Map<unknown, Rule>();
  #depth = 0;

  constructor(
    readonly root: unknown,
    readonly name: string,
  ) {}

  of(schema: unknown, path: string): Expression {
    if (schema === true) return VALUE;
    if (schema === false) return choice();
    if (!isSchemaObject(schema))
      throw refused(`${path}: expected a schema (an object, true or false), got ${kindOf(schema)}`);
    const known = this.#rules.get(schema);
    if (known !== undefined) return known;
    const rule = new Rule(path);
    this.#rules.set(schema, rule);
    this.#depth++;
    if (this.#depth > MOST_NESTED) throw refused(`${path}: expected at most ${MOST_NESTED} nested schemas, got more`);
    rule.body = this.#body(assertions(schema, path), path);
    this.#depth--;
    return rule;
  }

  #body(schema: Schema, path: string): Expression {
    if ("$ref" in schema) return this.#reference(schema, path);
    for (const keyword of ["allOf", "anyOf", "oneOf"] as const) {
      if (keyword in schema) return this.#combined(schema, keyword, path);
    }
    if ("const" in schema || "enum" in schema) return this.#values(schema, path);
    const types = typesOf(schema, path);
    return choice(...types.map((type) => this.#typed(type, schema, path)));
  }

  #reference(schema: Schema, path: string): Expression {
    const beside = Object.keys(schema).find((keyword) => keyword !== "$ref");
    if (beside !== undefined)
      throw refused(`${at(path, beside)}: expected nothing beside $ref, got it; put it into the schema there`);
    const target = this.#target(schema.$ref, at(path, "$ref"));
    const keys = String(schema.$ref).split("/").slice(1);
    return this.of(
      target,
      keys.reduce((place, key) => at(place, unescaped(key)), this.name),
    );
  }

  /** The schema that a reference within this one names. */
  #target(reference: unknown, path: string): unknown {
    if (typeof reference !== "string" || !/^#($|\/)/.test(reference)) {
      throw refused(`${path}: expected "#" or "#/..." within this schema, got ${JSON.stringify(reference)}`);
    }
    let target: unknown = this.root;
    for (const part of reference.split("/").slice(1)) {
      const key = unescaped(part);
      if (typeof target !== "object" || target === null || !Object.hasOwn(target, key)) {
        throw refused(`${path}: expected a schema at ${JSON.stringify(reference)}, got none`);
      }
      target = (target as Record<string, unknown>)[key];
    }
    return target;
  }

  /** All parts of `allOf` hold at once; what stands beside `anyOf` and `oneOf` holds for each of the alternatives. */
  #combined(schema: Schema, keyword: "allOf" | "anyOf" | "oneOf", path: string): Expression {
    const { [keyword]: parts, ...beside } = schema;
    const place = at(path, keyword);
    if (!Array.isArray(parts) || parts.length === 0)
      throw refused(`${place}: expected schemas, at least one, got ${kindOf(parts)}`);
    const alone = Object.keys(beside).length === 0;
    if (keyword === "allOf" && (parts.length > 1 || !alone)) {
      const all = parts.reduce((sum, part, i) => both(sum, this.#plain(part, `${place}[${i}]`), path), beside);
      return this.of(all, path);
    }
    if (keyword === "oneOf") this.#checkApart(parts, place);
    return choice(
      ...parts.map((part, i) => {
        const name = `${place}[${i}]`;
        return this.of(alone ? part : both(beside, this.#plain(part, name), path), name);
      }),
    );
  }

  /** Without references, to be joined with others. */
  #plain(schema: unknown, path: string): Schema {
    if (schema === true) return {};
    if (!isSchemaObject(schema)) throw refused(`${path}: expected a schema that is an object, got ${kindOf(schema)}`);
    const own = assertions(schema, path);
    return "$ref" in own && Object.keys(own).length === 1
      ? this.#plain(this.#target(own.$ref, at(path, "$ref")), path)
      : own;
  }

  #checkApart(parts: readonly unknown[], path: string): void {
    const plain = parts.map((part, i) => this.#plain(part, `${path}[${i}]`));
    const apart = plain.every((part, i) => plain.slice(0, i).every((other) => areApart(part, other)));
    if (apart) return;
    throw refused(
      `${path}: expected alternatives of different types, or objects that a required property with different constants ` +
        "tells apart, got others; use anyOf",
    );
  }

  #values(schema: Schema, path: string): Expression {
    const { const: only, enum: several, type: _, ...beside } = schema;
    const [other] = Object.keys(beside);
    if (other !== undefined)
      throw refused(`${at(path, other)}: expected no more than type beside const and enum, got it`);
    if (several !== undefined && !Array.isArray(several))
      throw refused(`${at(path, "enum")}: expected an array, got ${kindOf(several)}`);
    const types = typesOf(schema, path);
    const values = ("const" in schema ? [only] : (several as readonly unknown[])).filter((value) => {
      const listed = !("const" in schema) || several === undefined || texts(several).has(JSON.stringify(value));
      return listed && types.some((type) => isOfType(value, type));
    });
    return choice(...Array.from(texts(values), text));
  }

  #typed(type: TypeName, schema: Schema, path: string): Expression {
    switch (type) {
      case "object":
        return has(schema, "object") ? objectOf(schema, path, (each, name) => this.of(each, name)) : OBJECT;
      case "array":
        return has(schema, "array") ? this.#array(schema, path) : ARRAY;
      case "string":
        return has(schema, "string") ? stringWith(schema, path) : STRING;
      case "number":
      case "integer":
        return numberWith(type, schema, path);
      case "boolean":
        return BOOLEAN;
      case "null":
        return NULL;
      default:
        return type satisfies never;
    }
  }

  #array(schema: Schema, path: string): Expression {
    const { prefixItems = [], items = true } = schema;
    const min = count(schema, "minItems", path, 0);
    const max = count(schema, "maxItems", path, Number.POSITIVE_INFINITY);
    if (!Array.isArray(prefixItems))
      throw refused(`${at(path, "prefixItems")}: expected an array, got ${kindOf(prefixItems)}`);
    if (min > max) return choice();
    if (prefixItems.length === 0) {
      const none = items === false ? 0 : max;
      return sequence(text("["), separated(this.of(items, at(path, "items")), min, none), text("]"));
    }
    const first = prefixItems.map((item, i) => this.of(item, `${at(path, "prefixItems")}[${i}]`));
    return sequence(text("["), this.#tuple(first, this.of(items, at(path, "items")), { min, max }), text("]"));
  }

  /** As many of the first items as there are, then others; all with commas between them. */
  #tuple(first: readonly Expression[], other: Expression, { min, max }: { min: number; max: number }): Expression {
    const fixed = Math.min(first.length, max);
    let rest: Expression =
      max > fixed ? repeat(sequence(text(","), other), Math.max(0, min - fixed), max - fixed) : sequence();
    for (let i = fixed - 1; i >= 0; i--) {
      const item = sequence(...(i === 0 ? [] : [text(",")]), first[i], rest);
      rest = i >= min ? optional(item) : item;
    }
    return rest;
  }
}

const has = (schema: Schema, type: TypeName): boolean => OF_TYPE[type].some((keyword) => keyword in schema);

/** The types that a value may have: those named, or those that the other keywords speak of, or all. */
function typesOf(schema: Schema, path: string): readonly TypeName[] {
  const { type } = schema;
  if (type === undefined) {
    const spoken = TYPES.filter((each) => each !== "integer" && has(schema, each));
    return spoken.length > 0 ? spoken : TYPES;
  }
  const types: unknown[] = Array.isArray(type) ? type : [type];
  for (const each of types) {
    if (TYPES.includes(each as TypeName)) continue;
    throw refused(`${at(path, "type")}: expected one of ${TYPES.join(", ")}, got ${JSON.stringify(each)}`);
  }
  const named = new Set(types as TypeName[]);
  if (named.has("number")) named.delete("integer");
  return [...named];
}

function isOfType(value: unknown, type: TypeName): boolean {
  if (type === "integer") return Number.isInteger(value);
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isSchemaObject(value);
  return typeof value === type;
}

const texts = (values: readonly unknown[]): Set<string> => new Set(values.map((value) => JSON.stringify(value)));

/** More multiples than these are not listed. */
const MOST_LISTED = 10_000;

function numberWith(type: "number" | "integer", schema: Schema, path: string): Expression {
  if (!has(schema, type)) return type === "integer" ? INTEGER : NUMBER;
  const limits = limitsOf(schema, path);
  const step = numeric(schema, "multipleOf", path);
  const places = type === "integer" ? 0 : MOST_DIGITS;
  if (step === undefined) return numberWithin({ ...limits, places });
  return multiplesOf(step, { ...limits, places, name: at(path, "multipleOf") });
}

function limitsOf(schema: Schema, path: string) {
  const min = numeric(schema, "minimum", path) ?? Number.NEGATIVE_INFINITY;
  const max = numeric(schema, "maximum", path) ?? Number.POSITIVE_INFINITY;
  const above = numeric(schema, "exclusiveMinimum", path) ?? Number.NEGATIVE_INFINITY;
  const below = numeric(schema, "exclusiveMaximum", path) ?? Number.POSITIVE_INFINITY;
  return { min: Math.max(min, above), minOut: above >= min, max: Math.min(max, below), maxOut: below <= max };
}

interface Multiples extends ReturnType<typeof limitsOf> {
  readonly places: number;
  readonly name: string;
}

function multiplesOf(step: number, { name, ...limits }: Multiples): Expression {
  if (step <= 0) throw refused(`${name}: expected a number above 0, got ${step}`);
  const { min, max, minOut, maxOut, places } = limits;
  const decimals = /^0\.0*1$/.exec(String(step)) ? String(step).length - 2 : undefined;
  if (step === 1 || (places > 0 && decimals !== undefined)) return numberWithin({ ...limits, places: decimals ?? 0 });
  if (Number.isFinite(min) && Number.isFinite(max)) {
    const first = Math.ceil(min / step);
    const many = Math.floor(max / step) - first + 1;
    if (many <= MOST_LISTED) {
      const values = Array.from({ length: Math.max(0, many) }, (_, i) => (first + i) * step);
      const inside = values.filter((value) => {
        const within = (minOut ? value > min : value >= min) && (maxOut ? value < max : value <= max);
        return within && Number.isInteger(value / step) && (places > 0 || Number.isInteger(value));
      });
      return choice(...inside.map(constant));
    }
  } else if (min === Number.NEGATIVE_INFINITY && max === Number.POSITIVE_INFINITY) {
    const counted = multiples(step);
    if (counted !== undefined) return counted;
  }
  throw refused(
    `${name}: expected an integer up to ${LARGEST_STEP} (times a power of ten) without bounds, or at most ${MOST_LISTED} multiples between bounds, got ${step}`,
  );
}

const unescaped = (part: string): string => decoded(part).replaceAll("~1", "/").replaceAll("~0", "~");

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
