/** Errors in the form of Anthropic's API, with its statuses: what is 503 elsewhere is 529 there. */
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { type ApiError, apiErrorOf, setErrorHeaders } from "../errors.js";
import { logFailure } from "../logs.js";
import { event } from "../sse.js";

const TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  504: "timeout_error",
  529: "overloaded_error",
};

const OVERLOADED = 529;

const statusOf = ({ statusCode }: ApiError): number => (statusCode === 503 ? OVERLOADED : statusCode);

function bodyOf(error: ApiError) {
  const status = statusOf(error);
  const type = TYPES[status] ?? (status < 500 ? "invalid_request_error" : "api_error");
  return { type: "error", error: { type, message: error.message } };
}

/** Of a scope of routes. */
export function sendAnthropicError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const shown = apiErrorOf(error);
  logFailure(request, shown);
  setErrorHeaders(reply, shown);
  reply.code(statusOf(shown)).send({ ...bodyOf(shown), request_id: request.id });
}

/** The last event of a stream that fails. */
export const errorEvent = (error: ApiError): string => event(bodyOf(error), "error");
