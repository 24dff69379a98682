/** `engine.embed`: ids of the texts, as the model was trained to see them, and a vector for each. */
import * as check from "../check.js";
import { TernionError } from "../errors.js";
import type { ModelConfig, Pooling } from "../model/config.js";
import { embedAll, shortened } from "../run/embed.js";
import type { Places } from "../run/places.js";
import type { Scheduler } from "../run/scheduler.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { SESSION_CHECKS, type SessionOptions } from "./options.js";

/** Of `engine.embed`. */
export interface EmbedOptions extends SessionOptions {
  /**
   * keep so many elements of each vector, brought to length 1 again; default: all. Such vectors keep their sense where a
   * model was trained for it (Matryoshka)
   */
  readonly dimensions?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What `engine.embed` gives. */
export interface Embeddings {
  /** of length 1, in the order of the texts */
  readonly vectors: readonly Float32Array[];
  /** of all texts together */
  readonly promptTokens: number;
}

const EMBED_CHECKS: check.OptionChecks<EmbedOptions> = {
  ...SESSION_CHECKS,
  dimensions: check.integer(1),
  signal: check.signal,
};

function notForEmbeddings(arch: string): never {
  throw new TernionError(
    "MODEL_KEY",
    `${arch}.pooling_type: expected how to make a vector of a text (mean, cls or last), got none in the model's metadata: it was ` +
      "not made for embeddings. Take a model that was, or load it with the option pooling.",
  );
}

/** What of an engine it takes. */
export interface EmbedParts {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly contextLength: number;
  readonly scheduler: Scheduler;
  readonly places: Places;
  readonly pooling: Pooling | undefined;
  /** whether texts end with the token that ends a text, as models that pool the last state want it */
  readonly addEos: boolean;
}

/** As `Engine.embed`. */
export async function embed(
  setup: EmbedParts,
  texts: readonly (string | check.TokenIds)[],
  options: EmbedOptions,
): Promise<Embeddings> {
  const { width, vocabularySize, arch } = setup.config;
  const { dimensions, signal, cacheSalt } = check.options(options, EMBED_CHECKS);
  if (dimensions !== undefined) check.integer(1, width)("dimensions", dimensions);
  if (!Array.isArray(texts)) throw check.wrongType("texts", "an array of texts or of lists of ids", texts);
  const given = texts.map((each, i) => check.textOrIds(vocabularySize)(`texts[${i}]`, each));
  const pooling = setup.pooling ?? notForEmbeddings(arch);
  const prompts = await Promise.all(given.map((text, i) => encode(setup, text, `texts[${i}]`, signal)));
  const { scheduler, places, contextLength } = setup;
  const { running, waiting } = places.activity;
  const atOnce = Math.max(1, places.slots - running - waiting);
  const shared = { scheduler, places, contextLength, cacheSalt };
  const whole = await embedAll({ ...shared, pooling, width, atOnce, signal }, prompts);
  const vectors = dimensions === undefined ? whole : whole.map((vector) => shortened(vector, dimensions));
  return { vectors, promptTokens: prompts.reduce((sum, { length }) => sum + length, 0) };
}

async function encode(
  { tokenizer, addEos }: EmbedParts,
  text: string | readonly number[],
  name: string,
  signal: AbortSignal | undefined,
) {
  const { eos } = tokenizer;
  const isText = typeof text === "string";
  const ids = isText ? await tokenizer.encodeAsync(text, { signal }) : [...text];
  if (isText && addEos && eos !== undefined && ids.at(-1) !== eos) ids.push(eos);
  if (ids.length > 0) return ids;
  throw new RangeError(`${name}: expected at least one token, got none`);
}
