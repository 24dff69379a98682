/**
 * What a caller may ask of the sampler, checked: a wrong type is a TypeError, a wrong value a RangeError, and both name
 * the option, what was expected and what came.
 */

export interface SamplingOptions {
  /** divides the logits; 0 takes the best token always, the lower id of equals; default 0.8 */
  readonly temperature?: number | undefined;
  /** keep this many of the best tokens; 0 keeps all; default 40 */
  readonly topK?: number | undefined;
  /** keep the fewest best tokens that hold this probability, 0 to 1; 1 keeps all; default 0.95 */
  readonly topP?: number | undefined;
  /** keep tokens of at least this part of the best one's probability, 0 to 1; 0 keeps all; default 0.05 */
  readonly minP?: number | undefined;
  /** divides positive and multiplies negative logits of tokens in the window; 1 is off; default 1 */
  readonly repetitionPenalty?: number | undefined;
  /** how many of the last ids all three penalties look at; Infinity looks at all; default 64 */
  readonly repetitionWindow?: number | undefined;
  /** taken off the logit of each token in the window; default 0 */
  readonly presencePenalty?: number | undefined;
  /** taken off the logit for each time that the token is in the window; default 0 */
  readonly frequencyPenalty?: number | undefined;
  /** added to the logits of these ids; -Infinity bans one */
  readonly logitBias?: ReadonlyMap<number, number> | Readonly<Record<number, number>> | undefined;
  /** 0 to 2^53 - 1; default: a random one, see `Sampler.seed` */
  readonly seed?: number | undefined;
  /** report natural-log probabilities: of the chosen token, and of this many of the likeliest (0 to 100) */
  readonly logprobs?: number | undefined;
}

/** The options with nothing left open. */
export interface Settings {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly repetitionWindow: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly logitBias: ReadonlyMap<number, number>;
  readonly seed: number;
  readonly logprobs: number | undefined;
}

/** bound of logits' changes, so that none becomes infinite */
const LARGEST = 1e6;

/** Fills in the defaults, which are llama.cpp's. */
export function checkOptions(options: SamplingOptions): Settings {
  const { logprobs } = options;
  return {
    temperature: number(options.temperature ?? 0.8, "temperature", 0, LARGEST),
    topK: integer(options.topK ?? 40, "topK", 0, Number.MAX_SAFE_INTEGER),
    topP: number(options.topP ?? 0.95, "topP", 0, 1),
    minP: number(options.minP ?? 0.05, "minP", 0, 1),
    repetitionPenalty: number(options.repetitionPenalty ?? 1, "repetitionPenalty", Number.MIN_VALUE, LARGEST),
    repetitionWindow:
      options.repetitionWindow === Infinity
        ? Infinity
        : integer(options.repetitionWindow ?? 64, "repetitionWindow", 0, Number.MAX_SAFE_INTEGER),
    presencePenalty: number(options.presencePenalty ?? 0, "presencePenalty", -LARGEST, LARGEST),
    frequencyPenalty: number(options.frequencyPenalty ?? 0, "frequencyPenalty", -LARGEST, LARGEST),
    logitBias: checkBias(options.logitBias ?? {}),
    seed: integer(options.seed ?? randomSeed(), "seed", 0, Number.MAX_SAFE_INTEGER),
    logprobs: logprobs === undefined ? undefined : integer(logprobs, "logprobs", 0, 100),
  };
}

function checkBias(bias: NonNullable<SamplingOptions["logitBias"]>): Map<number, number> {
  if (typeof bias !== "object" || bias === null)
    throw new TypeError(`logitBias: expected a Map or object, got ${bias}`);
  const entries =
    bias instanceof Map ? [...bias] : Object.entries(bias).map(([id, value]) => [Number(id), value] as const);
  return new Map(
    entries.map(([id, value]) => [
      integer(id, "logitBias id", 0, 0x7fffffff),
      value === -Infinity ? value : number(value, `logitBias[${id}]`, -LARGEST, LARGEST),
    ]),
  );
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}

function number(value: unknown, name: string, least: number, most: number): number {
  if (typeof value !== "number") throw new TypeError(`${name}: expected a number, got ${typeof value}`);
  if (value >= least && value <= most) return value;
  throw new RangeError(`${name}: expected ${range(least, most)}, got ${value}`);
}

function integer(value: unknown, name: string, least: number, most: number): number {
  const checked = number(value, name, least, most);
  if (Number.isInteger(checked)) return checked;
  throw new RangeError(`${name}: expected an integer, got ${checked}`);
}

function range(least: number, most: number): string {
  if (least === Number.MIN_VALUE) return `above 0, at most ${most}`;
  return most >= Number.MAX_SAFE_INTEGER ? `${least} or more` : `${least} to ${most}`;
}
