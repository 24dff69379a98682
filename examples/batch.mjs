/**
 * Many prompts at once: the answers of all sessions share the passes through the model, so that a batch takes much less
 * time than its prompts one by one, and each answer is the same as alone.
 *
 *   npm install ternion
 *   node batch.mjs [MODEL]
 */
import { collect, Engine } from "ternion";

const PROMPTS = [
  "What is the capital of France?",
  "Explain quantum computing in simple terms:",
  "Write a Python function to calculate fibonacci:",
  "What is the capital of Italy?",
  "What is the capital of Japan?",
  "What is the capital of Spain?",
];

// more prompts than maxSessions are fine: the others wait for their turn
const engine = await Engine.load(process.argv[2], { maxSessions: PROMPTS.length });

async function answer(prompt) {
  const session = engine.session();
  try {
    return await collect(session.chat([{ role: "user", content: prompt }], { temperature: 0, maxTokens: 40 }));
  } finally {
    await session.close();
  }
}

const start = performance.now();
const answers = await Promise.all(PROMPTS.map(answer));
const seconds = (performance.now() - start) / 1000;

for (const [i, { text, finish }] of answers.entries()) {
  console.log(`${PROMPTS[i]}\n  → ${text.trim().split("\n")[0]} (${finish.usage.completionTokens} tokens)`);
}
const tokens = answers.reduce((sum, { ids }) => sum + ids.length, 0);
console.log(`${tokens} tokens in ${seconds.toFixed(1)} s: ${(tokens / seconds).toFixed(0)} tokens/s in all`);
await engine.close();
