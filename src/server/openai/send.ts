/** How answers of OpenAI's endpoints begin, go out and end. */
import { randomUUID } from "node:crypto";
import type { FastifyReply } from "fastify";
import type { Finish } from "../../index.js";
import { packageVersion } from "../../platform/package.js";
import { type ApiError, openaiErrorBody } from "../errors.js";
import type { Service } from "../service.js";
import { event, sendEvents } from "../sse.js";

let version: string | undefined;

/** What an answer and all its chunks begin with; `prefix` is that of its id. */
export function headOf(prefix: string, object: string, model: string): object {
  version ??= packageVersion();
  return {
    id: `${prefix}-${randomUUID().replaceAll("-", "")}`,
    object,
    created: Math.floor(Date.now() / 1000),
    model,
    system_fingerprint: `ternion-${version}`,
  };
}

export const send = (reply: FastifyReply, chunks: AsyncGenerator<string, void>, { settings }: Service) =>
  sendEvents(reply, chunks, { ...settings, onError: errorEvent });

const errorEvent = (error: ApiError) => event(openaiErrorBody(error));

/** A full context is a length too. */
export const finishReason = ({ reason }: Finish): string => (reason === "context" ? "length" : reason);
