/**
 * A server for what the real one cannot be made to do: answers word for word as a test says, errors, and streams that it steps
 * through. The page itself comes from the shipped routes.
 */
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { pageRoutes } from "../../../src/server/page/routes.js";

export interface ChatBody {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly [field: string]: unknown;
}

export class CannedServer {
  readonly #app: FastifyInstance;
  readonly url: string;
  /** of /v1/chat/completions, in order */
  readonly requests: ChatBody[] = [];
  /** "" takes any */
  key = "";
  /** answers the next requests */
  reply: (body: ChatBody, reply: FastifyReply) => unknown = (_, reply) => stream(reply, ["Hello."]);

  private constructor(url: string, app: FastifyInstance) {
    this.#app = app;
    this.url = url;
  }

  static async start(): Promise<CannedServer> {
    const app = fastify({ forceCloseConnections: true });
    pageRoutes(app);
    let canned: CannedServer | undefined;
    app.get(
      "/v1/models",
      (request, reply) => canned?.allows(request, reply) && { data: [{ id: "one" }, { id: "two" }] },
    );
    app.post("/v1/chat/completions", (request, reply) => canned?.chat(request, reply));
    const url = await app.listen({ host: "127.0.0.1", port: 0 });
    canned = new CannedServer(`${url}/`, app);
    return canned;
  }

  close(): Promise<void> {
    return this.#app.close();
  }

  private allows(request: FastifyRequest, reply: FastifyReply): boolean {
    if (this.key === "" || request.headers.authorization === `Bearer ${this.key}`) return true;
    void reply.code(401).send({ error: { message: "This key is not known.", type: "invalid_request_error" } });
    return false;
  }

  private async chat(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    if (!this.allows(request, reply)) return reply;
    const body = request.body as ChatBody;
    this.requests.push(body);
    return this.reply(body, reply);
  }
}

const event = (chunk: object): string => `data: ${JSON.stringify(chunk)}\n\n`;
export const delta = (content: string): string => event({ choices: [{ index: 0, delta: { content } }] });

/** An answer in these pieces, with figures and a whole end. */
export async function stream(
  reply: FastifyReply,
  pieces: Iterable<string> | AsyncIterable<string>,
): Promise<FastifyReply> {
  reply.hijack();
  reply.raw.writeHead(200, { "content-type": "text/event-stream" });
  reply.raw.write(event({ choices: [{ index: 0, delta: { role: "assistant", content: "" } }] }));
  let count = 0;
  for await (const piece of pieces) {
    count++;
    if (!reply.raw.write(delta(piece))) await new Promise((resolve) => reply.raw.once("drain", resolve));
  }
  reply.raw.write(event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }));
  const usage = { prompt_tokens: 34, completion_tokens: count, prompt_tokens_details: { cached_tokens: 20 } };
  reply.raw.write(event({ choices: [], usage, timings: { predicted_per_second: 251.37, prompt_per_second: 900 } }));
  reply.raw.end("data: [DONE]\n\n");
  return reply;
}

export const refuse = (reply: FastifyReply, status: number, message: string, headers: Record<string, string> = {}) =>
  reply
    .code(status)
    .headers(headers)
    .send({ error: { message, type: "server_error" } });
