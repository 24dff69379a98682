/** `/v1/messages` and `/v1/messages/count_tokens`, in the form of Anthropic's API. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Ask } from "../ask.js";
import type { FieldNames } from "../errors.js";
import type { Service } from "../service.js";
import { sendEvents, signalOf } from "../sse.js";
import { messageEvents, wholeMessage } from "./answer.js";
import {
  COUNT_SCHEMA,
  MESSAGES_SCHEMA,
  type MessagesBody,
  optionsOf,
  type PromptBody,
  prefill,
  promptOf,
  refuse,
  toolOptions,
} from "./body.js";
import { errorEvent, sendAnthropicError } from "./errors.js";

export function messageRoutes(app: FastifyInstance, service: Service): void {
  app.register(async (scope) => {
    scope.setErrorHandler(sendAnthropicError);
    scope.addHook("onSend", async ({ id }, reply) => {
      reply.header("request-id", id);
    });
    scope.post<{ Body: MessagesBody }>("/v1/messages", { schema: { body: MESSAGES_SCHEMA } }, (request, reply) => {
      const ask = askOf(request, signalOf(reply));
      const model = service.models.nameOf(ask.model);
      const pieces = service.answer(ask);
      if (!request.body.stream) return wholeMessage(pieces, model);
      return sendEvents(reply, messageEvents(pieces, model), { ...service.settings, onError: errorEvent });
    });
    scope.post<{ Body: PromptBody }>(
      "/v1/messages/count_tokens",
      { schema: { body: COUNT_SCHEMA } },
      ({ body }, reply) => {
        refuse(body);
        const { messages } = promptOf(body);
        const signal = signalOf(reply);
        return service.withEngine(body.model ?? undefined, signal, async (engine) => {
          const ids = await engine.encodeChat(messages, { ...toolOptions(body), ...prefill(body), signal });
          return { input_tokens: ids.length };
        });
      },
    );
  });
}

const FIELDS: FieldNames = {
  schema: "output_config.format.schema",
  tool: (index) => `tools[${index}].input_schema`,
};

function askOf({ body, client, id: requestId }: FastifyRequest<{ Body: MessagesBody }>, signal: AbortSignal): Ask {
  refuse(body);
  return {
    model: body.model ?? undefined,
    prompt: promptOf(body),
    options: optionsOf(body),
    fields: FIELDS,
    client,
    operation: "messages",
    requestId,
    signal,
  };
}
