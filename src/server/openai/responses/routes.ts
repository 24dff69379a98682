/** `/v1/responses`: a new response, with or without one before it; and one that is kept, to be read or deleted. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { ChatMessage } from "../../../index.js";
import { ApiError } from "../../errors.js";
import type { Service } from "../../service.js";
import { sendEvents, signalOf } from "../../sse.js";
import { refuseFields } from "../fields.js";
import { ResponseAnswer } from "./answer.js";
import { BODY_SCHEMA, fieldsOf, optionsOf, type ResponsesBody, refuse, withLogprobs } from "./body.js";
import { messagesOf } from "./items.js";
import { ResponseStore } from "./store.js";

type Create = FastifyRequest<{ Body: ResponsesBody }>;
type Kept = { Params: { id: string }; Querystring: Readonly<Record<string, unknown>> };

export function responseRoutes(app: FastifyInstance, service: Service): void {
  const store = new ResponseStore();
  app.post<{ Body: ResponsesBody }>("/v1/responses", { schema: { body: BODY_SCHEMA } }, (request, reply) => {
    const { body } = request;
    refuse(body);
    const model = service.models.nameOf(body.model ?? undefined);
    const conversation = conversationOf(request, store);
    const tokenizer = () => (withLogprobs(body) ? service.models.engine(model).tokenizer : undefined);
    const answer: ResponseAnswer = new ResponseAnswer(body, model, {
      tokenizer,
      onEnd: () => {
        if (body.store !== false) keep(store, request, conversation, answer);
      },
    });
    const pieces = service.answer(askOf(request, conversation, signalOf(reply)));
    if (!body.stream) return answer.whole(pieces);
    const onError = (error: ApiError) => answer.failed(error);
    return sendEvents(reply, answer.events(pieces), { ...service.settings, onError });
  });
  app.get<Kept>("/v1/responses/:id", ({ params, query, client }) => {
    refuseFields(query, { stream: { harmless: ["false"], reason: "A response that is kept is whole." } });
    return store.get(params.id, client)?.response ?? notFound(params.id);
  });
  app.delete<Kept>("/v1/responses/:id", ({ params: { id }, client }) => {
    return store.delete(id, client) ? { id, object: "response", deleted: true } : notFound(id);
  });
}

function askOf({ body, client, id: requestId }: Create, conversation: readonly ChatMessage[], signal: AbortSignal) {
  const { instructions } = body;
  const options = optionsOf(body);
  const before: ChatMessage[] = instructions ? [{ role: "system", content: instructions }] : [];
  return {
    model: body.model ?? undefined,
    prompt: { messages: [...before, ...conversation] },
    options,
    fields: fieldsOf(body, options),
    client,
    operation: "responses",
    requestId,
    signal,
  };
}

/** What was said before, and what is said now. */
function conversationOf({ body, client }: Create, store: ResponseStore): ChatMessage[] {
  const { previous_response_id: id } = body;
  const messages = messagesOf(body.input);
  if (id === undefined || id === null) return messages;
  const previous = store.get(id, client);
  if (previous !== undefined) return [...previous.messages, ...messages];
  throw new ApiError(400, `Previous response with id ${JSON.stringify(id.slice(0, 100))} not found.`, {
    param: "previous_response_id",
    code: "previous_response_not_found",
  });
}

function keep(
  store: ResponseStore,
  { client }: Create,
  conversation: readonly ChatMessage[],
  { response, turn }: ResponseAnswer,
): void {
  const messages = [...conversation, turn];
  store.add({ client, response, messages, size: JSON.stringify([messages, response]).length });
}

function notFound(id: string): never {
  throw new ApiError(404, `Response with id ${JSON.stringify(id.slice(0, 100))} not found.`, { code: "not_found" });
}
