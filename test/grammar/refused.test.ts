/** What cannot be honoured is refused by its name and place; what is hostile ends in time, and harms no other answer. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { collect, Engine, type GenerateOptions, TernionError } from "../../src/index.js";

let engine: Engine;
before(async () => {
  engine = await Engine.load(undefined, { backend: "cpu", contextLength: 256, maxSessions: 2 });
});
after(() => engine.close());

async function answer(options: GenerateOptions) {
  await using session = engine.session();
  return await collect(session.generate("Once upon a time", { seed: 1, maxTokens: 30, ...options }));
}

const string = { type: "string" };
const inA = (a: object) => ({ type: "object", properties: { a } });

describe("a schema that is not honoured is refused by keyword and path", () => {
  const refusals: readonly [schema: object, message: RegExp][] = [
    [inA({ not: string }), /^schema\.properties\.a\.not: this keyword cannot be honoured/],
    [{ if: string }, /^schema\.if:/],
    [inA({ type: "array", uniqueItems: true }), /^schema\.properties\.a\.uniqueItems:/],
    [{ type: "array", contains: string }, /^schema\.contains:/],
    [{ type: "object", patternProperties: { a: string } }, /^schema\.patternProperties:/],
    [{ type: "object", minProperties: 2 }, /^schema\.minProperties:/],
    [{ type: "object", propertyNames: string }, /^schema\.propertyNames:/],
    [{ type: "object", dependentRequired: {} }, /^schema\.dependentRequired:/],
    [{ type: "string", nullable: true }, /^schema\.nullable: .*add "null" to the types/],
    [{ tpye: "string" }, /^schema\.tpye:/],
    [{ type: "text" }, /^schema\.type: expected one of object, array, .*got "text"/],
    [{ type: "string", format: "phone" }, /^schema\.format: expected one of date-time, .*got "phone"/],
    [{ type: "string", pattern: "(?<=a)b" }, /^schema\.pattern: expected a group that does not look behind/],
    [{ type: "string", pattern: "(?:(?=a)b)*" }, /^schema\.pattern: .*ahead only outside of other groups/],
    [{ type: "string", pattern: "(a)\\1" }, /^schema\.pattern: expected an escape of a character or a class/],
    [{ type: "string", pattern: "a\\b" }, /^schema\.pattern: .*no word boundary/],
    [{ type: "string", pattern: "a^b" }, /^schema\.pattern: .*\^ only at the beginning/],
    [{ type: "string", pattern: "(a" }, /^schema\.pattern: expected "\)"/],
    [{ type: "string", pattern: 5 }, /^schema\.pattern: expected a string/],
    [{ type: "string", minLength: -1 }, /^schema\.minLength: expected an integer of 0 or more, got -1/],
    [{ type: "number", minimum: "1" }, /^schema\.minimum: expected a number/],
    [{ type: "number", multipleOf: 0.3 }, /^schema\.multipleOf:/],
    [{ $ref: "https://example.com/a" }, /^schema\.\$ref: expected "#"/],
    [{ $ref: "#/$defs/a" }, /^schema\.\$ref: expected a schema at "#\/\$defs\/a", got none/],
    [{ anyOf: [] }, /^schema\.anyOf: expected schemas, at least one/],
    [{ oneOf: [string, { type: "string", maxLength: 3 }] }, /^schema\.oneOf: expected alternatives of different types/],
    [{ allOf: [{ type: "string" }, { type: "number" }] }, /^schema\.type: expected it in one place/],
    [{ type: "object", properties: [] }, /^schema\.properties: expected an object of schemas/],
    [{ type: "object", properties: { a: 5 } }, /^schema\.properties\.a: expected a schema/],
    [{ type: "object", required: "a" }, /^schema\.required: expected an array of names/],
    [{ enum: [] }, /^schema: no text satisfies it/],
    [{ type: "string", minLength: 3, maxLength: 2 }, /^schema: no text satisfies it/],
    [{ $ref: "#" }, /^schema: no text satisfies it/],
    [{ $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } }, $ref: "#/$defs/a" }, /no text satisfies it/],
    [
      { $defs: { a: { anyOf: [{ $ref: "#/$defs/a" }, string] } }, $ref: "#/$defs/a" },
      /begin with something else than itself/,
    ],
    [{ type: "object", properties: { a: { $ref: "#" } }, required: ["a"] }, /no text satisfies it/],
  ];
  for (const [schema, message] of refusals) {
    test(JSON.stringify(schema), async () => {
      await assert.rejects(answer({ schema }), { code: "GRAMMAR", message });
    });
  }
});

describe("a grammar or regular expression that is wrong is refused with its place", () => {
  const refusals: readonly [options: GenerateOptions, message: RegExp][] = [
    [{ grammar: 'start ::= "a"' }, /^grammar: expected a rule "root ::= \.\.\.", got none/],
    [{ grammar: "root ::= other" }, /^grammar: expected a rule "other ::= \.\.\.", which is used, got none/],
    [{ grammar: 'root ::= "a' }, /^grammar: expected more, got its end at character 12/],
    [{ grammar: 'root ::= "a" )' }, /^grammar: expected a rule "name ::= \.\.\.", got "\)" at character 14/],
    [{ grammar: 'root ::= "a"\nroot ::= "b"' }, /^grammar: expected one rule "root", got another/],
    [
      { grammar: 'root ::= root "a" | "a"' },
      /^grammar: rule root: expected it to begin with something else than itself/,
    ],
    [{ grammar: 'root ::= x root | "a"\nx ::= "b"?' }, /rule root: expected it to begin/],
    [{ grammar: "root ::= [z-a]" }, /^grammar: expected a range that ascends/],
    [{ grammar: 'root ::= "a"{3,2}' }, /^grammar: expected no more times at least than at most/],
    [{ regex: "a**" }, /^regex: expected a character/],
    [{ regex: "(?<!a)b" }, /^regex: expected a group that does not look/],
    [{ regex: "\\p{Nothing}" }, /^regex: expected a Unicode property/],
    [{ regex: "[b-a]" }, /^regex: expected a range that ascends/],
  ];
  for (const [options, message] of refusals) {
    test(JSON.stringify(options), async () => {
      await assert.rejects(answer(options), { code: "GRAMMAR", message });
    });
  }
});

test("what is no shape at all throws at the call", async () => {
  await using session = engine.session();
  const generate = (options: object) => () => session.generate("x", options as GenerateOptions);
  assert.throws(generate({ schema: "{}" }), {
    name: "TypeError",
    message: /^schema: expected a JSON schema, an object/,
  });
  assert.throws(generate({ schema: null }), { name: "TypeError", message: /^schema:/ });
  assert.throws(generate({ regex: 5 }), { name: "TypeError", message: /^regex:/ });
  assert.throws(generate({ grammar: "" }), { name: "RangeError", message: /^grammar:/ });
  assert.throws(generate({ regex: "a", schema: {} }), { name: "TypeError", message: /one of schema, grammar, regex/ });
  assert.throws(generate({ regex: "a", ignoreEnd: true }), { name: "TypeError", message: /^ignoreEnd:/ });
});

describe("hostile ones end in time", () => {
  const nested = (depth: number) => {
    let schema: object = string;
    for (let i = 0; i < depth; i++) schema = { type: "array", items: schema };
    return schema;
  };
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, string]));
  const doubling = Array.from({ length: 60 }, (_, i) => `r${i} ::= r${i + 1} r${i + 1}`).join("\n");
  const bombs: readonly [string, GenerateOptions][] = [
    ["1,000 schemas within each other", { schema: nested(1000) }],
    ["10,000 schemas within each other", { schema: nested(10_000) }],
    ["a schema of 1 MB", { schema: { enum: Array.from({ length: 90_000 }, (_, i) => `v${i}`) } }],
    ["a schema that grows by its references", { schema: { allOf: [{ $ref: "#" }, { type: "object" }] } }],
    ["5,000 optional properties", { schema: { type: "object", properties: many(5000), additionalProperties: true } }],
    ["a string of 1e9 characters", { schema: { type: "string", maxLength: 1e9 } }],
    [
      "at least 1e9 lists of 1e9",
      { schema: { type: "array", minItems: 1e9, items: { type: "array", minItems: 1e9 } } },
    ],
    ["(a+)+b", { regex: "(a+)+b" }],
    ["counts within counts", { regex: "(((a{0,1000}){0,1000}){0,1000}){0,1000}b" }],
    ["counts that overlap", { regex: "([\\s\\S]{0,500}[a-z]{0,500}){0,500}x" }],
    ["counts beside each other", { regex: "(?:[ab]{0,99}c?){0,99}".repeat(20) }],
    ["a?{5000}a{5000}", { regex: "(a?){5000}a{5000}" }],
    ["20,000 classes", { regex: "[a-z]".repeat(20_000) }],
    ["5,000 brackets", { regex: `${"(".repeat(5000)}a${")".repeat(5000)}` }],
    ["2^60 empty words", { grammar: `root ::= r0\n${doubling}\nr60 ::= "a"?` }],
    ["an ambiguous grammar", { grammar: "root ::= [a-z] root [a-z] | [a-z] root root | [a-z]" }],
    ["repeats within repeats", { grammar: 'root ::= (("a"{0,100} "b"?){0,100} [a-z]{0,100}){0,100} "!"' }],
  ];
  for (const [name, options] of bombs) {
    test(name, async () => {
      const beside = answer({});
      let longest = 0;
      let last = performance.now();
      const timer = setInterval(() => {
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      }, 1);
      try {
        const { finish } = await answer(options);
        assert.ok(["stop", "length"].includes(finish.reason));
      } catch (error) {
        assert.ok(error instanceof TernionError && error.code === "GRAMMAR", String(error));
      } finally {
        clearInterval(timer);
      }
      assert.ok(longest < 5000, `the thread was busy for ${longest} ms`);
      assert.equal((await beside).ids.length, 30);
    });
  }
});
