/** The fields that chat and text completions share: their checks, and what they mean to the library. */
import { isDeepStrictEqual } from "node:util";
import type { GenerateOptions } from "../../index.js";
import { refusedField, wrongField } from "../errors.js";
import { FLAG, integer, number, object, optional, type Schema, TEXT } from "../schema.js";
import { FORMAT_SCHEMAS, type FormatFields, formatOptions } from "./format.js";

/** What may be left out may be null too. */
type Open<T> = T | null | undefined;

export interface SharedFields extends FormatFields {
  readonly model?: Open<string>;
  readonly stream?: Open<boolean>;
  readonly stream_options?: Open<{ readonly include_usage?: Open<boolean> }>;
  readonly n?: Open<number>;
  readonly stop?: Open<string | readonly string[]>;
  readonly seed?: Open<number>;
  readonly max_tokens?: Open<number>;
  readonly temperature?: Open<number>;
  readonly top_p?: Open<number>;
  readonly top_k?: Open<number>;
  readonly min_p?: Open<number>;
  readonly repetition_penalty?: Open<number>;
  readonly repetition_window?: Open<number>;
  readonly presence_penalty?: Open<number>;
  readonly frequency_penalty?: Open<number>;
  readonly logit_bias?: Open<Readonly<Record<string, number>>>;
  readonly ignore_eos?: Open<boolean>;
}

export const MOST_CHOICES = 128;
const MOST_STOPS = 64;
/** bounds of the library, wider than OpenAI's */
const LARGEST = 1e6;

/** Every field that may be null. */
export function allOptional(schemas: Readonly<Record<string, Schema>>): Readonly<Record<string, Schema>> {
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, optional(schema)]));
}

export const SHARED_SCHEMAS: Readonly<Record<string, Schema>> = {
  ...FORMAT_SCHEMAS,
  ...allOptional({
    model: TEXT,
    stream: FLAG,
    stream_options: object(allOptional({ include_usage: FLAG })),
    n: integer(1, MOST_CHOICES),
    stop: { type: ["string", "array"], minLength: 1, items: { type: "string", minLength: 1 }, maxItems: MOST_STOPS },
    seed: { type: "integer" },
    max_tokens: integer(0),
    temperature: number(0, LARGEST),
    top_p: number(0, 1),
    top_k: integer(-1),
    min_p: number(0, 1),
    repetition_penalty: { type: "number", exclusiveMinimum: 0, maximum: LARGEST },
    repetition_window: integer(-1),
    presence_penalty: number(-LARGEST, LARGEST),
    frequency_penalty: number(-LARGEST, LARGEST),
    logit_bias: { type: "object", additionalProperties: { type: "number" } },
    ignore_eos: FLAG,
  }),
};

/** -1 is "all" elsewhere. */
const orAll = (count: number | undefined, all: number) => (count === -1 ? all : count);

export function generateOptions(body: SharedFields): GenerateOptions {
  if (body.stream_options && !body.stream) throw wrongField("stream_options", "expected stream: true with it");
  return {
    ...formatOptions(body),
    maxTokens: body.max_tokens ?? undefined,
    stop: body.stop ?? undefined,
    seed: seedOf(body.seed ?? undefined),
    temperature: body.temperature ?? undefined,
    topP: body.top_p ?? undefined,
    topK: orAll(body.top_k ?? undefined, 0),
    minP: body.min_p ?? undefined,
    repetitionPenalty: body.repetition_penalty ?? undefined,
    repetitionWindow: orAll(body.repetition_window ?? undefined, Number.POSITIVE_INFINITY),
    presencePenalty: body.presence_penalty ?? undefined,
    frequencyPenalty: body.frequency_penalty ?? undefined,
    logitBias: biasOf(body.logit_bias),
    ignoreEnd: body.ignore_eos ?? undefined,
  };
}

const SEEDS = 2 ** 53 - MOST_CHOICES;

/** Any integer names a seed; the library counts from 0. -1 is "a random one" elsewhere. */
function seedOf(seed: number | undefined): number | undefined {
  return seed === undefined || seed === -1 ? undefined : Math.abs(seed) % SEEDS;
}

function biasOf(bias: SharedFields["logit_bias"]): GenerateOptions["logitBias"] {
  if (bias === null || bias === undefined) return undefined;
  const wrong = Object.keys(bias).find((id) => !/^\d{1,9}$/.test(id));
  if (wrong !== undefined)
    throw wrongField("logit_bias", `expected token ids as keys, got ${JSON.stringify(wrong.slice(0, 60))}`);
  return Object.fromEntries(Object.entries(bias).map(([id, each]) => [Number(id), each]));
}

/** A field that asks for what there is not: which values of it ask for nothing, and why the others cannot be honoured. */
export interface Refusal {
  readonly harmless?: readonly unknown[];
  readonly reason: string;
}

/** Throws for the first field of `body`, an object at `at` of the request's, that cannot be honoured. */
export function refuseFields(body: object, refusals: Readonly<Record<string, Refusal>>, at = ""): void {
  for (const [name, { harmless = [], reason }] of Object.entries(refusals)) {
    const value: unknown = (body as Record<string, unknown>)[name];
    if (value === undefined || value === null) continue;
    if (!harmless.some((each) => isDeepStrictEqual(each, value))) throw refusedField(at + name, reason);
  }
}

/** The seed of a further choice: each draws for itself, and all of them again for the same first seed. */
export function optionsOfChoice(options: GenerateOptions, index: number): GenerateOptions {
  return options.seed === undefined || index === 0 ? options : { ...options, seed: options.seed + index };
}
