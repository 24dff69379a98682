/**
 * `createTernion`: a provider of the AI SDK whose models answer in this process. It owns one engine, loaded when a model is
 * first asked and closed with the provider, or uses one that the caller has.
 */
import * as check from "../check.js";
import { lastName, TernionError } from "../errors.js";
import { boxModel, Engine, type EngineOptions, type ModelInput } from "../index.js";
import { type ModelType, noSuchModel } from "./errors.js";
import { TernionLanguageModel } from "./model.js";
import type { SpecificationVersion } from "./specification.js";

/** Of `createTernion`: options of `Engine.load`, and which model. */
export interface TernionOptions<Version extends SpecificationVersion = "v3"> extends EngineOptions {
  /** what `Engine.load` takes: a path, a URL or bytes; default: the model in the box, which is too small for real work */
  readonly model?: string | URL | ModelInput | undefined;
  /** a loaded engine to use in place of `model`; it stays the caller's to close */
  readonly engine?: Engine | undefined;
  /** "v3", the default, serves AI SDK 6 and 7; "v4" is AI SDK 7's own, and refused by 6 */
  readonly specificationVersion?: Version | undefined;
}

/** A provider of the AI SDK: call it for a model. Close it to end its engine. */
export interface TernionProvider<Version extends SpecificationVersion = "v3"> extends AsyncDisposable {
  /** The model, under the name that responses report; default: the name of its file, without ".gguf". */
  (modelId?: string): TernionLanguageModel<Version>;
  readonly specificationVersion: Version;
  /** The same as the call of the provider itself. */
  languageModel(modelId?: string): TernionLanguageModel<Version>;
  /** Throws NoSuchModelError: ternion has language models only. */
  embeddingModel(modelId: string): never;
  /** Throws NoSuchModelError. */
  textEmbeddingModel(modelId: string): never;
  /** Throws NoSuchModelError. */
  imageModel(modelId: string): never;
  /** Throws NoSuchModelError. */
  transcriptionModel(modelId: string): never;
  /** Throws NoSuchModelError. */
  speechModel(modelId: string): never;
  /** Throws NoSuchModelError. */
  rerankingModel(modelId: string): never;
  /** The engine, loaded if it was not yet: to load it before the first answer is wanted, or to count tokens. */
  engine(): Promise<Engine>;
  /** Ends answers under way and closes the engine, unless it is the caller's. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Makes a provider. Nothing is loaded before a model is first asked, or `engine()` called; wrong options of the engine are
 * reported then.
 */
export function createTernion<Version extends SpecificationVersion = "v3">(
  options: TernionOptions<Version> = {},
): TernionProvider<Version> {
  const { specificationVersion, engine, model, ...engineOptions } = checked(options);
  const version = (specificationVersion ?? "v3") as Version;
  const held = new HeldEngine(() => Engine.load(model, engineOptions), engine);
  const languageModel = (modelId = nameOf(model)) => {
    return new TernionLanguageModel(version, check.filled("modelId", modelId), () => held.get());
  };
  const no = (type: ModelType) => (modelId: string) => {
    throw noSuchModel(type, modelId);
  };
  return Object.assign((modelId?: string) => languageModel(modelId), {
    specificationVersion: version,
    languageModel,
    embeddingModel: no("embeddingModel"),
    textEmbeddingModel: no("embeddingModel"),
    imageModel: no("imageModel"),
    transcriptionModel: no("transcriptionModel"),
    speechModel: no("speechModel"),
    rerankingModel: no("rerankingModel"),
    engine: () => held.get(),
    close: () => held.close(),
    [Symbol.asyncDispose]: () => held.close(),
  });
}

const VERSIONS: readonly SpecificationVersion[] = ["v3", "v4"];

/** The engine checks its own options, when it is loaded. */
function checked<Version extends SpecificationVersion>(options: TernionOptions<Version>): TernionOptions<Version> {
  const own = { ...(check.object("an object")("options", options) as typeof options) };
  const { engine, specificationVersion, ...others } = own;
  if (specificationVersion !== undefined) check.choice(VERSIONS)("specificationVersion", specificationVersion);
  if (engine === undefined) return own;
  if (typeof Object(engine).session !== "function") throw check.wrongType("engine", "an Engine", engine);
  const [beside] = Object.entries(others).find(([, value]) => value !== undefined) ?? [];
  if (beside === undefined) return own;
  throw new TypeError(`${beside}: expected nothing beside engine, which is loaded already, got ${beside} too`);
}

/** "models/bitnet-2b.gguf" → "bitnet-2b" */
function nameOf(model: TernionOptions["model"] = boxModel()): string {
  if (typeof model !== "string" && !(model instanceof URL)) return "ternion";
  const path = String(model).replace(/[?#].*$/, "");
  return lastName(path).replace(/(-00001-of-\d{5})?\.gguf$/i, "") || "ternion";
}

/** One engine, loaded once; after a failure the next who asks tries again. */
class HeldEngine {
  readonly #load: () => Promise<Engine>;
  readonly #given: Engine | undefined;
  #own: Promise<Engine> | undefined;
  #closing: Promise<void> | undefined;

  constructor(load: () => Promise<Engine>, given: Engine | undefined) {
    this.#load = load;
    this.#given = given;
  }

  async get(): Promise<Engine> {
    if (this.#closing !== undefined) throw closed();
    if (this.#given !== undefined) return this.#given;
    this.#own ??= this.#load().catch((error) => {
      this.#own = undefined;
      throw error;
    });
    const engine = await this.#own;
    if (this.#closing !== undefined) throw closed();
    return engine;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const engine = await this.#own?.catch(() => undefined);
    await engine?.close();
  }
}

const closed = () => new TernionError("CLOSED", "The provider is closed. Make a new one with createTernion.");
