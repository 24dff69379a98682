/**
 * Tools with the AI SDK: the model calls a function of this program, with arguments that its schema describes, and then
 * answers with what came of it.
 *
 *   npm install ternion ai zod
 *   node ai-tools.mjs [MODEL]
 */
import { generateText, stepCountIs, tool } from "ai";
import { createTernion } from "ternion/ai";
import { z } from "zod";

const ternion = createTernion({ model: process.argv[2] });

const weather = tool({
  description: "Today's weather in a city",
  inputSchema: z.object({ city: z.enum(["Paris", "Rome", "Tokyo"]) }),
  execute: async ({ city }) => ({ city, sky: "clear", degrees: 21 }),
});

const { text, steps } = await generateText({
  model: ternion(),
  prompt: "What is the weather in Paris?",
  tools: { weather },
  stopWhen: stepCountIs(3),
  // a small model has to be told when to call and when to talk; a larger one chooses well by itself ("auto")
  prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? "required" : "none" }),
  providerOptions: { ternion: { parallelToolCalls: false } },
  temperature: 0,
  maxOutputTokens: 100,
});

for (const { toolCalls, toolResults } of steps) {
  for (const { toolName, input } of toolCalls) console.log(`call: ${toolName}(${JSON.stringify(input)})`);
  for (const { output } of toolResults) console.log(`result: ${JSON.stringify(output)}`);
}
console.log(`answer: ${text.trim()}`);
await ternion.close();
