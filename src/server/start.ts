/** A server of its own: the plugin, listening. */
import type { AddressInfo } from "node:net";
import Fastify, { type FastifyInstance } from "fastify";
import * as check from "../check.js";
import { SERVER_CHECKS, type ServerOptions } from "./options.js";
import { ternion } from "./plugin.js";
import { Service } from "./service.js";

export interface RunningServer extends AsyncDisposable {
  /** "http://127.0.0.1:8080" */
  readonly url: string;
  readonly app: FastifyInstance;
  readonly service: Service;
  /** Ends the answers under way, the connections and the models; safe to call twice. */
  close(): Promise<void>;
}

/** Listens, and resolves when the first model is loaded as well. */
export async function startServer(options: ServerOptions = {}): Promise<RunningServer> {
  const { host = "127.0.0.1", port = 8080, ...rest } = check.options(options, SERVER_CHECKS);
  const service = new Service(rest);
  const app = Fastify({ bodyLimit: service.settings.maxBodyBytes, forceCloseConnections: true });
  const close = () => app.close();
  try {
    await app.register(ternion, { service });
    await app.listen({ host, port });
    await service.withEngine(undefined, new AbortController().signal, () => {});
  } catch (error) {
    await close();
    throw error;
  }
  return { url: urlOf(app), app, service, close, [Symbol.asyncDispose]: close };
}

function urlOf({ server }: FastifyInstance): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
