/**
 * A model file that was read → all that is known of it before its weights are loaded: the head, the repaired metadata, the configuration
 * and where each weight is. The one way there: the engine, `verify`, `repair` and the commands take it.
 */
import type { WeightSource } from "../backend/backend.js";
import { TernionError } from "../errors.js";
import type { GgufHead, GgufValue, OpenGguf } from "../gguf/file.js";
import { textOf } from "../gguf/metadata.js";
import { type ModelConfig, readConfig } from "./config.js";
import { withFloatNorms, withRopeFactors, withScales } from "./extras.js";
import type { Repair } from "./family.js";
import { repairMetadata } from "./repair.js";
import { isUnused, weightSources } from "./weights.js";

/** A GGUF as an engine would use it, be it a model that can run here or not. */
export interface OpenHead {
  /** as the file has it */
  readonly file: GgufHead;
  /** the file's own, repaired */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly repairs: readonly Repair[];
}

export interface OpenModel extends OpenHead {
  readonly file: OpenGguf;
  readonly config: ModelConfig;
  /** in the layout of the file, which is not known yet: see layout-evidence.ts */
  readonly sources: readonly WeightSource[];
}

/** `strict` refuses a file that needs repair. */
export function headOf(file: GgufHead, strict: boolean): OpenHead {
  const { metadata, repairs: ofMetadata } = repairMetadata(file.metadata);
  const arch = textOf(metadata, "general.architecture");
  const unused = [...file.tensors.keys()].filter((name) => isUnused(name, arch));
  const repairs = [...ofMetadata, ...unused.map(leftAlone)];
  if (strict && repairs.length > 0) throw needsRepair(repairs);
  return { file, metadata, repairs };
}

/** The same of what must be a model which can run here. */
export async function modelOf(file: OpenGguf, strict: boolean): Promise<OpenModel> {
  const head = headOf(file, strict);
  const config = await withRopeFactors(file, readConfig(file, head.metadata));
  const sources = await withScales(file, config, weightSources(await withFloatNorms(file), config));
  return { ...head, file, config, sources };
}

/** As if the tensor were not in the file. */
function leftAlone(key: string): Repair {
  return { key, problem: "the head of this architecture is the embedding", replacement: "token_embd.weight" };
}

function needsRepair(repairs: readonly Repair[]): TernionError {
  const list = repairs.map(({ key, problem }) => `${key} (${problem})`).join("; ");
  return new TernionError(
    "MODEL_REPAIR",
    `The model file needs repair and strict is set: ${list}. Load it without strict to have it repaired in memory.`,
  );
}
