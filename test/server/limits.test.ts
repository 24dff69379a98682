/** What a server refuses, what it ends, and that all places are free afterwards. One answer at a time. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, test } from "node:test";
import { APIConnectionTimeoutError, APIUserAbortError, InternalServerError, RateLimitError } from "openai";
import type { Asked, Outcome, RunningServer } from "../../src/server/index.js";
import { boxServer, ENGINE, GREEDY, HELLO, MODEL, openai, post } from "./servers.js";

const ONE = { engine: { ...ENGINE, maxSessions: 1 } };
/** until the context is full */
const LONG = { model: MODEL, messages: HELLO, ignore_eos: true };
const ask = { model: MODEL, messages: HELLO, ...GREEDY };

/** What happened, in order. */
const events: string[] = [];
const observer = {
  queued: () => events.push("queued"),
  started: () => events.push("started"),
  ended: (_asked: Asked, { reason }: Outcome) => events.push(reason),
  rejected: (_asked: Asked, reason: string) => events.push(reason),
};
const server = await boxServer({ ...ONE, maxQueue: 1, observers: [observer], keepAliveMs: 20 });
const client = openai(server);
after(() => server.close());

const until = async (holds: () => boolean) => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
};
const queueOf = ({ service }: RunningServer) => service.models.all[0].queue;
const free = (of = server) => until(() => queueOf(of).running === 0 && queueOf(of).waiting === 0);

/** Has the one place until it is aborted. */
async function occupy(of = server): Promise<AbortController> {
  const controller = new AbortController();
  const { signal } = controller;
  const stream = await openai(of).chat.completions.create({ ...LONG, stream: true }, { signal });
  await stream[Symbol.asyncIterator]().next();
  return controller;
}

test("a client that goes away ends its answer: in the queue, in its prompt, in the middle", async () => {
  const prompt = "word ".repeat(900);
  for (const messages of [HELLO, [{ role: "user" as const, content: prompt }]]) {
    const running = await occupy();
    const controller = new AbortController();
    const waiting = client.chat.completions.create({ ...LONG, messages }, { signal: controller.signal });
    const aborted = assert.rejects(waiting, APIUserAbortError);
    await until(() => queueOf(server).waiting === 1);
    if (messages === HELLO) controller.abort();
    running.abort();
    await until(() => queueOf(server).waiting === 0);
    controller.abort();
    await aborted;
    await free();
  }
  assert.deepEqual(events.splice(0).sort(), [
    ...["aborted", "aborted", "aborted", "aborted"],
    ...["queued", "queued", "queued", "queued"],
    ...["started", "started", "started"],
  ]);
  const { choices } = await client.chat.completions.create(ask);
  assert.ok(choices[0].message.content);
});

test("where the queue is full: 429 with retry-after, and the client's own retries get through", async () => {
  const running = await occupy();
  const waiting = client.chat.completions.create(ask);
  await until(() => queueOf(server).waiting === 1);
  const response = await post(server, "/v1/chat/completions", ask);
  assert.deepEqual([response.status, response.headers.get("retry-after")], [429, "1"]);
  const { error } = (await response.json()) as { error: { code: string } };
  assert.equal(error.code, "rate_limit_exceeded");
  await assert.rejects(client.chat.completions.create(ask), RateLimitError);
  events.length = 0;
  const patient = openai(server, { maxRetries: 3 }).chat.completions.create(ask);
  await until(() => events.includes("queue_full"));
  running.abort();
  const [first, second] = await Promise.all([waiting, patient]);
  assert.equal(first.choices[0].message.content, second.choices[0].message.content);
  await free();
});

test("more choices than places are no overflow: they follow the first", async () => {
  const { choices } = await client.chat.completions.create({ ...ask, n: 12 });
  assert.equal(choices.length, 12);
  assert.equal(new Set(choices.map(({ message }) => message.content)).size, 1);
  await free();
});

test("the engine lost in the middle: an error in the stream, then answers as before", async () => {
  const stream = await client.chat.completions.create({ ...LONG, stream: true });
  let chunks = 0;
  await assert.rejects(async () => {
    for await (const _ of stream) if (++chunks === 5) await server.service.models.engine(MODEL).close();
  }, /not available/);
  assert.ok(chunks >= 5);
  await free();
  assert.ok((await client.chat.completions.create(ask)).choices[0].message.content);
});

test("a time limit of the queue", async () => {
  await using hasty = await boxServer({ ...ONE, queueTimeoutMs: 100, keepAliveMs: 20 });
  const running = await occupy(hasty);
  const late = await post(hasty, "/v1/chat/completions", ask);
  assert.deepEqual([late.status, late.headers.get("retry-after")], [503, "5"]);
  // its status line has gone by then: the error comes in the stream
  const stream = await openai(hasty).chat.completions.create({ ...ask, stream: true });
  await assert.rejects(async () => {
    for await (const _ of stream);
  }, /waited too long/);
  running.abort();
  await free(hasty);
});

