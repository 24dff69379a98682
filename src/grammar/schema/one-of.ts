/** Whether no value can be described by two schemas at once, as far as can be seen: what `oneOf` asks for. */
import { isSchemaObject, type Schema } from "./keywords.js";

export function areApart(a: Schema, b: Schema): boolean {
  const [values, others] = [valuesOf(a), valuesOf(b)];
  if (values !== undefined && others !== undefined) return !values.some((value) => others.includes(value));
  const [types, otherTypes] = [typesOf(a), typesOf(b)];
  if (types === undefined || otherTypes === undefined) return false;
  if (!types.some((type) => otherTypes.includes(type))) return true;
  const onlyObjects = [...types, ...otherTypes].every((type) => type === "object");
  return onlyObjects && toldApart(a, b);
}

/** By a property that both require, with constants that differ. */
function toldApart(a: Schema, b: Schema): boolean {
  const required = (schema: Schema): unknown[] => (Array.isArray(schema.required) ? schema.required : []);
  return required(a).some((name) => {
    if (typeof name !== "string" || !required(b).includes(name)) return false;
    const [one, other] = [a, b].map(({ properties }) => isSchemaObject(properties) && properties[name]);
    return isSchemaObject(one) && isSchemaObject(other) && areApart(one, other);
  });
}

/** The JSON of its values, where it lists them. */
function valuesOf(schema: Schema): string[] | undefined {
  if ("const" in schema) return [JSON.stringify(schema.const)];
  return Array.isArray(schema.enum) ? schema.enum.map((value) => JSON.stringify(value)) : undefined;
}

function typesOf(schema: Schema): string[] | undefined {
  const values = valuesOf(schema);
  if (values !== undefined) return values.map((value) => typeOf(JSON.parse(value)));
  const types = Array.isArray(schema.type) ? schema.type : [schema.type];
  return types.every((type) => typeof type === "string")
    ? types.map((type) => (type === "integer" ? "number" : type))
    : undefined;
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}
