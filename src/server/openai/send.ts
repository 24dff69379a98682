/** How answers of OpenAI's endpoints go out and end. */
import type { FastifyReply } from "fastify";
import type { Finish } from "../../index.js";
import { type ApiError, openaiErrorBody } from "../errors.js";
import type { Service } from "../service.js";
import { event, sendEvents } from "../sse.js";

export const send = (reply: FastifyReply, chunks: AsyncGenerator<string, void>, { settings }: Service) =>
  sendEvents(reply, chunks, { ...settings, onError: errorEvent });

const errorEvent = (error: ApiError) => event(openaiErrorBody(error));

/** A full context is a length too. */
export const finishReason = ({ reason }: Finish): string => (reason === "context" ? "length" : reason);
