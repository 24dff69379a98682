/** Objects through the AI SDK: every answer is one that its schema describes, whole and streamed. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { generateObject, generateText, jsonSchema, NoObjectGeneratedError, Output, streamObject, streamText } from "ai";
import { z } from "zod";
import { createTernion, type TernionProvider } from "../../src/ai/index.js";

let ternion: TernionProvider;
before(() => {
  ternion = createTernion({ backend: "cpu", threads: 2 });
});
after(() => ternion.close());

const Person = z.object({
  name: z.string().max(20),
  age: z.int().min(0).max(120),
  kind: z.enum(["teacher", "pupil"]),
  likes: z.array(z.string().max(12)).min(1).max(3),
  address: z.object({ city: z.string().max(12), code: z.string().regex(/^\d{5}$/) }).nullable(),
});
const PROMPT = "Describe a person at a school.";
const asked = () => ({ model: ternion(), prompt: PROMPT, temperature: 0.7, seed: 5, maxRetries: 0 });

describe("generateObject", () => {
  test("follows a schema of zod, at any temperature", async () => {
    for (const seed of [1, 2, 3]) {
      const { object, finishReason, warnings } = await generateObject({
        ...asked(),
        schema: Person,
        seed,
        temperature: 1.5,
      });
      assert.deepEqual(Person.parse(object), object);
      assert.deepEqual([finishReason, warnings], ["stop", []]);
    }
  });

  test("makes arrays, one of several, and JSON without a schema", async () => {
    const element = z.object({ city: z.string().max(12) });
    const { object: cities } = await generateObject({ ...asked(), output: "array", schema: element });
    assert.deepEqual(z.array(element).parse(cities), cities);
    const names = ["red", "green", "blue"] as const;
    const { object: choice } = await generateObject({ ...asked(), output: "enum", enum: [...names] });
    assert.ok(names.includes(choice));
    const { object: any } = await generateObject({ ...asked(), output: "no-schema", maxOutputTokens: 400 }).catch(
      (error: unknown) =>
        NoObjectGeneratedError.isInstance(error) ? { object: { cut: error.text } } : assert.fail(`${error}`),
    );
    assert.equal(typeof any, "object");
  });

  test("warns of a name and a description, which the model is not shown", async () => {
    const { warnings } = await generateObject({
      ...asked(),
      schema: z.object({ yes: z.boolean() }),
      schemaName: "answer",
      schemaDescription: "whether it is so",
    });
    assert.deepEqual(
      warnings?.map((warning) => "feature" in warning && warning.feature),
      ["responseFormat.name", "responseFormat.description"],
    );
  });

  test("what is cut is no object, and says why", async () => {
    const cut = generateObject({ ...asked(), schema: Person, maxOutputTokens: 5 });
    await assert.rejects(cut, (error) => NoObjectGeneratedError.isInstance(error) && error.finishReason === "length");
  });

  test("a schema that cannot be honoured is named", async () => {
    const schema = jsonSchema({ type: "object", properties: { x: { not: { type: "string" } } } });
    const refused = generateObject({ ...asked(), schema });
    await assert.rejects(refused, { code: "GRAMMAR", message: /^schema\.properties\.x\.not: / });
  });
});

describe("streamObject", () => {
  test("grows to an object of the schema", async () => {
    const stream = streamObject({ ...asked(), schema: Person });
    const names: (string | undefined)[] = [];
    for await (const { name } of stream.partialObjectStream) names.push(name);
    const object = await stream.object;
    assert.deepEqual(Person.parse(object), object);
    assert.ok(names.length > 3 && names.at(-1) === object.name);
    for (const name of names)
      if (name !== undefined) assert.ok(object.name.startsWith(name), `${name} of ${object.name}`);
  });
});

describe("Output.object", () => {
  test("of generateText and of streamText", async () => {
    const output = Output.object({ schema: Person });
    const { output: whole } = await generateText({ ...asked(), output });
    assert.deepEqual(Person.parse(whole), whole);
    const stream = streamText({ ...asked(), output });
    let partial = 0;
    for await (const _ of stream.partialOutputStream) partial++;
    assert.deepEqual(Person.parse(await stream.output), await stream.output);
    assert.ok(partial > 3);
  });

  test("a regular expression through providerOptions", async () => {
    const { text } = await generateText({ ...asked(), providerOptions: { ternion: { regex: "[A-C]\\d{3}" } } });
    assert.match(text, /^[A-C]\d{3}$/);
  });
});
