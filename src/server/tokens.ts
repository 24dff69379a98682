/** `/tokenize`, `/detokenize`, `/apply-template`: what a model reads, with the fields of llama.cpp's server. */
import type { FastifyInstance } from "fastify";
import type { Tokenizer } from "../index.js";
import { allOptional } from "./openai/fields.js";
import { type ChatBodyMessage, chatMessages, MESSAGES_SCHEMA } from "./openai/messages.js";
import { TOOL_SCHEMAS, type ToolFields, toolOptions } from "./openai/tools.js";
import { array, FLAG, integer, object, TEXT } from "./schema.js";
import type { Service } from "./service.js";
import { signalOf } from "./sse.js";

interface TokenizeBody {
  readonly model?: string | null;
  readonly content: string;
  /** begin as a text does; default false */
  readonly add_special?: boolean | null;
  /** special tokens in the text become their ids; default true */
  readonly parse_special?: boolean | null;
  readonly with_pieces?: boolean | null;
}

interface DetokenizeBody {
  readonly model?: string | null;
  readonly tokens: readonly number[];
}

interface TemplateBody extends ToolFields {
  readonly model?: string | null;
  readonly messages: readonly ChatBodyMessage[];
  readonly add_generation_prompt?: boolean | null;
  readonly chat_template_kwargs?: Readonly<Record<string, unknown>> | null;
}

const FLAGS = allOptional({ add_special: FLAG, parse_special: FLAG, with_pieces: FLAG });
const MODEL = allOptional({ model: TEXT });
const TOKENIZE = { body: object({ content: TEXT, ...FLAGS, ...MODEL }, ["content"]) };
const DETOKENIZE = { body: object({ tokens: array(integer(0)), ...MODEL }, ["tokens"]) };
const TEMPLATE = {
  body: object(
    {
      messages: MESSAGES_SCHEMA,
      ...TOOL_SCHEMAS,
      ...allOptional({ add_generation_prompt: FLAG, chat_template_kwargs: { type: "object" } }),
      ...MODEL,
    },
    ["messages"],
  ),
};

export function tokenRoutes(app: FastifyInstance, service: Service): void {
  app.post<{ Body: TokenizeBody }>("/tokenize", { schema: TOKENIZE }, ({ body }, reply) => {
    const signal = signalOf(reply);
    return service.withEngine(body.model ?? undefined, signal, async ({ tokenizer }) => {
      const options = {
        addBos: body.add_special ? undefined : false,
        parseSpecial: body.parse_special ?? true,
        signal,
      };
      const ids = await tokenizer.encodeAsync(body.content, options);
      return { tokens: body.with_pieces ? ids.map((id) => ({ id, piece: pieceOf(tokenizer, id) })) : ids };
    });
  });
  app.post<{ Body: DetokenizeBody }>("/detokenize", { schema: DETOKENIZE }, ({ body }, reply) =>
    service.withEngine(body.model ?? undefined, signalOf(reply), ({ tokenizer }) => {
      return { content: tokenizer.decode(body.tokens) };
    }),
  );
  app.post<{ Body: TemplateBody }>("/apply-template", { schema: TEMPLATE }, ({ body }, reply) => {
    const signal = signalOf(reply);
    return service.withEngine(body.model ?? undefined, signal, async (engine) => {
      const ids = await engine.encodeChat(chatMessages(body.messages), {
        ...toolOptions(body),
        addGenerationPrompt: body.add_generation_prompt ?? undefined,
        templateVariables: body.chat_template_kwargs ?? undefined,
        signal,
      });
      return { prompt: engine.tokenizer.decode(ids) };
    });
  });
}

/** Bytes where they are no whole characters. */
function pieceOf(tokenizer: Tokenizer, id: number): string | number[] {
  const bytes = tokenizer.bytes(id);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return [...bytes];
  }
}
