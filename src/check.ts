/**
 * What a caller passes, checked when it is passed: a wrong type or an unknown option is a TypeError, a wrong value a
 * RangeError. Each names the value, what was expected and what came. One function for each kind, for all of the library:
 * the keys of a file (gguf/metadata.ts) and the flags of a command (cli/values.ts) ask the same kinds.
 */
import leven from "leven";

/** A kind of value: what messages call it, and which values are of it. */
export interface Kind<T> {
  readonly expected: string;
  holds(value: unknown): value is T;
}

export function numberKind(min: number, max: number): Kind<number> {
  return {
    expected: `a number ${rangeOf(min, max)}`,
    holds: (value): value is number => typeof value === "number" && value >= min && value <= max,
  };
}

export function integerKind(min: number, max = Number.MAX_SAFE_INTEGER): Kind<number> {
  const { holds } = numberKind(min, max);
  return {
    expected: `an integer ${rangeOf(min, max)}`,
    holds: (value): value is number => holds(value) && Number.isSafeInteger(value),
  };
}

export function choiceKind<T extends string>(choices: readonly T[]): Kind<T> {
  return {
    expected: choices.join(" or "),
    holds: (value): value is T => choices.includes(value as T),
  };
}

function rangeOf(min: number, max: number): string {
  if (min === Number.MIN_VALUE) return `above 0, at most ${max}`;
  return max >= Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`;
}

/** Gives the value back, or a copy that the caller cannot change, or throws; `name` is how the caller knows it. */
export type Check<T = unknown> = (name: string, value: unknown) => T;

/** A check for every option: one that is added without a check does not compile. */
export type OptionChecks<T> = { readonly [Name in keyof T]-?: Check };

/** The check of an option that has options of its own. */
type Group<T> = Check<T> & { readonly names: readonly string[] };

export const number = (min: number, max: number): Check<number> => numeric(numberKind(min, max));

export const integer = (min: number, max?: number): Check<number> => numeric(integerKind(min, max));

function numeric({ expected, holds }: Kind<number>): Check<number> {
  return (name, value) => {
    if (holds(value)) return value;
    if (typeof value !== "number") throw wrongType(name, "a number", value);
    throw new RangeError(`${name}: expected ${expected}, got ${value}`);
  };
}

/** Worker threads, of an engine and of the backend that starts them. */
export const threads = integer(1, 256);

/** An integer, or Infinity for no limit. */
export function limit(min: number): Check<number> {
  return (name, value) => (value === Number.POSITIVE_INFINITY ? value : integer(min)(name, value));
}

export const boolean: Check<boolean> = (name, value) => {
  if (typeof value === "boolean") return value;
  throw wrongType(name, "true or false", value);
};

export const string: Check<string> = (name, value) => {
  if (typeof value === "string") return value;
  throw wrongType(name, "a string", value);
};

/** A path, a name: an empty one means nothing. */
export const filled: Check<string> = (name, value) => {
  if (string(name, value) !== "") return value as string;
  throw new RangeError(`${name}: expected at least one character, got ""`);
};

export const pathOrUrl: Check<string | URL> = (name, value) => {
  if (value instanceof URL) return value;
  if (typeof value === "string") return filled(name, value);
  throw wrongType(name, "a path or a URL", value);
};

/** A string, or an array of strings, none of them empty; gives the array. */
export const strings: Check<readonly string[]> = (name, value) => {
  if (typeof value === "string") return [filled(name, value)];
  if (!Array.isArray(value)) throw wrongType(name, "a string or an array of strings", value);
  return value.map((each, i) => filled(`${name}[${i}]`, each));
};

export function choice<T extends string>(choices: readonly T[]): Check<T> {
  const { expected, holds } = choiceKind(choices);
  return (name, value) => {
    if (holds(value)) return value;
    const message = `${name}: expected ${expected}, got ${shown(value)}`;
    throw typeof value === "string" ? new RangeError(message.replace("got string ", "got ")) : new TypeError(message);
  };
}

export const callable: Check = (name, value) => {
  if (typeof value === "function") return value;
  throw wrongType(name, "a function", value);
};

/** By what it does: a signal of another realm is one too. */
export const signal: Check<AbortSignal> = (name, value) => {
  const { aborted, throwIfAborted, addEventListener } = Object(value) as Partial<AbortSignal>;
  const acts = typeof throwIfAborted === "function" && typeof addEventListener === "function";
  if (typeof aborted === "boolean" && acts) return value as AbortSignal;
  throw wrongType(name, "an AbortSignal", value);
};

/** Token ids as a tokenizer gives them, or in a typed array. */
export type TokenIds = readonly number[] | Int32Array | Uint32Array;

/** Token ids: an array, or a typed array of 32-bit integers, of numbers within the vocabulary. Gives an array of its own. */
export function ids(vocabularySize: number): Check<number[]> {
  return (name, value) => {
    if (!(Array.isArray(value) || value instanceof Int32Array || value instanceof Uint32Array)) {
      throw wrongType(name, "an array, Int32Array or Uint32Array of token ids", value);
    }
    const own = Array.from<number>(value);
    for (const [i, id] of own.entries()) {
      if (Number.isInteger(id) && id >= 0 && id < vocabularySize) continue;
      throw new RangeError(`${name}[${i}]: expected an id from 0 to ${vocabularySize - 1}, got ${String(id)}`);
    }
    return own;
  };
}

/** Ids in the place of a text are taken too. */
export function textOrIds(vocabularySize: number): Check<string | number[]> {
  return (name, value) => {
    if (typeof value === "string") return value;
    if (typeof value === "object" && value !== null) return ids(vocabularySize)(name, value);
    throw wrongType(name, "a string or an array of token ids", value);
  };
}

/** Neither null nor an array. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function object(expected: string): Check<object> {
  return (name, value) => {
    if (isRecord(value)) return value;
    throw wrongType(name, expected, value);
  };
}

export function wrongType(name: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${name}: expected ${expected}, got ${shown(value)}`);
}

