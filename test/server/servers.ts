/** What the server's tests share: a server of the model in the box, and OpenAI's client pointed at it. */
import OpenAI, { type ClientOptions } from "openai";
import { type RunningServer, type ServerOptions, startServer } from "../../src/server/index.js";

export const MODEL = "ternion-tiny";

export const ENGINE = { backend: "cpu", threads: 2 } as const;

/** At a free port of this machine. */
export function boxServer(options: ServerOptions = {}): Promise<RunningServer> {
  return startServer({ port: 0, engine: ENGINE, ...options });
}

export function openai({ url }: RunningServer, options: ClientOptions = {}): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0, ...options });
}

export const post = ({ url }: RunningServer, path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

export const HELLO = [{ role: "user" as const, content: "Hello, who are you?" }];

/** The same text each time. */
export const GREEDY = { temperature: 0, max_tokens: 12 } as const;
