/** `/v1/embeddings`: texts or lists of ids → a vector of each, as numbers or as base64 of little-endian float32. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { wrongField } from "../errors.js";
import { integer, object, type Schema, TEXT } from "../schema.js";
import type { Service } from "../service.js";
import { signalOf } from "../sse.js";
import { allOptional } from "./fields.js";

type Ids = readonly number[];

interface EmbeddingBody {
  readonly model?: string | null;
  readonly input: string | readonly string[] | Ids | readonly Ids[];
  readonly encoding_format?: "float" | "base64" | null;
  readonly dimensions?: number | null;
}

/** OpenAI's */
const MOST_INPUTS = 2048;

const IDS: Schema = { type: "array", items: integer(0), minItems: 1 };
const INPUT: Schema = {
  type: ["string", "array"],
  minItems: 1,
  anyOf: [TEXT, { type: "array", items: TEXT }, IDS, { type: "array", items: IDS }],
};
const OPTIONAL = allOptional({ model: TEXT, encoding_format: TEXT, dimensions: integer(1) });
const BODY: Schema = object({ input: INPUT, ...OPTIONAL }, ["input"]);

export function embeddingRoutes(app: FastifyInstance, service: Service): void {
  app.post<{ Body: EmbeddingBody }>("/v1/embeddings", { schema: { body: BODY } }, (request, reply) =>
    embeddings(service, request, signalOf(reply)),
  );
}

async function embeddings(
  service: Service,
  { body, client, id: requestId }: FastifyRequest<{ Body: EmbeddingBody }>,
  signal: AbortSignal,
) {
  const { model, encoding_format: format = "float", dimensions } = body;
  if (format !== "float" && format !== "base64" && format !== null) {
    throw wrongField("encoding_format", `expected "float" or "base64", got ${JSON.stringify(format).slice(0, 60)}`);
  }
  const ask = { model: model ?? undefined, client, requestId, operation: "embeddings", signal };
  const texts = textsOf(body);
  const { vectors, promptTokens } = await service.embed({ ...ask, texts, dimensions: dimensions ?? undefined });
  const shown = format === "base64" ? base64 : (vector: Float32Array) => Array.from(vector);
  return {
    object: "list",
    model: service.models.nameOf(model ?? undefined),
    data: vectors.map((vector, index) => ({ object: "embedding", index, embedding: shown(vector) })),
    usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
  };
}

function textsOf({ input }: EmbeddingBody): readonly (string | Ids)[] {
  if (typeof input === "string") return filled([input]);
  if (typeof input[0] === "number") return [input as Ids];
  if (input.length > MOST_INPUTS)
    throw wrongField("input", `expected at most ${MOST_INPUTS} inputs, got ${input.length}`);
  return filled(input as readonly (string | Ids)[]);
}

/** OpenAI refuses an empty text too. */
function filled(texts: readonly (string | Ids)[]): readonly (string | Ids)[] {
  const empty = texts.indexOf("");
  if (empty < 0) return texts;
  throw wrongField(texts.length === 1 ? "input" : `input[${empty}]`, "expected at least one character, got none");
}

function base64(vector: Float32Array): string {
  const bytes = new DataView(new ArrayBuffer(4 * vector.length));
  vector.forEach((value, i) => {
    bytes.setFloat32(4 * i, value, true);
  });
  return Buffer.from(bytes.buffer).toString("base64");
}
