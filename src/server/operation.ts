/** Puts in place what watches requests from the outside: metrics, traces, the log, and the end of the server. */
import { finished } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { packageVersion } from "../platform/package.js";
import { refuseWhileDraining } from "./drain.js";
import { RequestLog } from "./logs.js";
import { Metrics, type ModelLoad } from "./metrics.js";
import type { Service } from "./service.js";
import { Tracing } from "./tracing.js";

/** Of a request whose client went away before its head was sent; nginx's. */
const CLIENT_GONE = 499;

export function operate(app: FastifyInstance, service: Service): void {
  const metrics = new Metrics(() => loadsOf(service));
  const tracing = new Tracing(packageVersion());
  const log = new RequestLog();
  for (const observer of [metrics, tracing, log]) service.observers.add(observer);
  app.addHook("onRequest", async (request, reply) => {
    const start = performance.now();
    tracing.requestBegan(request.id, request.headers);
    service.drain.requestBegan();
    // not "onResponse", which does not come where the client went away
    finished(reply.raw, () => {
      const ended = endOf(request, reply, performance.now() - start);
      service.drain.requestEnded();
      tracing.requestEnded(ended.id);
      metrics.requestEnded(ended.id, ended.route || "none", ended.status);
      log.requestEnded(request.log, ended);
    });
  });
  refuseWhileDraining(app, service.drain);
  app.get("/metrics", { config: { whileDraining: true } }, async (_request, reply) => {
    const { type, text } = await metrics.page();
    return reply.header("content-type", type).send(text);
  });
}

function endOf({ id, method, routeOptions }: FastifyRequest, { raw }: FastifyReply, ms: number) {
  const status = raw.headersSent ? raw.statusCode : CLIENT_GONE;
  return { id, method, route: routeOptions.url ?? "", status, ms, cut: !raw.writableFinished };
}

function loadsOf({ models }: Service): ModelLoad[] {
  return models.all.map(({ name, engine, queue: { running, waiting } }) => ({
    name,
    running,
    waiting,
    cache: engine?.cacheUse,
  }));
}
