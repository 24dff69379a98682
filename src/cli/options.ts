/**
 * The options that commands share, and what they mean to the library. What is not given is left to its defaults.
 */
import { type Command, Option } from "commander";
import type { EngineOptions, GenerateOptions, Tuning } from "../index.js";
import { biasOption, choiceOption, integerOption, numberOption, repeatedOption } from "./values.js";

type Backend = NonNullable<EngineOptions["backend"]>;
type Kernel = NonNullable<Tuning["kernel"]>;
type Cache = NonNullable<Tuning["kv"]>;
type Layout = NonNullable<EngineOptions["i2sLayout"]>;
type Head = NonNullable<Tuning["head"]>;

const BACKENDS: readonly Backend[] = ["auto", "cpu", "gpu", "reference"];
const KERNELS: readonly Kernel[] = ["ternaryDot16", "ternaryDot32", "ternaryDotBaseline"];

const CACHES: readonly Cache[] = ["f32", "i16"];
const LAYOUTS: readonly Layout[] = ["auto", "block128", "block64", "rows4"];
const HEADS: readonly Head[] = ["exact", "f16", "int8"];

/** Of the commands that read a model file. */
export interface ModelOptions {
  readonly model?: string;
  readonly strict?: true;
  readonly debug?: true;
}

/** Of the commands that compute; each takes those that do something in it. */
export interface EngineFlags extends ModelOptions {
  readonly backend?: Backend;
  readonly adapter?: string;
  readonly threads?: number;
  readonly ctx?: number;
  readonly kernel?: Kernel;
  readonly kv?: Cache;
  readonly head?: Head;
  readonly i2sLayout?: Layout;
  readonly revectorize?: true;
}

export interface SamplingFlags {
  readonly seed?: number;
  readonly maxTokens?: number;
  readonly stop?: readonly string[];
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly logitBias?: Readonly<Record<number, number>>;
}

/** Every option of the engine that is not one of the model file, by its name. */
const ENGINE_OPTIONS = {
  backend: () => choiceOption("--backend <NAME>", "what computes; default: auto", BACKENDS),
  adapter: () => new Option("--adapter <NAME>", "part of the GPU's name; default: the best hardware adapter"),
  threads: () => integerOption("-t, --threads <N>", "worker threads; default: one a processor", { min: 1, max: 256 }),
  ctx: () => integerOption("-c, --ctx <N>", "tokens of context; default: the model's own, at most 2048", { min: 1 }),
  kernel: () => choiceOption("--kernel <NAME>", "ternary kernel of the CPU; default: the fastest that works", KERNELS),
  kv: () => choiceOption("--kv <TYPE>", "what the key-value cache holds; default: i16 (trace, verify: f32)", CACHES),
  head: () => choiceOption("--head <KIND>", "how the next token is found; default: exact", HEADS),
  i2sLayout: () =>
    choiceOption("--i2s-layout <NAME>", "order of the ternary codes in the file; default: auto", LAYOUTS),
  revectorize: () =>
    new Option("--revectorize", "let V8 use 256-bit operations: experimental there, from Node.js 24 on"),
} satisfies Record<Exclude<keyof EngineFlags, keyof ModelOptions>, () => Option>;

type EngineOptionName = keyof typeof ENGINE_OPTIONS;

const HEADING = "Model and engine:";

export const debugOption = () => new Option("--debug", "print the stack trace of an error");

const modelOption = () =>
  new Option(
    "-m, --model <FILE|URL>",
    "GGUF model or Hugging Face directory, or a name as hf:ORG/REPO; default: the model that comes with ternion",
  );

export function addModelOptions(command: Command, model = modelOption()): Command {
  return addGroup(command, HEADING, [
    model,
    new Option("--strict", "refuse a file whose metadata needs repair"),
    debugOption(),
  ]);
}

/** Those of the model, and all of the engine but `without`, which would do nothing in this command. */
export function addEngineOptions(
  command: Command,
  without: readonly EngineOptionName[] = [],
  model = modelOption(),
): Command {
  const names = Object.keys(ENGINE_OPTIONS) as EngineOptionName[];
  return pickEngineOptions(
    addModelOptions(command, model),
    names.filter((name) => !without.includes(name)),
  );
}

export function pickEngineOptions(command: Command, names: readonly EngineOptionName[]): Command {
  return addGroup(
    command,
    HEADING,
    names.map((name) => ENGINE_OPTIONS[name]()),
  );
}

export function addSamplingOptions(command: Command): Command {
  const options = [
    integerOption("--seed <N>", "the same seed gives the same text; default: a random one", { min: 0 }),
    integerOption("-n, --max-tokens <N>", "most tokens to generate; default: until the context is full", { min: 0 }),
    repeatedOption("--stop <TEXT>", "ends the answer, and is left out of it"),
    numberOption("--temperature <X>", "0 always takes the best token; default: 0.8", { min: 0, max: 1e6 }),
    integerOption("--top-k <N>", "keep the N best tokens, 0: all; default: 40", { min: 0 }),
    numberOption("--top-p <X>", "keep the best tokens that hold this probability; default: 0.95", { min: 0, max: 1 }),
    numberOption("--min-p <X>", "keep tokens of this part of the best one's probability; default: 0.05", {
      min: 0,
      max: 1,
    }),
    numberOption("--repetition-penalty <X>", "1 is off; default: 1", { min: 0.001, max: 1e6 }),
    numberOption("--presence-penalty <X>", "for tokens that came already; default: 0", { min: -1e6, max: 1e6 }),
    numberOption("--frequency-penalty <X>", "for each time that they came; default: 0", { min: -1e6, max: 1e6 }),
    biasOption("--logit-bias <ID=BIAS>", "added to the logit of a token, -inf bans it"),
  ];
  return addGroup(command, "Generation:", options);
}

/** The heading is that of each option, so that a command's own options keep theirs. */
function addGroup(command: Command, heading: string, options: readonly Option[]): Command {
  for (const option of options) command.addOption(option.helpGroup(heading));
  return command;
}

export function engineOptions({ ctx, ...options }: EngineFlags): EngineOptions {
  const { backend, adapter, threads, kernel, kv, head, i2sLayout, revectorize, strict } = options;
  const tuning = { kernel, kv, head, revectorize };
  return { backend, adapter, threads, contextLength: ctx, i2sLayout, tuning, strict };
}

/** The library takes `undefined` for "not given", and options by the names that commander makes of the flags. */
export function generateOptions({ seed, ...options }: SamplingFlags): GenerateOptions {
  const { maxTokens, stop, temperature, topK, topP, minP, logitBias } = options;
  const { repetitionPenalty, presencePenalty, frequencyPenalty } = options;
  const penalties = { repetitionPenalty, presencePenalty, frequencyPenalty };
  return { seed, maxTokens, stop, temperature, topK, topP, minP, ...penalties, logitBias };
}
