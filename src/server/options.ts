/** What a server may be asked for, checked; what is left open is filled in. */
import * as check from "../check.js";
import { lastName } from "../errors.js";
import type { EngineOptions, ModelInput } from "../index.js";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "./logs.js";
import type { Observer } from "./observer.js";

/** A model that a server has, and under which name. */
export interface ModelEntry {
  /** how requests name it; default: the file's name without ".gguf" */
  readonly name?: string | undefined;
  /** default: the model in the box */
  readonly model?: string | URL | ModelInput | undefined;
  /** beside those of all models */
  readonly engine?: EngineOptions | undefined;
}

/** Of the plugin. */
export interface ServiceOptions {
  /** The first one answers requests that name none. Default: the model in the box. */
  readonly models?: readonly (string | URL | ModelEntry)[] | undefined;
  /** of every model */
  readonly engine?: EngineOptions | undefined;
  /** models that are loaded at the same time; one more takes the place of the one used longest ago. Default: all */
  readonly maxModels?: number | undefined;
  /** requests that may wait for a place of a model; one more is refused with 429. Default 256 */
  readonly maxQueue?: number | undefined;
  /** most milliseconds that a request waits for its place; then 503. Default 60,000 */
  readonly queueTimeoutMs?: number | undefined;
  /** most milliseconds from the beginning of a request to its end; default 600,000 */
  readonly requestTimeoutMs?: number | undefined;
  /** most tokens of an answer, whatever its request says; default: what the context holds */
  readonly maxTokens?: number | undefined;
  /** most bytes of a body; default 4 MiB */
  readonly maxBodyBytes?: number | undefined;
  /** Keys of which requests must give one, as "Authorization: Bearer KEY" or "x-api-key: KEY". Default: none is asked for */
  readonly apiKeys?: readonly string[] | undefined;
  /** Web pages of other origins that may read answers, as "https://example.org", or "*" for all. Default: none */
  readonly corsOrigins?: readonly string[] | undefined;
  /**
   * Names by which requests may call the server, beside those of this machine: others are refused with 403. Default: any; of a
   * server of its own that listens on this machine only and asks for no key: none. See hosts.ts.
   */
  readonly allowedHosts?: readonly string[] | undefined;
  /** the chat page at the root. Default: yes in a server of its own, no in the plugin, whose app may have a root already */
  readonly page?: boolean | undefined;
  /** a comment goes over a silent stream after so many milliseconds; default 10,000 */
  readonly keepAliveMs?: number | undefined;
  /** a client that takes nothing of its answer for so many milliseconds is disconnected; default 60,000 */
  readonly stallTimeoutMs?: number | undefined;
  readonly observers?: readonly Observer[] | undefined;
}

export interface ServerOptions extends ServiceOptions {
  /** default "127.0.0.1": this machine only */
  readonly host?: string | undefined;
  /** default 8080; 0: a free one */
  readonly port?: number | undefined;
  /** most milliseconds for the bytes of a request to come; then 408. Default 60,000 */
  readonly receiveTimeoutMs?: number | undefined;
  /** what goes to the log, which is a line a request; default "silent" */
  readonly logLevel?: LogLevel | undefined;
  /** default "json", a line each */
  readonly logFormat?: LogFormat | undefined;
  /** takes the lines of the log; default: they go to stderr */
  readonly logWrite?: ((line: string) => void) | undefined;
}

const MOST_MS = 2 ** 31 - 1;

export const SERVICE_CHECKS: check.OptionChecks<ServiceOptions> = {
  models: checkModels,
  engine: check.object("options of an engine"),
  maxModels: check.integer(1),
  maxQueue: check.integer(0),
  queueTimeoutMs: check.integer(1, MOST_MS),
  requestTimeoutMs: check.integer(1, MOST_MS),
  maxTokens: check.integer(1),
  maxBodyBytes: check.integer(1),
  apiKeys: check.strings,
  corsOrigins: check.strings,
  allowedHosts: checkHosts,
  page: check.boolean,
  keepAliveMs: check.integer(1, MOST_MS),
  stallTimeoutMs: check.integer(1, MOST_MS),
  observers: checkObservers,
};

export const SERVER_CHECKS: check.OptionChecks<ServerOptions> = {
  ...SERVICE_CHECKS,
  host: check.filled,
  port: check.integer(0, 65_535),
  receiveTimeoutMs: check.integer(1, MOST_MS),
  logLevel: check.choice(LOG_LEVELS),
  logFormat: check.choice(LOG_FORMATS),
  logWrite: check.callable,
};

function checkModels(name: string, value: unknown): readonly (string | URL | ModelEntry)[] {
  if (!Array.isArray(value)) throw check.wrongType(name, "an array of models", value);
  if (value.length === 0) throw new RangeError(`${name}: expected at least one model, got none`);
  return [...value];
}

/** None is a list too. */
function checkHosts(name: string, value: unknown): readonly string[] {
  return (Array.isArray(value) && value.length === 0 ? [] : check.strings(name, value)).map((host) =>
    host.toLowerCase(),
  );
}

function checkObservers(name: string, value: unknown): readonly Observer[] {
  if (!Array.isArray(value)) throw check.wrongType(name, "an array of observers", value);
  return value.map((each, i) => check.object("an observer")(`${name}[${i}]`, each));
}

/** Nothing left open. */
export interface Settings extends Required<Omit<ServiceOptions, "models" | "maxTokens" | "allowedHosts">> {
  readonly models: readonly NamedModel[];
  /** Infinity: none */
  readonly maxTokens: number;
  /** undefined: any */
  readonly allowedHosts: readonly string[] | undefined;
}

export interface NamedModel extends ModelEntry {
  readonly name: string;
}

export function settingsOf(options: ServiceOptions): Settings {
  const own = check.values(options, SERVICE_CHECKS);
  const models = namedModels(own.models ?? [{}]);
  return {
    models,
    engine: own.engine ?? {},
    maxModels: own.maxModels ?? models.length,
    maxQueue: own.maxQueue ?? 256,
    queueTimeoutMs: own.queueTimeoutMs ?? 60_000,
    requestTimeoutMs: own.requestTimeoutMs ?? 600_000,
    maxTokens: own.maxTokens ?? Number.POSITIVE_INFINITY,
    maxBodyBytes: own.maxBodyBytes ?? 4 << 20,
    apiKeys: own.apiKeys ?? [],
    corsOrigins: own.corsOrigins ?? [],
    allowedHosts: own.allowedHosts,
    page: own.page ?? false,
    keepAliveMs: own.keepAliveMs ?? 10_000,
    stallTimeoutMs: own.stallTimeoutMs ?? 60_000,
    observers: own.observers ?? [],
  };
}

/** Each with its name, which no other has. */
function namedModels(entries: readonly (string | URL | ModelEntry)[]): NamedModel[] {
  const named = entries.map((each) => {
    const entry: ModelEntry = typeof each === "string" || each instanceof URL ? { model: each } : each;
    return { ...entry, name: entry.name ?? nameOf(entry.model) };
  });
  const twice = named.find(({ name }, i) => named.findIndex((each) => each.name === name) < i);
  if (twice === undefined) return named;
  throw new RangeError(`models: expected a name for each, got ${JSON.stringify(twice.name)} twice. Name them apart.`);
}

const BOX_NAME = "ternion-tiny";

function nameOf(model: ModelEntry["model"]): string {
  if (model === undefined) return BOX_NAME;
  if (typeof model !== "string" && !(model instanceof URL)) return "model";
  const path = String(model).replace(/[?#].*$/, "");
  return lastName(path).replace(/(-00001-of-\d{5})?\.gguf$/i, "") || "model";
}
