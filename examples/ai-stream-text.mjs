/**
 * `streamText` of the AI SDK on a model in this process, without a server and without a key.
 *
 *   npm install ternion ai
 *   node ai-stream-text.mjs [MODEL]     a path or a URL; without one the small model in the box
 */
import { streamText } from "ai";
import { createTernion } from "ternion/ai";

const ternion = createTernion({ model: process.argv[2] });

const { textStream, usage, providerMetadata } = streamText({
  model: ternion(),
  system: "You answer in one sentence.",
  prompt: "What is the capital of France?",
  temperature: 0,
  maxOutputTokens: 100,
  // what the AI SDK has no name for
  providerOptions: { ternion: { repetitionPenalty: 1.05 } },
});
for await (const text of textStream) process.stdout.write(text);

const { inputTokens, outputTokens } = await usage;
const { tokensPerSecond } = (await providerMetadata).ternion.timings;
console.log(`\n${inputTokens} tokens in, ${outputTokens} out, ${tokensPerSecond.toFixed(0)} tokens/s`);
await ternion.close();
