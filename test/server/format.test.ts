/** `response_format`, `grammar` and `regex`, as OpenAI's own client sees them, against a live server. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { BadRequestError } from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { boxServer, HELLO, MODEL, openai } from "./servers.js";

const server = await boxServer();
const client = openai(server);
after(() => server.close());

const ask = { model: MODEL, messages: HELLO, max_tokens: 200, seed: 5, temperature: 1 };

const Fruit = z.object({
  name: z.enum(["apple", "pear", "plum"]),
  count: z.number().int().min(1).max(99),
  tags: z.array(z.enum(["red", "ripe"])).max(2),
});

test("zodResponseFormat: parsed by the client, whole and streamed", async () => {
  const response_format = zodResponseFormat(Fruit, "fruit");
  const whole = await client.chat.completions.parse({ ...ask, response_format });
  const [{ message, finish_reason }] = whole.choices;
  assert.deepEqual(Fruit.parse(message.parsed), message.parsed);
  assert.equal(finish_reason, "stop");
  const runner = client.chat.completions.stream({ ...ask, response_format });
  const streamed = await runner.finalChatCompletion();
  assert.deepEqual(streamed.choices[0].message.parsed, message.parsed);
});

test("strings of zod with a format, a pattern and a length", async () => {
  const Person = z.object({
    mail: z.string().email().max(40),
    id: z.string().uuid(),
    home: z.string().url().max(50),
    born: z.string().datetime(),
    nick: z
      .string()
      .regex(/^[A-Z][a-z]+$/)
      .min(3)
      .max(8),
    code: z
      .string()
      .regex(/\d/)
      .regex(/^[a-f\d]+$/)
      .length(6),
  });
  const response_format = zodResponseFormat(Person, "person");
  for (const seed of [1, 2]) {
    const whole = await client.chat.completions.parse({ ...ask, seed, max_tokens: 400, response_format });
    const [{ message, finish_reason }] = whole.choices;
    assert.equal(finish_reason, "stop", message.content ?? "");
    assert.deepEqual(Person.parse(JSON.parse(message.content ?? "")), message.parsed);
  }
});

test("several choices, each of the form and drawn for itself, and again for the same seed", async () => {
  const request = { ...ask, n: 6, response_format: zodResponseFormat(Fruit, "fruit") };
  const texts = async () =>
    (await client.chat.completions.create(request)).choices.map(({ message }) => message.content ?? "");
  const all = await texts();
  for (const text of all) Fruit.parse(JSON.parse(text));
  assert.ok(new Set(all).size > 1, all[0]);
  assert.deepEqual(await texts(), all);
});

test("json_object, regex and grammar", async () => {
  const text = async (fields: object) => {
    const { choices } = await client.chat.completions.create({ ...ask, max_tokens: 60, ...fields } as typeof ask);
    return { text: choices[0].message.content ?? "", reason: choices[0].finish_reason };
  };
  const json = await text({ response_format: { type: "json_object" } });
  assert.ok(json.text.startsWith("{"));
  if (json.reason === "stop") assert.equal(typeof JSON.parse(json.text), "object");
  assert.match((await text({ regex: "[0-9]{3}-[a-f]{2}" })).text, /^[0-9]{3}-[a-f]{2}$/);
  assert.match((await text({ grammar: 'root ::= "yes" | "no"' })).text, /^(yes|no)$/);
  const plain = await text({ response_format: { type: "text" } });
  assert.doesNotMatch(plain.text, /^\{/);
});

test("in text completions too", async () => {
  const { choices } = await client.completions.create({
    model: MODEL,
    prompt: "A number: ",
    regex: "[0-9]{4}",
  } as never);
  assert.match(choices[0].text, /^[0-9]{4}$/);
});

test("log probabilities beside a form: a finite one for each token", async () => {
  const response_format = zodResponseFormat(Fruit, "fruit");
  const { choices } = await client.chat.completions.create({
    ...ask,
    response_format,
    logprobs: true,
    top_logprobs: 2,
  });
  const content = choices[0].logprobs?.content ?? [];
  assert.equal(content.map(({ token }) => token).join(""), choices[0].message.content);
  assert.ok(content.every(({ logprob }) => Number.isFinite(logprob) && logprob <= 0));
});

/** Of no text. */
const NONE = { type: "string", minLength: 2, maxLength: 1 };

test("what is no form, or two of them, is refused by name", async () => {
  const schema = (own: object) => ({
    response_format: { type: "json_schema", json_schema: { name: "x", schema: own } },
  });
  const cases: [object, string | RegExp][] = [
    [{ response_format: { type: "xml" } }, "response_format.type"],
    [{ response_format: { type: "json_schema" } }, "response_format.json_schema"],
    [schema({ type: "object", properties: { a: { not: {} } } }), "response_format.json_schema.schema.properties.a.not"],
    [schema({ type: "nothing" }), "response_format.json_schema.schema.type"],
    [
      schema({ type: "object", properties: { a: { type: "string", pattern: "(" } } }),
      "response_format.json_schema.schema.properties.a.pattern",
    ],
    [schema({ $ref: "#/$defs/a", $defs: { a: { minProperties: 1 } } }), /schema\.\$defs\.a\.minProperties$/],
    [schema(NONE), "response_format.json_schema.schema"],
    [{ regex: "(" }, "regex"],
    [{ grammar: "root ::= other" }, "grammar"],
    [{ regex: "a", grammar: 'root ::= "a"' }, "regex"],
    [{ regex: "a", ignore_eos: true }, "ignore_eos"],
  ];
  for (const [fields, param] of cases) {
    await assert.rejects(
      client.chat.completions.create({ ...ask, ...fields } as typeof ask),
      (error: BadRequestError) => {
        assert.equal(error.status, 400, `${JSON.stringify(fields)}: ${error.message}`);
        assert.match(
          error.param ?? "",
          typeof param === "string" ? new RegExp(`^${param.replaceAll(".", "\\.")}$`) : param,
        );
        return true;
      },
    );
  }
});
