/** A client of a few lines, which shows what comes over the wire and can be as rude as its caller likes. */
import { type ClientRequest, type IncomingHttpHeaders, request } from "node:http";
import { connect, type Socket } from "node:net";

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** from the call to the first byte of the body, and to its end */
  readonly firstMs: number;
  readonly ms: number;
}

/** Hooks into a request under way. */
export interface Hooks {
  readonly opened?: (request: ClientRequest) => void;
  /** at the first bytes of the body */
  readonly first?: (request: ClientRequest) => void;
}

/** Posts JSON on a connection of its own. Rejects where the connection ends before the reply does. */
export function post(url: string, path: string, body: object, hooks: Hooks = {}): Promise<Reply> {
  return send(url, "POST", path, JSON.stringify(body), hooks);
}

export function get(url: string, path: string): Promise<Reply> {
  return send(url, "GET", path, undefined, {});
}

function send(url: string, method: string, path: string, body: string | undefined, hooks: Hooks): Promise<Reply> {
  const start = performance.now();
  const { promise, resolve, reject } = withResolvers<Reply>();
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  const sent = request(new URL(path, url), { method, agent: false, headers }, (response) => {
    let [text, firstMs] = ["", 0];
    response.setEncoding("utf8");
    response.on("data", (part: string) => {
      if (text === "") {
        firstMs = performance.now() - start;
        hooks.first?.(sent);
      }
      text += part;
    });
    const { statusCode: status = 0 } = response;
    response.on("end", () =>
      resolve({ status, headers: response.headers, text, firstMs, ms: performance.now() - start }),
    );
    response.on("error", reject);
  });
  sent.on("error", reject);
  hooks.opened?.(sent);
  sent.end(body);
  return promise;
}

/** The text of a stream of chat chunks, and how it ended. */
export function chatText(stream: string): { readonly text: string; readonly end: string } {
  const events = stream.split("\n\n").filter((event) => event.startsWith("data: "));
  let [text, end] = ["", "cut"];
  for (const event of events) {
    const data = event.slice("data: ".length);
    if (data === "[DONE]") return { text, end };
    const chunk = JSON.parse(data) as ChatChunk;
    if (chunk.error !== undefined) return { text, end: `error: ${chunk.error.message}` };
    text += chunk.choices?.[0]?.delta.content ?? "";
    end = chunk.choices?.[0]?.finish_reason ?? end;
  }
  return { text, end: "cut" };
}

interface ChatChunk {
  readonly error?: { readonly message: string };
  readonly choices?: readonly {
    readonly delta: { readonly content?: string | null };
    readonly finish_reason?: string;
  }[];
}

/** A connection that has sent `bytes`, and what comes back on it until it closes. */
export function raw(
  url: string,
  bytes: string | Uint8Array,
): { readonly socket: Socket; readonly reply: Promise<string> } {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const { promise, resolve } = withResolvers<string>();
  let text = "";
  socket.setEncoding("utf8").on("data", (part) => {
    text += part;
  });
  socket.on("error", () => {}); // "close" follows
  socket.on("close", () => resolve(text));
  socket.write(bytes);
  return { socket, reply: promise };
}

/** The head of a POST, and its body where it is whole. */
export function postBytes(path: string, body: string, headers: readonly string[] = []): string {
  const head = [`POST ${path} HTTP/1.1`, "Host: localhost", "Content-Type: application/json"];
  return `${[...head, `Content-Length: ${Buffer.byteLength(body)}`, ...headers].join("\r\n")}\r\n\r\n${body}`;
}

function withResolvers<T>() {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** Waits until `holds`, looking every few milliseconds; throws after `seconds`. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, seconds = 30): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`waited ${seconds} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
