/** `/health` and `/ready`, which need no key, and `/props`: what this server is. */
import type { FastifyInstance } from "fastify";
import { packageVersion } from "../platform/package.js";
import { unavailable } from "./errors.js";
import type { ServedModel } from "./models.js";
import type { Service } from "./service.js";

export function healthRoutes(app: FastifyInstance, service: Service): void {
  const open = { config: { open: true } };
  // the process lives, and answers
  app.get("/health", open, async () => ({ status: "ok" }));
  // answers to a model begin at once
  app.get("/ready", open, async () => {
    if (!service.isReady) throw unavailable("No model is loaded yet, or the server is closing.");
    return { status: "ok" };
  });
  app.get("/props", async () => propsOf(service));
}

/** Of the first model; no path, which is no business of a client. */
function propsOf({ models, settings }: Service) {
  const [first] = models.all;
  const { engine } = first;
  return {
    model_alias: first.name,
    build_info: `ternion ${packageVersion()}`,
    total_slots: engine?.maxSessions ?? null,
    default_generation_settings: { n_ctx: engine?.contextLength ?? null },
    modalities: { vision: false, audio: false },
    max_queue: settings.maxQueue,
    models: models.all.map(modelOf),
  };
}

const modelOf = ({ name, engine, queue }: ServedModel) => ({
  name,
  loaded: engine !== undefined,
  backend: engine?.description ?? null,
  context_length: engine?.contextLength ?? null,
  running: queue.running,
  waiting: queue.waiting,
});
