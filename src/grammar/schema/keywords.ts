/** Which keywords of JSON schema are honoured, which say nothing about a value, and which are refused by name. */
import { isRecord } from "../../check.js";
import { refused } from "../network.js";

export type Schema = Readonly<Record<string, unknown>>;

export type TypeName = "object" | "array" | "string" | "number" | "integer" | "boolean" | "null";

/** Keywords that say something about values of one type only. */
export const OF_TYPE: Readonly<Record<TypeName, readonly string[]>> = {
  object: ["properties", "required", "additionalProperties", "unevaluatedProperties"],
  array: ["items", "prefixItems", "minItems", "maxItems", "uniqueItems", "unevaluatedItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  boolean: [],
  null: [],
};

export const TYPES = Object.keys(OF_TYPE) as TypeName[];

const OTHERS = ["type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"];

/** They say nothing about a value. */
const ANNOTATIONS = [
  "$schema",
  "$id",
  "$comment",
  "$defs",
  "definitions",
  "$anchor",
  "title",
  "description",
  "default",
  "examples",
  "example",
  "deprecated",
  "readOnly",
  "writeOnly",
  "discriminator",
  "contentEncoding",
  "contentMediaType",
  "contentSchema",
];

/** "schema.properties.name", 'schema.properties["first name"]' */
export const at = (path: string, key: string): string =>
  /^[\w$-]+$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;

const ADVICE: Readonly<Record<string, string>> = {
  nullable: 'add "null" to the types',
  uniqueItems: "leave it out, and look at the items afterwards",
  unevaluatedProperties: "use additionalProperties",
};

export const unsupported = (path: string, keyword: string): Error =>
  refused(
    `${at(path, keyword)}: this keyword cannot be honoured; ${ADVICE[keyword] ?? "leave it out, or say the same otherwise"}`,
  );

/** The schema without what says nothing; throws where a keyword is not honoured. */
export function assertions(schema: Schema, path: string): Schema {
  const kept = Object.entries(schema).filter(([keyword, value]) => {
    if (value === undefined || ANNOTATIONS.includes(keyword) || keyword.startsWith("x-")) return false;
    // these are what holds without them
    if (value === false && ["nullable", "uniqueItems"].includes(keyword)) return false;
    if (keyword === "unevaluatedProperties" || keyword === "unevaluatedItems") {
      if (value === false || value === true) return false;
      throw unsupported(path, keyword);
    }
    if (keyword === "uniqueItems" || !KNOWN.has(keyword)) throw unsupported(path, keyword);
    return true;
  });
  return Object.fromEntries(kept);
}

const KNOWN = new Set([...OTHERS, ...Object.values(OF_TYPE).flat()]);

export function isSchemaObject(value: unknown): value is Schema {
  return isRecord(value);
}

export function numeric(schema: Schema, keyword: string, path: string): number | undefined {
  const value = schema[keyword];
  if (value === undefined || (typeof value === "number" && Number.isFinite(value))) return value;
  throw refused(`${at(path, keyword)}: expected a number, got ${kindOf(value)}`);
}

/** An integer of 0 or more; `without` where there is none. */
export function count(schema: Schema, keyword: string, path: string, without: number): number {
  const value = numeric(schema, keyword, path) ?? without;
  if (value === without || (Number.isInteger(value) && value >= 0)) return value;
  throw refused(`${at(path, keyword)}: expected an integer of 0 or more, got ${value}`);
}

export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
  return typeof value === "object" ? "an object" : `${typeof value} ${JSON.stringify(value).slice(0, 40)}`;
}

/** Several patterns, or formats, that all hold: of the parts of `allOf`. */
export class AllOf {
  constructor(readonly values: readonly unknown[]) {}
}

/** One value or several that all hold. */
export const each = (value: unknown): readonly unknown[] => (value instanceof AllOf ? value.values : [value]);

/** Bounds, of which the closer one holds. */
const BOUNDS: Readonly<Record<string, (a: number, b: number) => number>> = {
  minLength: Math.max,
  minItems: Math.max,
  minimum: Math.max,
  exclusiveMinimum: Math.max,
  maxLength: Math.min,
  maxItems: Math.min,
  maximum: Math.min,
  exclusiveMaximum: Math.min,
};

/** Both at once, as one schema; throws where that takes more than putting them side by side. */
export function both(a: Schema, b: Schema, path: string): Schema {
  const joined: Record<string, unknown> = { ...a };
  for (const [keyword, value] of Object.entries(b)) {
    joined[keyword] = keyword in a ? bothValues(keyword, a[keyword], value, path) : value;
  }
  const apart = (one: Schema, other: Schema) => "additionalProperties" in one && "properties" in other;
  if (apart(a, b) || apart(b, a)) throw unsupported(path, "additionalProperties");
  return joined;
}

function bothValues(keyword: string, a: unknown, b: unknown, path: string): unknown {
  if (JSON.stringify(a) === JSON.stringify(b)) return a;
  if (Object.hasOwn(BOUNDS, keyword) && typeof a === "number" && typeof b === "number") return BOUNDS[keyword](a, b);
  if (keyword === "pattern" || keyword === "format") return new AllOf([...each(a), ...each(b)]);
  if (keyword === "required" && Array.isArray(a) && Array.isArray(b)) return [...new Set([...a, ...b])];
  if (keyword === "properties" && isSchemaObject(a) && isSchemaObject(b)) {
    const twice = Object.keys(b).find((name) => name in a && JSON.stringify(a[name]) !== JSON.stringify(b[name]));
    if (twice === undefined) return { ...a, ...b };
  }
  throw refused(`${at(path, keyword)}: expected it in one place, got two that both hold; join them`);
}
