/**
 * What a server must bear: many at once, clients that read slowly or go away, requests that are too large, broken or none.
 * Each function does it `count` times and throws where something is wrong; quick counts in abuse.test.ts, full ones in
 * soak.ts.
 */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { chatText, post, postBytes, type Reply, raw, until } from "./http.js";

/** A server, and how many requests of its models run and wait. */
export interface Target {
  readonly url: string;
  load(): Promise<{ readonly running: number; readonly waiting: number }>;
}

const CHAT = "/v1/chat/completions";
const user = (content: string) => [{ role: "user", content }];

/** Prompts of different lengths and beginnings. */
const promptOf = (i: number) => `${i}: ${"tell me about the number ".repeat(1 + (i % 7))}${i % 16}`;

/** An answer that is the same each time. */
const askOf = (i: number, tokens: number) => {
  const sampling = i % 2 === 0 ? { temperature: 0 } : { temperature: 1, seed: i };
  return { messages: user(promptOf(i)), max_tokens: tokens, stream: true, ...sampling };
};

/** So many different requests, one after the other: what each answers when it is alone. */
export async function answersAlone({ url }: Target, count: number, tokens: number): Promise<string[]> {
  const answers: string[] = [];
  for (let i = 0; i < count; i++) answers.push(wholeText(await post(url, CHAT, askOf(i, tokens))));
  return answers;
}

function wholeText({ status, text }: Reply): string {
  assert.equal(status, 200, text);
  const answer = chatText(text);
  assert.match(answer.end, /^(stop|length)$/);
  return answer.text;
}

/** `count` streams at once, request i being that of `alone[i % alone.length]`; gives how many were refused with 429. */
export async function manyAtOnce(
  { url }: Target,
  count: number,
  alone: readonly string[],
  tokens: number,
): Promise<number> {
  const replies = await Promise.all(
    Array.from({ length: count }, (_, i) => post(url, CHAT, askOf(i % alone.length, tokens))),
  );
  let refused = 0;
  for (const [i, reply] of replies.entries()) {
    if (reply.status === 429) {
      assert.ok(Number(reply.headers["retry-after"]) > 0, "a refusal says when to try again");
      refused++;
    } else assert.equal(wholeText(reply), alone[i % alone.length], `answer ${i}`);
  }
  return refused;
}

/** Milliseconds of the fastest of three short answers: how fast the server is for one client. */
export async function speed({ url }: Target): Promise<number> {
  const body = { messages: user("How are you?"), max_tokens: 16, temperature: 0, ignore_eos: true };
  const times: number[] = [];
  for (let i = 0; i < 3; i++) times.push((await post(url, CHAT, body)).ms);
  return Math.min(...times);
}

/** All places are free again, and an answer comes. */
export async function isWhole(target: Target): Promise<void> {
  await until("all places are free", async () => {
    const { running, waiting } = await target.load();
    return running === 0 && waiting === 0;
  });
  wholeText(await post(target.url, CHAT, askOf(0, 4)));
}

const ENDLESS = { stream: true, ignore_eos: true, max_tokens: 1500, temperature: 0 };

/** Clients that go away while their answers are generated. */
export async function goneInGeneration({ url }: Target, count: number): Promise<void> {
  await inTurns(count, 16, (i) =>
    gone(post(url, CHAT, { messages: user(promptOf(i)), ...ENDLESS }, { first: (request) => request.destroy() })),
  );
}

/** Clients that go away while their prompts are computed: the head of the reply is not there yet. */
export async function goneInPrompt(target: Target, count: number): Promise<void> {
  const long = "a long story about many things, ".repeat(120);
  await inTurns(count, 8, async (i) => {
    const sent = post(
      target.url,
      CHAT,
      { messages: user(`${i} ${long}`), ...ENDLESS },
      {
        opened: (request) => void setTimeout(() => request.destroy(), 5 + (i % 40)),
      },
    );
    await gone(sent);
  });
}

