/** `/v1/models`: which models there are, loaded or not. */
import type { FastifyInstance } from "fastify";
import type { ServedModel } from "../models.js";
import type { Service } from "../service.js";

export function modelRoutes(app: FastifyInstance, { models }: Service): void {
  app.get("/v1/models", async () => ({ object: "list", data: models.all.map(shown) }));
  // a name may have slashes
  app.get<{ Params: { "*": string } }>("/v1/models/*", async ({ params }) => shown(models.find(params["*"])));
}

const shown = ({ name, created }: ServedModel) => ({ id: name, object: "model", created, owned_by: "ternion" });
