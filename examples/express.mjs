/**
 * A chat endpoint in an Express application: server-sent events, and an answer that ends when its client goes away. For
 * the whole OpenAI API beside your own routes, see `ternion/server`.
 *
 *   npm install ternion express
 *   node express.mjs [MODEL]            listens, and asks itself once
 *   PORT=3000 node express.mjs [MODEL]  goes on listening: curl -N 'localhost:3000/chat?question=Hello'
 */
import { once } from "node:events";
import express from "express";
import { Engine } from "ternion";

const engine = await Engine.load(process.argv[2]);
const app = express();

app.get("/chat", async (request, response) => {
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const session = engine.session();
  try {
    const messages = [{ role: "user", content: String(request.query.question ?? "") }];
    response.setHeader("content-type", "text/event-stream");
    for await (const { text, finish } of session.chat(messages, {
      temperature: 0,
      maxTokens: 200,
      signal: gone.signal,
    })) {
      const taken = response.write(`data: ${JSON.stringify(finish ? { finish } : { text })}\n\n`);
      if (!taken) await once(response, "drain", { signal: gone.signal }); // a slow reader slows its own answer only
    }
    response.end();
  } catch (error) {
    if (!gone.signal.aborted) response.end(`data: ${JSON.stringify({ error: error.message })}\n\n`);
  } finally {
    await session.close();
  }
});

const server = app.listen(Number(process.env.PORT ?? 0), "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${server.address().port}/chat`;
console.log(`listening on ${url}`);

if (process.env.PORT === undefined) {
  const answer = await fetch(`${url}?question=${encodeURIComponent("What is the capital of France?")}`);
  console.log((await answer.text()).trim());
  server.close();
  await engine.close();
}
