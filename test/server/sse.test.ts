/** Streams over real connections: silence, errors in the middle, readers that are slow, stop, or go away. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { after, test } from "node:test";
import Fastify from "fastify";
import { ApiError, openaiErrorBody } from "../../src/server/errors.js";
import { type EventOptions, event, scopeOf, sendEvents } from "../../src/server/sse.js";

const app = Fastify({ forceCloseConnections: true });
after(() => app.close());

/** What the routes send. */
interface Source {
  events(signal: AbortSignal): AsyncGenerator<string, void>;
  options?: Partial<EventOptions>;
}
const sources: Record<string, Source> = {};

app.get<{ Params: { name: string } }>("/:name", (request, reply) => {
  const { events, options } = sources[request.params.name];
  const onError = (error: ApiError) => event(openaiErrorBody(error));
  return sendEvents(reply, events(scopeOf(reply).signal), {
    keepAliveMs: 10_000,
    stallTimeoutMs: 60_000,
    onError,
    ...options,
  });
});
await app.listen({ port: 0, host: "127.0.0.1" });
const { port } = app.server.address() as AddressInfo;

const get = async (name: string) => fetch(`http://127.0.0.1:${port}/${name}`);

test("events as they are written on the wire", async () => {
  sources.plain = {
    async *events() {
      yield event({ a: "x\ny" });
      yield event({ b: 1 }, "named");
      yield event("[DONE]");
    },
  };
  const response = await get("plain");
  assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  assert.equal(response.headers.get("cache-control"), "no-cache");
  assert.equal(await response.text(), 'data: {"a":"x\\ny"}\n\nevent: named\ndata: {"b":1}\n\ndata: [DONE]\n\n');
});

test("an error before the first event has a status, one after it is the last event", async () => {
  sources.early = {
    // biome-ignore lint/correctness/useYield: it fails before
    async *events() {
      throw new ApiError(418, "no coffee");
    },
  };
  assert.equal((await get("early")).status, 418);
  sources.late = {
    async *events() {
      yield event("first");
      throw new ApiError(503, "gone", { code: "service_unavailable" });
    },
  };
  const response = await get("late");
  assert.equal(response.status, 200);
  const [first, last, rest] = (await response.text()).split("\n\n");
  assert.deepEqual([first, rest], ["data: first", ""]);
  assert.deepEqual(JSON.parse(last.replace("data: ", "")), {
    error: { message: "gone", type: "server_error", param: null, code: "service_unavailable" },
  });
});

test("silence is filled with comments, before the first event as well", async () => {
  let go = () => {};
  const wait = new Promise<void>((resolve) => {
    go = resolve;
  });
  sources.silent = {
    async *events() {
      await wait;
      yield event("late");
      throw new ApiError(500, "and wrong");
    },
    options: { keepAliveMs: 5 },
  };
  const response = await get("silent");
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const text = async () => Buffer.from((await reader.read()).value ?? []).toString();
  assert.match(await text(), /^(: keep-alive\n\n)+$/);
  go();
  let all = "";
  for (let more = await text(); more !== ""; more = await text()) all += more;
  assert.match(all, /^(: keep-alive\n\n)*data: late\n\ndata: \{"error".*and wrong.*\}\n\n$/);
});

/** Events without end, and how many were taken. */
function endless() {
  const state = { taken: 0, ended: false };
  const events = async function* () {
    try {
      for (;;) {
        state.taken++;
        yield event("x".repeat(1 << 16));
      }
    } finally {
      state.ended = true;
    }
  };
  return { state, events };
}

const until = async (holds: () => boolean) => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
};

test("a reader that reads nothing stops its own stream, and is disconnected in the end", async () => {
  const { state, events } = endless();
  sources.stalled = { events, options: { stallTimeoutMs: 300 } };
  const socket = connect(port, "127.0.0.1");
  socket.pause();
  socket.write("GET /stalled HTTP/1.1\r\nhost: x\r\n\r\n");
  let before = -1;
  await until(() => {
    const stands = state.taken === before && state.taken > 0;
    before = state.taken;
    return stands;
  });
  assert.ok(state.taken < 400, `${state.taken} events of 64 KiB`); // buffers of the system, and one or two here
  await until(() => state.ended);
  socket.on("error", () => {}).resume();
  await once(socket, "close");
});

test("a reader that goes away ends its stream, also while it waits for an event", async () => {
  let aborted = false;
  const { state, events } = endless();
  sources.gone = { events };
  sources.waiting = {
    async *events(signal) {
      yield event("first");
      await once(signal, "abort");
      aborted = true;
    },
  };
  for (const name of ["gone", "waiting"]) {
    const controller = new AbortController();
    const response = await fetch(`http://127.0.0.1:${port}/${name}`, { signal: controller.signal });
    await response.body?.getReader().read();
    controller.abort();
  }
  await until(() => state.ended && aborted);
});
