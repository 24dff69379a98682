/** The form of an answer: `response_format` of OpenAI, `grammar` of llama.cpp, and `regex`. At most one of them. */
import type { GenerateOptions } from "../../index.js";
import { wrongField } from "../errors.js";
import { object, optional, type Schema, TEXT } from "../schema.js";

interface ResponseFormat {
  readonly type: "text" | "json_object" | "json_schema";
  readonly json_schema?: { readonly schema?: object | null } | null;
}

export interface FormatFields {
  readonly response_format?: ResponseFormat | null;
  /** EBNF */
  readonly grammar?: string | null;
  readonly regex?: string | null;
}

const JSON_SCHEMA = object({ name: TEXT, schema: optional({ type: "object" }) }, ["name"]);

export const FORMAT_SCHEMAS: Readonly<Record<string, Schema>> = {
  response_format: optional(
    object({ type: { enum: ["text", "json_object", "json_schema"] }, json_schema: optional(JSON_SCHEMA) }, ["type"]),
  ),
  grammar: optional(TEXT),
  regex: optional(TEXT),
};

export function formatOptions({ response_format: format, grammar, regex }: FormatFields): GenerateOptions {
  const given = {
    schema: format ? schemaOf(format) : undefined,
    grammar: grammar || undefined,
    regex: regex || undefined,
  };
  const [, second] = Object.entries(given).filter(([, value]) => value !== undefined);
  if (second !== undefined) throw wrongField(second[0], "expected one of response_format, grammar and regex, got two");
  return given;
}

function schemaOf({ type, json_schema: named }: ResponseFormat): object | undefined {
  if (type === "text") return undefined;
  if (type === "json_object") return { type: "object" };
  if (named) return named.schema ?? {};
  throw wrongField(
    "response_format.json_schema",
    "expected a name and a schema, got nothing",
    "missing_required_parameter",
  );
}
