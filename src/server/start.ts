/** A server of its own: the plugin, listening. */
import type { AddressInfo } from "node:net";
import Fastify, { type FastifyInstance, LogController } from "fastify";
import * as check from "../check.js";
import { isLoopback } from "./hosts.js";
import { loggerOptions } from "./logs.js";
import { LoadFailed } from "./models.js";
import { SERVER_CHECKS, type ServerOptions } from "./options.js";
import { ternion } from "./plugin.js";
import { Service } from "./service.js";

/** A server that listens, see `startServer`. */
export interface RunningServer extends AsyncDisposable {
  /** "http://127.0.0.1:8080" */
  readonly url: string;
  readonly app: FastifyInstance;
  readonly service: Service;
  /**
   * Takes no new requests, lets those under way end for `ms` milliseconds, and closes. Until then it says 503 to whoever asks
   * whether it is ready.
   */
  drain(ms: number): Promise<void>;
  /** Ends the answers under way, the connections and the models; safe to call twice. */
  close(): Promise<void>;
}

/** Most milliseconds for the last bytes to reach their clients. */
const LAST_WORDS_MS = 1000;

/** Listens, and resolves when the first model is loaded as well. */
export async function startServer(options: ServerOptions = {}): Promise<RunningServer> {
  const {
    host = "127.0.0.1",
    port = 8080,
    logLevel,
    logFormat,
    logWrite,
    receiveTimeoutMs = 60_000,
    ...rest
  } = check.options(options, SERVER_CHECKS);
  const isLocal = isLoopback(host) && (rest.apiKeys ?? []).length === 0;
  const allowedHosts = rest.allowedHosts ?? (isLocal ? [] : undefined);
  const service = new Service({ ...rest, allowedHosts, page: rest.page ?? true });
  const app = Fastify({
    bodyLimit: service.settings.maxBodyBytes,
    forceCloseConnections: true,
    requestTimeout: receiveTimeoutMs,
    http: { headersTimeout: receiveTimeoutMs, connectionsCheckingInterval: Math.ceil(receiveTimeoutMs / 4) },
    logger: loggerOptions(logLevel ?? "silent", logFormat ?? "json", logWrite),
    logController: new LogController({ disableRequestLogging: true }), // `operate` has a line of its own
  });
  const close = () => app.close();
  try {
    await app.register(ternion, { service });
    await listen(app, { host, port });
    await service.withEngine(undefined, new AbortController().signal, () => {});
  } catch (error) {
    await close();
    const { cause } = Object(error) as Partial<Error>;
    throw cause instanceof LoadFailed ? cause.cause : error; // who starts it may know why
  }
  const drain = async (ms: number) => {
    service.drain.begin();
    await service.drain.ended(ms);
    await service.close();
    await service.drain.ended(LAST_WORDS_MS); // those that were cut are told so
    await close();
  };
  return { url: urlOf(app), app, service, drain, close, [Symbol.asyncDispose]: close };
}

/** Without the framework's line in the log: whoever starts the server has its address, and says so. */
async function listen(app: FastifyInstance, place: { host: string; port: number }): Promise<void> {
  const { level } = app.log;
  app.log.level = "silent";
  await app.listen(place);
  app.log.level = level;
}

function urlOf({ server }: FastifyInstance): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
