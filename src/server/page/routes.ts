/**
 * The chat page at the server's root. Open to anybody who reaches the server: it holds no secret, and asks for the API key that
 * the API wants. Its policy lets it load from and talk to its own origin only, and run no script or style but its files.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { type PageFile, pageFiles } from "./files.js";

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  // no text becomes HTML but through DOMPurify
  "require-trusted-types-for 'script'",
  "trusted-types dompurify",
].join("; ");

const HEADERS = {
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  // asked for again each time and answered 304, so that a new version of the package is seen at once
  "cache-control": "no-cache",
};

/**
 * `GET /` and `GET /page/...`. The page's own addresses are relative to it, so below a prefix it stands at "/prefix/", and
 * "/prefix" leads there. Throws PACKAGE_MISSING where a file of the package is not there.
 */
export function pageRoutes(app: FastifyInstance): void {
  const open = { config: { open: true } };
  for (const file of pageFiles()) {
    const route = { ...open, prefixTrailingSlash: "slash" } as const;
    app.get(`/${file.path}`, route, (request, reply) => send(file, request, reply));
  }
  if (app.prefix === "") return;
  app.get("/", { ...open, prefixTrailingSlash: "no-slash" }, (_, reply) => reply.redirect(`${app.prefix}/`, 308));
}

function send(file: PageFile, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.headers({ ...HEADERS, etag: file.tag });
  if (request.headers["if-none-match"] === file.tag) return reply.code(304).send();
  return reply.type(file.type).send(file.bytes);
}
