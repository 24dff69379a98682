/** Readers that take nothing of their answers, beside quick ones: they stop themselves and nobody else. */
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { after, test } from "node:test";
import type { Ask } from "../../src/server/ask.js";
import { boxServer, MODEL, openai } from "./servers.js";

const PLACES = 4;
// none is disconnected: who waited for that would wait for ever
const server = await boxServer({
  stallTimeoutMs: 3_600_000,
  engine: { backend: "cpu", threads: 2, maxSessions: PLACES },
});
const client = openai(server);
const [{ queue }] = server.service.models.all;
const sockets: Socket[] = [];
after(async () => {
  for (const socket of sockets) socket.destroy();
  await server.close();
});

const QUICK = { model: MODEL, prompt: "The sun is", max_tokens: 6, temperature: 0 };
function ask(options: Ask["options"], signal = new AbortController().signal): Ask {
  const prompt = { text: "Once upon a time" };
  return {
    model: MODEL,
    prompt,
    options,
    client: "slow",
    operation: "text_completion",
    requestId: "1",
    signal,
  };
}

async function text(pieces: AsyncIterable<{ readonly text: string }>): Promise<string> {
  let all = "";
  for await (const piece of pieces) all += piece.text;
  return all;
}

test("as many unread answers as there are places, three times over, beside quick ones", async () => {
  const options = { maxTokens: 40, temperature: 0 };
  const want = await text(server.service.answer(ask(options)));
  const slow = Array.from({ length: 3 * PLACES }, () => server.service.answer(ask(options)));
  const firsts = await Promise.all(slow.map(async (answer) => (await answer.next()).value?.text ?? ""));
  const quick = await Promise.all(Array.from({ length: 8 }, () => client.completions.create(QUICK)));
  assert.equal(new Set(quick.map(({ choices }) => choices[0].text)).size, 1);
  assert.equal(queue.under, 3 * PLACES); // none of them was ended
  const whole = await Promise.all(slow.map(async (answer, i) => firsts[i] + (await text(answer))));
  assert.deepEqual([...new Set(whole)], [want]);
  assert.equal(queue.under, 0);
});

test("over sockets that are not read", async () => {
  const long = JSON.stringify({ ...QUICK, max_tokens: 400, ignore_eos: true, logprobs: 20, n: 40, stream: true });
  const { hostname, port } = new URL(server.url);
  for (let i = 0; i < PLACES; i++) {
    const socket = connect(Number(port), hostname);
    socket.pause();
    socket.write(`POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`);
    socket.write(`content-length: ${long.length}\r\n\r\n${long}`);
    sockets.push(socket);
  }
  while (queue.under < PLACES) await new Promise((resolve) => setTimeout(resolve, 5));
  await client.completions.create(QUICK);
  for (const socket of sockets) socket.destroy();
  while (queue.under > 0) await new Promise((resolve) => setTimeout(resolve, 5));
});
