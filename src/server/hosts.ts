/**
 * By which names a server may be called. A web page can make a browser believe that its own name is this machine's address
 * (DNS rebinding), and read answers as its own; but it cannot change the Host header, which still has that name.
 */
import type { FastifyInstance } from "fastify";
import { quote } from "../errors.js";
import { ApiError } from "./errors.js";

/** Names of this machine go, and `allowed`; undefined: all. */
export function useHosts(app: FastifyInstance, allowed: readonly string[] | undefined): void {
  if (allowed === undefined) return;
  app.addHook("onRequest", async ({ headers: { host } }) => {
    const name = nameOf(host ?? "localhost");
    if (isLoopback(name) || allowed.includes(name)) return;
    const message = `Host header: expected a name of this machine, got ${quote(name)}. `;
    throw new ApiError(403, `${message}Whoever starts the server may allow it: --allowed-host.`, {
      code: "unknown_host",
    });
  });
}

/** "[::1]:8080" → "::1" */
function nameOf(host: string): string {
  return host
    .replace(/:\d*$/, "")
    .replace(/^\[(.*)\]$/, "$1")
    .toLowerCase();
}

/** Whether the name, or the address, can only be this machine's own. */
export const isLoopback = (name: string): boolean => /^(localhost|.+\.localhost|127(\.\d+){3}|::1)$/.test(name);
