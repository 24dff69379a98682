/**
 * A route handler as Next.js, Hono, Bun and Deno have it, a standard Request in and a standard Response out: the text
 * streams as it is made, and a client that goes away ends its answer.
 *
 *   npm install ternion           in Next.js save it as app/api/chat/route.js, and in next.config.js set
 *                                 serverExternalPackages: ["ternion"]
 *   node next-route.mjs [MODEL]   calls the handler once, without Next.js
 */
import { pathToFileURL } from "node:url";
import { Engine } from "ternion";

export const runtime = "nodejs"; // not "edge": the engine has threads

/** One engine for all requests; globalThis keeps it when Next.js loads the module again during development. */
function engine() {
  globalThis.ternionEngine ??= Engine.load(process.env.TERNION_MODEL);
  return globalThis.ternionEngine;
}

export async function POST(request) {
  const { messages } = await request.json();
  const session = (await engine()).session();
  try {
    const pieces = session.chat(messages, { maxTokens: 200, temperature: 0, signal: request.signal });
    const headers = { "content-type": "text/plain; charset=utf-8" };
    return new Response(ReadableStream.from(bytesOf(pieces, session)), { headers });
  } catch (error) {
    return Response.json({ error: error.message }, { status: 400 }); // the messages are not as they must be
  }
}

async function* bytesOf(pieces, session) {
  const encoder = new TextEncoder();
  try {
    for await (const { text } of pieces) yield encoder.encode(text);
  } finally {
    await session.close();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  if (process.argv[2] !== undefined) process.env.TERNION_MODEL = process.argv[2];
  const ask = (body) => POST(new Request("http://localhost/api/chat", { method: "POST", body: JSON.stringify(body) }));
  const response = await ask({ messages: [{ role: "user", content: "What is the capital of France?" }] });
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) process.stdout.write(part);
  const { status } = await ask({ messages: "none" });
  console.log(`\n${response.status}, and ${status} for a wrong body`);
  await (await engine()).close();
}
