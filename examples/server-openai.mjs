/**
 * The OpenAI API in this process, and OpenAI's own client on it: what speaks to api.openai.com speaks to this server when
 * its base URL is changed. `npx ternion serve` starts the same server from a terminal.
 *
 *   npm install ternion openai
 *   node server-openai.mjs [MODEL]
 */
import OpenAI from "openai";
import { startServer } from "ternion/server";

const server = await startServer({ models: [{ name: "local", model: process.argv[2] }], port: 0 });
const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none" });

for await (const model of client.models.list()) console.log(`model: ${model.id}`);

const stream = await client.chat.completions.create({
  model: "local",
  messages: [{ role: "user", content: "What is the capital of France?" }],
  temperature: 0,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const { choices, usage } of stream) {
  process.stdout.write(choices[0]?.delta.content ?? "");
  if (usage) console.log(`\n${usage.prompt_tokens} tokens in, ${usage.completion_tokens} out`);
}
await server.close();