/** Clients that go away while they wait: all places are taken by others, whose answers go on. */
export async function goneInQueue(
  target: Target,
  count: number,
  { places, queue }: { places: number; queue: number },
): Promise<void> {
  const others = Array.from({ length: places }, (_, i) =>
    raw(target.url, postBytes(CHAT, JSON.stringify({ messages: user(promptOf(i)), ...ENDLESS }))),
  );
  await until("all places are taken", async () => (await target.load()).running === places);
  for (let done = 0; done < count; ) {
    const batch = Math.min(queue, count - done);
    const requests = Array.from({ length: batch }, (_, i) => postBytes(CHAT, JSON.stringify(askOf(i, 4))));
    const waiting = requests.map((bytes) => raw(target.url, bytes));
    const isFull = async () => (await target.load()).waiting === batch;
    await until("they wait", isFull);
    for (const { socket } of waiting) socket.destroy();
    await until("nobody waits", async () => (await target.load()).waiting === 0);
    done += batch;
  }
  assert.equal((await target.load()).running, places, "the answers under way were left alone");
  for (const { socket } of others) socket.destroy();
}

/** Clients that send half of a request, or nothing, and stay. Gives them back so that the caller ends them. */
export function halfOpen({ url }: Target, count: number): { end(): void } {
  const whole = postBytes(CHAT, JSON.stringify(askOf(0, 4)));
  const cuts = [0, 10, 40, whole.length - 20];
  const sockets = Array.from(
    { length: count },
    (_, i) => raw(url, whole.slice(0, cuts[i % cuts.length]) || "\r\n").socket,
  );
  return {
    end: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Clients that ask for much and read nothing; with the answers of the others going on. */
export function slowReaders({ url }: Target, count: number): { end(): void } {
  const { hostname, port } = new URL(url);
  const body = { messages: user("Hello"), ...ENDLESS, logprobs: true, top_logprobs: 20 };
  const sockets = Array.from({ length: count }, () => {
    const socket = connect(Number(port), hostname);
    socket.on("error", () => {});
    socket.write(postBytes(CHAT, JSON.stringify(body)));
    return socket.pause();
  });
  return {
    end: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** A body of `bytes`, with its length told before and without; it is refused without being read. */
export async function largeBodies({ url }: Target, bytes: number): Promise<void> {
  for (const head of [`Content-Length: ${bytes}`, "Transfer-Encoding: chunked"]) {
    const isChunked = head.startsWith("T");
    const { socket, reply } = raw(
      url,
      `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${head}\r\n\r\n`,
    );
    await pour(socket, bytes, isChunked);
    assert.match(await reply, /^HTTP\/1\.1 413 /, head);
  }
}

/** Writes until all is out or the other side has enough. */
async function pour(socket: ReturnType<typeof connect>, bytes: number, isChunked: boolean): Promise<void> {
  const part = Buffer.alloc(1 << 16, " ");
  const piece = isChunked ? Buffer.concat([Buffer.from("10000\r\n"), part, Buffer.from("\r\n")]) : part;
  for (let sent = 0; sent < bytes && socket.writable; sent += part.length) {
    if (socket.write(piece)) continue;
    await new Promise<void>((resolve) => {
      const done = () => {
        socket.off("drain", done).off("close", done);
        resolve();
      };
      socket.once("drain", done).once("close", done);
    });
  }
  socket.end();
}

/** About 32 KiB, twice what is allowed, and read at once. */
const HEADERS = Array.from({ length: 2000 }, (_, i) => `X-Flood-${i}: ${i}`);

const deep = (depth: number) => `${'{"type":"array","items":'.repeat(depth)}{}${"}".repeat(depth)}`;

/** What is no proper request → the status that it must get; "" where the connection is closed without a word. */
const BROKEN: readonly (readonly [name: string, bytes: string, status: RegExp])[] = [
  ["half a JSON", postBytes(CHAT, '{"messages": ['), /^HTTP\/1\.1 400 /],
  ["a JSON of brackets", postBytes(CHAT, "[".repeat(200_000)), /^HTTP\/1\.1 400 /],
  ["deep JSON", postBytes(CHAT, `{"messages":${"[".repeat(50_000)}${"]".repeat(50_000)}}`), /^HTTP\/1\.1 400 /],
  ["a deep schema", deepSchema(5000), /^HTTP\/1\.1 400 /],
  ["tools with a deep schema", deepTool(5000), /^HTTP\/1\.1 400 /],
  ["a prototype", postBytes(CHAT, '{"__proto__": {"x": 1}, "messages": []}'), /^HTTP\/1\.1 400 /],
  ["no body", postBytes(CHAT, ""), /^HTTP\/1\.1 400 /],
  ["a control character in a text", postBytes(CHAT, '{"messages":"\u0000"}'), /^HTTP\/1\.1 400 /],
  ["another type", postBytes(CHAT, "{}").replace("application/json", "text/xml"), /^HTTP\/1\.1 415 /],
  ["many headers", postBytes(CHAT, "{}", HEADERS), /^HTTP\/1\.1 431 /],
  ["a long header", postBytes(CHAT, "{}", [`X-Long: ${"x".repeat(1 << 15)}`]), /^HTTP\/1\.1 431 /],
  // closed with bytes unread, so that the reset may overtake the answer
  ["a very long header", postBytes(CHAT, "{}", [`X-Long: ${"x".repeat(1 << 20)}`]), /^$|^HTTP\/1\.1 431 /],
  ["a long path", `GET /${"x".repeat(1 << 15)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, /^HTTP\/1\.1 (431|414|404) /],
  ["no HTTP", "\u0016\u0003\u0001 hello\r\n\r\n", /^HTTP\/1\.1 400 /],
  ["two lengths", postBytes(CHAT, "{}", ["Content-Length: 5"]), /^HTTP\/1\.1 400 /],
  ["a length and chunks", postBytes(CHAT, "{}", ["Transfer-Encoding: chunked"]), /^HTTP\/1\.1 400 /],
  [
    "garbage after a request",
    `${postBytes("/v1/models", "").replace("POST", "GET")}garbage\r\n\r\n`,
    /HTTP\/1\.1 400 /,
  ],
];

function deepTool(depth: number): string {
  const tools = `[{"type":"function","function":{"name":"x","parameters":${deep(depth)}}}]`;
  return postBytes(CHAT, `{"max_tokens":1,"messages":[{"role":"user","content":"x"}],"tools":${tools}}`);
}

function deepSchema(depth: number): string {
  const format = `{"type":"json_schema","json_schema":{"name":"x","schema":${deep(depth)}}}`;
  return postBytes(CHAT, `{"max_tokens":1,"messages":[{"role":"user","content":"x"}],"response_format":${format}}`);
}

/** Each broken request so many times. */
export async function brokenRequests({ url }: Target, count: number): Promise<void> {
  for (const [name, bytes, status] of BROKEN) {
    await inTurns(count, 16, async () => {
      const { socket, reply } = raw(url, bytes);
      socket.end();
      assert.match((await reply).slice(0, 4000), status, name);
    });
  }
}

/** Many whole requests on one connection without waiting for a reply: each gets one, in order. */
export async function pipelined({ url }: Target, count: number): Promise<void> {
  const body = JSON.stringify({ ...askOf(0, 2), stream: false });
  const { reply } = raw(url, postBytes(CHAT, body).repeat(count - 1) + postBytes(CHAT, body, ["Connection: close"]));
  assert.equal((await reply).match(/HTTP\/1\.1 200 /g)?.length, count);
}

/** The request is expected to come to nothing, since its client left. */
async function gone(sent: Promise<Reply>): Promise<void> {
  await sent.then(
    ({ status, text }) => assert.fail(`expected no reply, got ${status}: ${text.slice(0, 200)}`),
    () => {},
  );
}

/** `act` for 0 to count - 1, at most `most` at a time. */
export async function inTurns(count: number, most: number, act: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async () => {
    for (let i = next++; i < count; i = next++) await act(i);
  };
  await Promise.all(Array.from({ length: Math.min(most, count) }, work));
}