const MOST_SHOWN = 60;

/** "null", "number 5", "string "x"", "an array", "an object of class Map" */
function shown(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (Array.isArray(value)) return "an array";
  if (typeof value === "function") return "a function";
  if (typeof value === "symbol") return "a symbol";
  if (typeof value !== "object") {
    const text = typeof value === "string" ? JSON.stringify(value.slice(0, MOST_SHOWN)) : String(value);
    return `${typeof value} ${text}`;
  }
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
  return typeof name === "string" && name !== "Object" ? `an object of class ${name}` : "an object";
}

/**
 * Options with every value checked, as an object of their own, so that later changes by the caller, getters and prototypes
 * do not matter. `undefined` means not given, whatever the name; another name that is not known is refused.
 */
export function options<T extends object>(given: T, checks: OptionChecks<T>): T {
  return known("", object("an object")("options", given) as T, checks);
}

/** Options within an option: messages name them as in `tuning.kv`. */
export function group<T extends object>(checks: OptionChecks<T>): Group<T> {
  const check: Check<T> = (name, value) => known(`${name}.`, object("an object")(name, value) as T, checks);
  return Object.assign(check, { names: Object.keys(checks) });
}

function known<T extends object>(prefix: string, given: T, checks: OptionChecks<T>): T {
  for (const name in given) {
    if (Object.hasOwn(checks, name) || given[name] === undefined) continue;
    throw unknownOption(prefix, name, checks);
  }
  return values(given, checks, prefix);
}

/** The same without a look at other names: for options that are part of larger ones. */
export function values<T extends object>(given: T, checks: OptionChecks<T>, prefix = ""): T {
  const own: Partial<T> = {};
  for (const name of Object.keys(checks) as (keyof T & string)[]) {
    const value = given[name];
    if (value !== undefined) own[name] = checks[name](prefix + name, value) as T[typeof name];
  }
  return own as T;
}

function unknownOption(prefix: string, name: string, checks: OptionChecks<object>): TypeError {
  const near = nearest(name, pathsOf(checks));
  const advice =
    near === undefined ? `expected one of ${Object.keys(checks).join(", ")}` : `did you mean ${prefix}${near}?`;
  return new TypeError(`${prefix}${name}: no such option; ${advice}`);
}

/** ["kv", "tuning", "tuning.kv"] */
function pathsOf(checks: OptionChecks<object>): string[] {
  const entries = Object.entries(checks as Readonly<Record<string, Check & Partial<Group<object>>>>);
  return entries.flatMap(([name, { names = [] }]) => [name, ...names.map((each) => `${name}.${each}`)]);
}

/** Names of other libraries, in small letters without underscores → ours, the first that an option here has. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  maxnewtokens: ["maxTokens"],
  maxoutputtokens: ["maxTokens"],
  maxcompletiontokens: ["maxTokens"],
  maxlength: ["maxTokens"],
  npredict: ["maxTokens"],
  numpredict: ["maxTokens"],
  stopsequences: ["stop"],
  stopstrings: ["stop"],
  stopwords: ["stop"],
  customstoptriggers: ["stop"],
  temp: ["temperature"],
  repeatpenalty: ["repetitionPenalty"],
  repeatlastn: ["repetitionWindow"],
  penaltylastn: ["repetitionWindow"],
  ignoreeos: ["ignoreEnd"],
  toplogprobs: ["logprobs"],
  nprobs: ["logprobs"],
  contextshift: ["overflow"],
  ctxshift: ["overflow"],
  nkeep: ["keepTokens"],
  numkeep: ["keepTokens"],
  abort: ["signal"],
  abortsignal: ["signal"],
  abortcontroller: ["signal"],
  special: ["parseSpecial"],
  addspecial: ["addBos"],
  addspecialtokens: ["addBos"],
  skipspecialtokens: ["skipSpecial"],
  chattemplate: ["template"],
  ctx: ["contextLength", "window"],
  nctx: ["contextLength", "window"],
  numctx: ["contextLength", "window"],
  contextsize: ["contextLength", "window"],
  maxcontext: ["contextLength", "window"],
  nthreads: ["threads"],
  numthread: ["threads"],
  numthreads: ["threads"],
  nbatch: ["batchSize"],
  numbatch: ["batchSize"],
  parallel: ["maxSessions"],
  nparallel: ["maxSessions"],
  nseqmax: ["maxSessions"],
  sequences: ["maxSessions"],
  device: ["backend"],
  cachetype: ["kv"],
  cachetypek: ["kv"],
  kvcache: ["kv"],
  progresscallback: ["onProgress"],
  onloadprogress: ["onProgress"],
  cachedir: ["cacheDirectory"],
};

/** Of the paths the one whose last name is most like `name`, or means the same elsewhere. */
function nearest(name: string, paths: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z\d]/g, "");
  const known = paths.map((path) => ({ path, last: path.slice(path.lastIndexOf(".") + 1) }));
  const same = known.find(({ last }) => plain(last) === plain(name));
  const theirs = Object.hasOwn(ELSEWHERE, plain(name)) ? ELSEWHERE[plain(name)] : [];
  const elsewhere = known.find(({ last }) => theirs.includes(last));
  if (same !== undefined || elsewhere !== undefined) return (same ?? elsewhere)?.path;
  const distances = known.map((each) => ({ ...each, distance: leven(plain(each.last), plain(name)) }));
  const near = distances.filter(({ last, distance }) => 2 * distance <= last.length && distance <= 3);
  return near.sort((a, b) => a.distance - b.distance)[0]?.path;
}
