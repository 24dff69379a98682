/**
 * The server as a plugin of fastify: its routes, checks and error form hold within it and nowhere else, under any prefix. It
 * closes its models when the app closes.
 */
import cors from "@fastify/cors";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { messageRoutes } from "./anthropic/messages.js";
import { useKeys } from "./auth.js";
import { limitDepth } from "./depth.js";
import { ApiError, apiErrorOf, openaiErrorBody, setErrorHeaders } from "./errors.js";
import { healthRoutes } from "./health.js";
import { useHosts } from "./hosts.js";
import { logFailure } from "./logs.js";
import { chatRoutes } from "./openai/chat.js";
import { completionRoutes } from "./openai/completions.js";
import { embeddingRoutes } from "./openai/embeddings.js";
import { modelRoutes } from "./openai/models.js";
import { responseRoutes } from "./openai/responses/routes.js";
import { operate } from "./operation.js";
import type { ServiceOptions } from "./options.js";
import { pageRoutes } from "./page/routes.js";
import { useSchemas } from "./schema.js";
import { Service } from "./service.js";
import { limitStall } from "./sse.js";
import { tokenRoutes } from "./tokens.js";

export interface PluginOptions extends ServiceOptions {
  /** a service of the caller's own, in the place of the other options; the plugin closes it all the same */
  readonly service?: Service | undefined;
}

/** The plugin of fastify: `app.register(ternion, { models: [...] })`. */
export async function ternion(app: FastifyInstance, options: PluginOptions): Promise<void> {
  const service = options.service ?? new Service(options);
  const { allowedHosts, apiKeys, corsOrigins, maxBodyBytes, page, stallTimeoutMs } = service.settings;
  app.addHook("onRoute", (route) => {
    route.bodyLimit ??= maxBodyBytes;
  });
  app.addHook("onSend", async (_request, reply) => limitStall(reply, stallTimeoutMs)); // of whole answers too
  app.setErrorHandler(sendError);
  app.setNotFoundHandler(notFound);
  if (corsOrigins.length > 0) await app.register(cors, corsOptions(corsOrigins));
  operate(app, service);
  useHosts(app, allowedHosts);
  useKeys(app, apiKeys);
  limitDepth(app);
  useSchemas(app);
  app.removeContentTypeParser("text/plain"); // what a page of another origin could send without asking
  healthRoutes(app, service);
  tokenRoutes(app, service);
  modelRoutes(app, service);
  chatRoutes(app, service);
  completionRoutes(app, service);
  embeddingRoutes(app, service);
  responseRoutes(app, service);
  messageRoutes(app, service);
  if (page) pageRoutes(app);
  app.addHook("onClose", () => service.close());
}

/** Credentials go to no other origin. */
function corsOptions(origins: readonly string[]) {
  return { origin: origins.includes("*") ? "*" : [...origins], credentials: false, maxAge: 600 };
}

function sendError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const shown = apiErrorOf(error);
  logFailure(request, shown);
  setErrorHeaders(reply, shown);
  reply.code(shown.statusCode).send(openaiErrorBody(shown));
}

function notFound({ method, url }: FastifyRequest): never {
  const path = url.replace(/\?.*$/s, "").slice(0, 200);
  throw new ApiError(404, `Invalid URL (${method} ${path})`, { code: "unknown_url" });
}