/** What comes back over a connection of one's own, once `send` has written to it. */
async function raw({ url }: RunningServer, send: (socket: Socket) => void): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let text = "";
  socket.on("data", (bytes) => {
    text += bytes;
  });
  send(socket);
  await once(socket, "close");
  return text;
}

test("a request whose bytes do not come ends with 408; one that comes slowly, but in time, is answered", async () => {
  await using hasty = await boxServer({ receiveTimeoutMs: 400 });
  const head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
  const cut = await Promise.all([
    raw(hasty, (socket) => socket.write(head)),
    raw(hasty, (socket) => socket.write(`${head}content-length: 100\r\n\r\n{"model"`)),
  ]);
  for (const text of cut) assert.match(text, /^HTTP\/1\.1 408 /);
  const slow = await raw(hasty, (socket) => {
    socket.write("GET /health HTTP/1.1\r\nhost: localhost\r\n");
    setTimeout(() => socket.write("connection: close\r\n\r\n"), 50);
  });
  assert.match(slow, /^HTTP\/1\.1 200 /);
});

test("one connection takes many requests, one after the other and all at once", async () => {
  const request = "GET /health HTTP/1.1\r\nhost: localhost\r\n";
  const text = await raw(server, (socket) => {
    socket.write(`${request}\r\n`.repeat(20));
    socket.once("data", () => socket.write(`${request}\r\n${request}connection: close\r\n\r\n`));
  });
  assert.equal(text.split("HTTP/1.1 200 OK").length - 1, 22);
  assert.equal(text.split(/\r\nconnection: keep-alive/i).length - 1, 21);
});

test("floods of headers are refused, and the next request is answered", async () => {
  const flood = (lines: readonly string[]) =>
    raw(server, (socket) => {
      socket.on("error", () => {}); // it may be closed in the middle
      socket.write(`GET /health HTTP/1.1\r\nhost: localhost\r\n${lines.join("\r\n")}\r\n\r\n`);
    });
  const many = Array.from({ length: 3000 }, (_, i) => `x-${i}: 1`);
  const replies = await Promise.all([flood(many), flood([`x: ${"y".repeat(20_000)}`])]);
  for (const text of replies) assert.match(text, /^HTTP\/1\.1 431 /);
  assert.equal((await fetch(`${server.url}/health`)).status, 200);
});

test("a time limit of requests", async () => {
  await using hasty = await boxServer({ requestTimeoutMs: 300 });
  const long = openai(hasty, { maxRetries: 2 }).chat.completions.create(LONG);
  await assert.rejects(long, (error: InternalServerError) => {
    assert.deepEqual([error.status, error.headers.get("x-should-retry")], [504, "false"]);
    return error instanceof InternalServerError;
  });
  await free(hasty);
});

test("a client's own time limit", async () => {
  const hasty = openai(server, { timeout: 200 });
  await assert.rejects(hasty.chat.completions.create(LONG), APIConnectionTimeoutError);
  await free();
});

test("bodies that are too large, broken, or of another kind", async () => {
  const large = await post(server, "/v1/chat/completions", { ...ask, user: "x".repeat(5 << 20) });
  assert.equal(large.status, 413);
  assert.equal(((await large.json()) as { error: { type: string } }).error.type, "invalid_request_error");
  for (const body of ["{", "", "null", "[1]", '"text"', '{"messages":[],"messages":0}', '{"__proto__":{"a":1}}']) {
    const response = await post(server, "/v1/chat/completions", body);
    const { error } = (await response.json()) as { error: { message: string } };
    assert.equal(response.status, 400, `${body}: ${error.message}`);
  }
  const deep = `{"messages":${JSON.stringify(HELLO)},"store":${"[".repeat(1e6)}${"]".repeat(1e6)}}`;
  assert.equal((await post(server, "/v1/chat/completions", deep)).status, 400);
  const plain = await post(server, "/v1/chat/completions", "{}", { "content-type": "text/plain" });
  assert.equal(plain.status, 415);
});

test("a prompt longer than the context", async () => {
  const messages = [{ role: "user" as const, content: "word ".repeat(3000) }];
  const long = client.chat.completions.create({ ...ask, messages, stream: true });
  await assert.rejects(long, { status: 400, code: "context_length_exceeded" });
  await free();
});

test("no answer is longer than the server allows", async () => {
  await using short = await boxServer({ maxTokens: 3 });
  const { choices, usage } = await openai(short).chat.completions.create({ ...ask, max_tokens: 100 });
  assert.deepEqual([usage?.completion_tokens, choices[0].finish_reason], [3, "length"]);
});

test("close ends what runs and what waits", async () => {
  const closing = await boxServer(ONE);
  const running = openai(closing).chat.completions.create(LONG);
  const waiting = openai(closing).chat.completions.create(LONG);
  const ended = Promise.allSettled([running, waiting]);
  await until(() => queueOf(closing).waiting === 1);
  await closing.close();
  assert.deepEqual(
    (await ended).map(({ status }) => status),
    ["rejected", "rejected"],
  );
});
