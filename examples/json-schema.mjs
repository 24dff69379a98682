/**
 * Structured output without any other package: the answer is JSON that a schema describes, whatever the model would
 * rather write. `grammar` (EBNF) and `regex` do the same for other texts.
 *
 *   npm install ternion
 *   node json-schema.mjs [MODEL]
 */
import { collect, Engine } from "ternion";

const engine = await Engine.load(process.argv[2]);
const session = engine.session();

const schema = {
  type: "object",
  properties: {
    country: { enum: ["France", "Italy", "Japan"] },
    capital: { type: "string", maxLength: 20 },
    population: { type: "integer", minimum: 0, maximum: 99_999_999 },
    languages: { type: "array", items: { type: "string", maxLength: 12 }, minItems: 1, maxItems: 3 },
  },
  required: ["country", "capital", "population", "languages"],
  additionalProperties: false,
};
// the schema is not shown to the model: say what is wanted
const messages = [{ role: "user", content: "Describe France as JSON: country, capital, population, languages." }];
const { text, finish } = await collect(session.chat(messages, { schema, temperature: 0, maxTokens: 200 }));
if (finish.reason !== "stop") throw new Error(`the answer is not whole: ${finish.reason}`);
console.log(JSON.parse(text));

const date = await collect(
  session.generate("The first landing on the moon was on ", { regex: "\\d{4}-\\d{2}-\\d{2}", temperature: 0 }),
);
console.log(date.text);
await engine.close();
