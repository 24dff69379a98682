/**
 * A model file → all that is known of it before its weights are loaded: the head, the repaired metadata, the configuration
 * and where each weight is. The one way there: the engine, `verify`, `repair` and the commands take it.
 */
import type { WeightSource } from "../backend/backend.js";
import * as check from "../check.js";
import { TernionError } from "../errors.js";
import type { GgufHead, GgufValue } from "../gguf/file.js";
import { readGguf } from "../gguf/gguf.js";
import { type ModelConfig, readConfig } from "./config.js";
import type { Repair } from "./family.js";
import { repairMetadata } from "./repair.js";
import { weightSources } from "./weights.js";

export interface OpenOptions {
  /** refuse a file whose metadata needs repair; default false */
  readonly strict?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

const CHECKS: check.OptionChecks<OpenOptions> = { strict: check.boolean, signal: check.signal };

/** A GGUF as an engine would use it, be it a model that can run here or not. */
export interface OpenHead {
  /** as the file has it */
  readonly file: GgufHead;
  /** the file's own, repaired */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly repairs: readonly Repair[];
}

export interface OpenModel extends OpenHead {
  readonly config: ModelConfig;
  /** in the layout of the file, which is not known yet: see layout-evidence.ts */
  readonly sources: readonly WeightSource[];
}

/** Reads the head of a file and repairs its metadata. */
export async function openHead(path: string, options: OpenOptions = {}): Promise<OpenHead> {
  const { strict, signal } = check.options(options, CHECKS);
  const file = await readGguf(path, { signal });
  const { metadata, repairs } = repairMetadata(file.metadata);
  if (strict && repairs.length > 0) throw needsRepair(repairs);
  return { file, metadata, repairs };
}

/** The same for a file that must be a model which can run here. */
export async function openModel(path: string, options: OpenOptions = {}): Promise<OpenModel> {
  const head = await openHead(path, options);
  const config = readConfig(head.file, head.metadata);
  return { ...head, config, sources: weightSources(head.file, config) };
}

function needsRepair(repairs: readonly Repair[]): TernionError {
  const list = repairs.map(({ key, problem }) => `${key} (${problem})`).join("; ");
  return new TernionError(
    "MODEL_REPAIR",
    `The model file needs repair and strict is set: ${list}. Load it without strict to have it repaired in memory.`,
  );
}
