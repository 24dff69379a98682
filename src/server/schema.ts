/**
 * Bodies are checked by JSON schemas as they came: nothing is converted, filled in or taken away, and unknown fields stay.
 * Messages say what was expected and what came, and name the field.
 */
import { Ajv, type ErrorObject } from "ajv";
import type { FastifyInstance } from "fastify";
import { type ApiError, wrongField } from "./errors.js";

export type Schema = Readonly<Record<string, unknown>>;

const ajv = new Ajv({ allowUnionTypes: true, verbose: true, addUsedSchema: false });

/** Checks of this scope and those within it. */
export function useSchemas(app: FastifyInstance): void {
  app.setValidatorCompiler(({ schema }) => ajv.compile(schema as Schema));
  app.setSchemaErrorFormatter((errors) => ofSchema(errors as ErrorObject[]));
}

/** The same with null: clients send it for what they leave open. */
export function optional(schema: Schema): Schema {
  const { type } = schema;
  return { ...schema, type: [...(Array.isArray(type) ? type : [type]), "null"] };
}

export const object = (properties: Readonly<Record<string, Schema>>, required: readonly string[] = []): Schema => {
  return { type: "object", properties, required };
};

export const TEXT: Schema = { type: "string" };
export const FLAG: Schema = { type: "boolean" };
export const array = (items: Schema, limits: { minItems?: number; maxItems?: number } = {}): Schema => {
  return { type: "array", items, ...limits };
};
export const number = (minimum: number, maximum: number): Schema => ({ type: "number", minimum, maximum });
export const integer = (minimum: number, maximum = Number.MAX_SAFE_INTEGER): Schema => {
  return { type: "integer", minimum, maximum };
};

/** Of several branches that failed the one that came farthest is the one that was meant. */
function ofSchema(errors: readonly ErrorObject[]): ApiError {
  const depth = ({ instancePath }: ErrorObject) => instancePath.split("/").length;
  const deepest = Math.max(...errors.map(depth));
  const [error] = errors.filter((each) => depth(each) === deepest);
  const types = errors.filter((each) => depth(each) === deepest && each.keyword === "type");
  const { param, expected } = types.length > 1 ? { ...explained(error), expected: typesOf(types) } : explained(error);
  const code = error.keyword === "required" ? "missing_required_parameter" : "invalid_value";
  return wrongField(param, `expected ${expected}, got ${shown(given(error))}`, code);
}

const typesOf = (errors: readonly ErrorObject[]) =>
  listed([...new Set(errors.flatMap(({ params }) => params.type as string | string[]))]);

function explained(error: ErrorObject): { param: string; expected: string } {
  const { keyword, params } = error;
  const param = fieldOf(error.instancePath);
  switch (keyword) {
    case "type":
      return { param, expected: listed([params.type].flat()) };
    case "required":
      return {
        param: param === "body" ? params.missingProperty : `${param}.${params.missingProperty}`,
        expected: "a value",
      };
    case "enum":
      return { param, expected: listed(params.allowedValues.map((value: unknown) => JSON.stringify(value))) };
    case "minimum":
    case "maximum":
      return { param, expected: `a number ${params.comparison} ${params.limit}` };
    case "minItems":
    case "maxItems":
      return { param, expected: `${keyword === "minItems" ? "at least" : "at most"} ${params.limit} items` };
    default:
      return { param, expected: `a value that ${error.message}` };
  }
}

const listed = (names: readonly string[]) => names.join(" or ");

/** "/messages/0/content" → "messages[0].content" */
function fieldOf(path: string): string {
  const parts = path.split("/").slice(1);
  if (parts.length === 0) return "body";
  return parts
    .map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${unescaped(part)}`))
    .join("")
    .replace(/^\./, "");
}

const unescaped = (part: string) => part.replaceAll("~1", "/").replaceAll("~0", "~");

const given = ({ keyword, data }: ErrorObject): unknown => (keyword === "required" ? undefined : data);

const MOST_SHOWN = 60;

/** "nothing", "null", "an array of 3", "number 5" */
function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object") return "an object";
  return `${typeof value} ${typeof value === "string" ? JSON.stringify(value.slice(0, MOST_SHOWN)) : String(value)}`;
}
