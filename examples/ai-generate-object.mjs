/**
 * `generateObject` and `streamObject` of the AI SDK: an object of a zod schema, at the first try, from any model, since
 * only tokens that the schema allows can be drawn.
 *
 *   npm install ternion ai zod
 *   node ai-generate-object.mjs [MODEL]
 */
import { generateObject, streamObject } from "ai";
import { createTernion } from "ternion/ai";
import { z } from "zod";

const ternion = createTernion({ model: process.argv[2] });

const { object } = await generateObject({
  model: ternion(),
  schema: z.object({ sentiment: z.enum(["positive", "negative"]), stars: z.int().min(1).max(5) }),
  prompt: "Judge this review: The hotel was clean and the breakfast was very good.",
  temperature: 0,
});
console.log(object);

const { partialObjectStream, usage } = streamObject({
  model: ternion(),
  schema: z.object({ title: z.string().max(30), steps: z.array(z.string().max(40)).length(2) }),
  prompt: "A recipe for tea.",
  temperature: 0,
});
let last;
for await (const partial of partialObjectStream) last = partial; // grows: render it as it comes
console.log(last);
console.log(`${(await usage).outputTokens} tokens`);
await ternion.close();
