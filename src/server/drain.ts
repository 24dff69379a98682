/**
 * How a server ends without cutting answers off: from `begin` on new requests are refused, and whoever ends it can wait for
 * those that are open.
 */
import type { FastifyInstance } from "fastify";
import { ApiError } from "./errors.js";

declare module "fastify" {
  interface FastifyContextConfig {
    /** is answered to the last */
    whileDraining?: boolean;
  }
}

/** Seconds after which a client may try again: by then another server has taken over. */
const RETRY_AFTER = 5;

export class Drain {
  #begun = false;
  #open = 0;
  #ended: (() => void) | undefined;

  get begun(): boolean {
    return this.#begun;
  }

  requestBegan(): void {
    this.#open++;
  }

  requestEnded(): void {
    this.#open--;
    if (this.#open === 0) this.#ended?.();
  }

  begin(): void {
    this.#begun = true;
  }

  /** Resolves when no request is open, or after `ms` milliseconds. */
  ended(ms: number): Promise<void> {
    if (this.#open === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#ended = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Refuses what comes once `drain` has begun, and lets its connection go. */
export function refuseWhileDraining(app: FastifyInstance, drain: Drain): void {
  app.addHook("onRequest", async ({ routeOptions: { config } }, reply) => {
    if (!drain.begun) return;
    reply.header("connection", "close");
    if (config.open || config.whileDraining) return;
    const message = "The server is shutting down and takes no new requests.";
    throw new ApiError(503, message, { code: "service_unavailable", retryAfter: RETRY_AFTER });
  });
}
