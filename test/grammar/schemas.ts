/**
 * Random JSON schemas in the manner of the public suites (JSON-Schema-Test-Suite, JSONSchemaBench): nested objects with
 * optional properties, arrays, alternatives, definitions that refer to themselves, bounds, patterns and formats. The same
 * seed gives the same schema, and each of them describes some value of a few dozen characters.
 */
import { Random } from "../random.js";

export type JsonSchema = Record<string, unknown>;

const NAMES = [
  "name",
  "id",
  "first name",
  "größe",
  'a "quoted" one',
  "back\\slash",
  "x",
  "xy",
  "items",
  "created_at",
  "is-valid",
  "日本",
  "$ref",
  "emoji😀",
];

const PATTERNS = [
  "^[a-z]{1,8}$",
  "^[A-Z][a-z]+ [A-Z][a-z]{2,10}$",
  "^\\d{3}-\\d{4}$",
  "^(red|green|blue)$",
  "^#[0-9a-fA-F]{6}$",
  "[0-9]$",
  "^a",
  "b.d",
  "^\\S+@\\S+$",
  "^(a|b)*c?$",
  '^["\\\\/]{1,4}$',
  "^[^a-z]{2,5}$",
  "^\\p{Lu}\\p{Ll}{0,6}$",
  "^\\w+(?:-\\w+){0,2}$|^$",
];

const FORMATS = ["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"];

const CONSTANTS: readonly unknown[] = [
  "yes",
  "",
  'with "quotes"',
  "ü",
  0,
  -3,
  1.5,
  1e21,
  true,
  false,
  null,
  [1, "a"],
  { a: { b: [] } },
];

export function randomSchema(seed: number): JsonSchema {
  const random = new Random(seed);
  const definitions = random.chance(0.25) ? ["node", "other"].slice(0, 1 + random.below(2)) : [];
  const maker = new Maker(random, definitions);
  const schema = maker.object(3);
  if (definitions.length === 0) return random.chance(0.8) ? schema : maker.schema(3);
  return { ...schema, $defs: Object.fromEntries(definitions.map((name) => [name, maker.recursive(name)])) };
}

class Maker {
  constructor(
    readonly random: Random,
    readonly definitions: readonly string[],
  ) {}

  schema(depth: number): JsonSchema {
    const { random } = this;
    const simple = [() => this.string(), () => this.number(), () => this.values(), () => this.plain()];
    const nested = [() => this.object(depth - 1), () => this.array(depth - 1), () => this.alternatives(depth - 1)];
    const made = random.pick(depth > 0 ? [...simple, ...nested] : simple)();
    return random.chance(0.15) ? { ...made, description: "some words", title: "T" } : made;
  }

  plain(): JsonSchema {
    const types = ["string", "integer", "number", "boolean", "null"];
    if (this.definitions.length > 0 && this.random.chance(0.5))
      return { $ref: `#/$defs/${this.random.pick(this.definitions)}` };
    return { type: this.random.chance(0.3) ? [this.random.pick(types.slice(0, 4)), "null"] : this.random.pick(types) };
  }

  string(): JsonSchema {
    const { random } = this;
    const kind = random.below(4);
    const bounded = random.chance(0.4) ? { minLength: random.below(2), maxLength: 40 + random.below(30) } : {};
    if (kind === 0) return { type: "string", pattern: random.pick(PATTERNS), ...bounded };
    if (kind === 1) return { type: "string", format: random.pick(FORMATS), ...bounded };
    const minLength = random.below(5);
    return { type: "string", ...(kind === 2 && { minLength }), maxLength: minLength + random.below(30) };
  }

  number(): JsonSchema {
    const { random } = this;
    const type = random.pick(["integer", "number"]);
    const scale = random.pick([1, 10, 1000, 123456]);
    const low = (type === "integer" ? Math.round : (x: number) => x)((random.next() - 0.5) * scale);
    const high = low + 1 + random.below(scale);
    const bounds = [
      { minimum: low },
      { maximum: high },
      { minimum: low, maximum: high },
      { exclusiveMinimum: low, exclusiveMaximum: high + 1 },
      { exclusiveMinimum: low, maximum: high + 1 },
      { minimum: 0, maximum: 100, multipleOf: random.pick([5, 10, 25]) },
      { multipleOf: random.pick([2, 3, 7, 100]) },
    ];
    return { type, ...random.pick(bounds) };
  }

  values(): JsonSchema {
    const { random } = this;
    if (random.chance(0.4)) return { const: random.pick(CONSTANTS) };
    return { enum: Array.from({ length: 1 + random.below(4) }, () => random.pick(CONSTANTS)) };
  }

  array(depth: number): JsonSchema {
    const { random } = this;
    const minItems = random.below(3);
    const bounds = { ...(random.chance(0.5) && { minItems }), maxItems: minItems + random.below(4) };
    if (!random.chance(0.2)) return { type: "array", items: this.schema(depth), ...bounds };
    const prefixItems = Array.from({ length: 1 + random.below(3) }, () => this.schema(depth));
    return { type: "array", prefixItems, items: random.pick<unknown>([false, this.schema(0)]), maxItems: 4 };
  }

  object(depth: number): JsonSchema {
    const { random } = this;
    const names = NAMES.filter(() => random.chance(0.25));
    const properties = Object.fromEntries(names.map((name) => [name, this.schema(depth)]));
    const required = names.filter(() => random.chance(0.6));
    const more = random.pick<JsonSchema>([
      { additionalProperties: false },
      { additionalProperties: false },
      {},
      { additionalProperties: this.string() },
    ]);
    return { type: "object", properties, ...(random.chance(0.9) && { required }), ...more };
  }

  alternatives(depth: number): JsonSchema {
    const { random } = this;
    const several = () => Array.from({ length: 1 + random.below(3) }, () => this.schema(depth));
    const kind = random.below(3);
    if (kind === 0) return { anyOf: several() };
    if (kind === 1) return { allOf: [this.schema(depth)] };
    const tagged = (kind: string) => ({
      type: "object",
      properties: { kind: { const: kind }, value: this.schema(depth) },
      required: ["kind", "value"],
      additionalProperties: false,
    });
    return { oneOf: [tagged("a"), tagged("b"), { type: "null" }] };
  }

  recursive(name: string): JsonSchema {
    const next = { anyOf: [{ $ref: `#/$defs/${name}` }, { type: "null" }] };
    const properties = { value: this.string(), [this.random.pick(["next", "child"])]: next };
    return { type: "object", properties, required: Object.keys(properties), additionalProperties: false };
  }
}
