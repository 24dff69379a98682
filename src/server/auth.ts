/**
 * Keys. Every route asks for one where the server has any, but those with `config: { open: true }`. A key is compared by
 * its hash, in the same time whatever it is.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { ApiError } from "./errors.js";

declare module "fastify" {
  interface FastifyContextConfig {
    /** answers without a key */
    open?: boolean;
  }
  interface FastifyRequest {
    /** who asks, for fairness: a key, or an address */
    client: string;
  }
}

export function useKeys(app: FastifyInstance, keys: readonly string[]): void {
  const known = keys.map(hashOf);
  app.decorateRequest("client", "");
  app.addHook("onRequest", async (request) => {
    request.client = `address ${request.ip}`;
    if (known.length === 0 || request.routeOptions.config.open) return;
    const given = keyOf(request);
    if (given === undefined) throw wrongKey("You didn't provide an API key.");
    const which = indexOf(known, hashOf(given));
    if (which < 0) throw wrongKey("Incorrect API key provided.");
    request.client = `key ${which}`;
  });
}

const hashOf = (key: string) => createHash("sha256").update(key).digest();

/** Looks at all of them. */
function indexOf(known: readonly Buffer[], hash: Buffer): number {
  const equal = known.map((each) => timingSafeEqual(each, hash));
  return equal.indexOf(true);
}

function keyOf({ headers }: FastifyRequest): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1];
  const plain = headers["x-api-key"];
  return bearer ?? (typeof plain === "string" ? plain : undefined);
}

function wrongKey(problem: string): ApiError {
  const advice = "Send a key of this server as 'Authorization: Bearer KEY'.";
  return new ApiError(401, `${problem} ${advice}`, { code: "invalid_api_key", type: "invalid_request_error" });
}
