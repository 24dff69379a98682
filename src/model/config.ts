/**
 * GGUF metadata → a checked ModelConfig. Every number that later code divides by, allocates from or loops over is
 * checked here, and an error names the key.
 */
import type { Activation, Rotation } from "../backend/backend.js";
import { integerKind, numberKind } from "../check.js";
import { quote, TernionError } from "../errors.js";
import type { GgufFile } from "../gguf/file.js";
import { FLAG, type Metadata, MetadataReader, TEXT } from "../gguf/metadata.js";
import { ARCHITECTURES, familyOf } from "./families/families.js";
import type { Sizes } from "./family.js";
import { readRotation } from "./rope.js";

/** How one vector is made of the hidden states of a text: their mean, the last, or the first. */
export type Pooling = "mean" | "last" | "cls";
export const POOLINGS: readonly Pooling[] = ["mean", "last", "cls"];

/** By ggml's numbers; 0 is none, and what else there is makes no vector. */
const POOLING_TYPES: Readonly<Record<number, Pooling>> = { 1: "mean", 2: "cls", 3: "last" };

/** The configuration of a model, as its file gives it. */
export interface ModelConfig extends Sizes, Rotation {
  readonly arch: string;
  readonly name: string;
  /** positions the model was trained for */
  readonly contextLength: number;
  readonly normEps: number;
  readonly activation: Activation;
  /** of a model that was made for embeddings */
  readonly pooling?: Pooling | undefined;
}

/** Reads the configuration of a model file; `metadata` may be a repaired copy of the file's own. */
export function readConfig(file: GgufFile, metadata: Metadata = file.metadata): ModelConfig {
  const keys = new MetadataReader(metadata, damaged);
  /** of what is sound, but would be computed wrongly here */
  const others = new MetadataReader(metadata, unsupported);
  const arch = keys.get("general.architecture", TEXT);
  const family = familyOf(arch);
  if (family === undefined) {
    throw new TernionError(
      "MODEL_ARCH",
      `general.architecture: expected ${ARCHITECTURES.join(" or ")}, got ${quote(arch)}. ` +
        (MOE.test(arch) ? "Models of several experts do not run here." : "Use a model of one of these architectures."),
    );
  }
  const key = (name: string) => `${arch}.${name}`;
  const integer = (name: string, min: number, max: number, absent?: number) =>
    keys.get(key(name), integerKind(min, max), absent);
  checkSupported(others, key);
  const width = integer("embedding_length", 128, 65_536);
  const heads = integer("attention.head_count", 1, 1_024);
  const kvHeads = integer("attention.head_count_kv", 1, heads, heads);
  const rotated = keys.optional(key("rope.dimension_count"), integerKind(8, 1_024));
  const headDim = integer("attention.key_length", 8, 1_024, rotated ?? width / heads);
  if (rotated !== undefined && rotated !== headDim) {
    throw others.wrong(key("rope.dimension_count"), `all ${headDim} elements of a head`);
  }
  if (integer("attention.value_length", 8, 1_024, headDim) !== headDim) {
    throw others.wrong(key("attention.value_length"), `that of keys, ${headDim}`);
  }
  if (heads % kvHeads !== 0) throw keys.wrong(key("attention.head_count_kv"), `a divisor of head_count ${heads}`);
  if (headDim % 8 !== 0) throw keys.wrong(key("rope.dimension_count"), "a multiple of 8", String(headDim));
  const contextLength = integer("context_length", 1, 1 << 24);
  const pooling = POOLING_TYPES[integer("pooling_type", 0, 255, 0)];
  return {
    arch,
    name: keys.get("general.name", TEXT, arch),
    vocabularySize: integer("vocab_size", 1, 1 << 24, file.tensors.get("token_embd.weight")?.dims[1]),
    contextLength,
    width,
    ffnWidth: integer("feed_forward_length", 128, 1 << 20),
    layers: integer("block_count", 1, 1_000),
    heads,
    kvHeads,
    headDim,
    ...(file.tensors.has("blk.0.attn_q_norm_in.weight") && { hasInputNorms: true }),
    normEps: keys.get(key("attention.layer_norm_rms_epsilon"), numberKind(1e-12, 1e-2)),
    ...readRotation({ keys, others, key }, { headDim, contextLength }),
    ropePairs: family.ropePairs,
    activation: family.activation,
    ...(pooling && { pooling }),
  };
}

/** Architectures of this kind end so. */
const MOE = /moe$/;

/** Refuses by name what would be computed wrongly if it were ignored. */
function checkSupported(keys: MetadataReader, key: (name: string) => string): void {
  const rotated = [...keys.metadata.keys()].find((each) => each.startsWith("prism.hadamard."));
  if (rotated !== undefined) throw keys.wrong(rotated, "weights that are not rotated (Hadamard)");
  const experts = keys.get(key("expert_count"), integerKind(0, 1 << 20), 0);
  if (experts > 0) throw keys.wrong(key("expert_count"), "a model without experts");
  if (!keys.get(key("attention.causal"), FLAG, true)) {
    throw keys.wrong(key("attention.causal"), "attention to earlier tokens alone (true)", "false");
  }
}

function unsupported(problem: string): TernionError {
  return new TernionError("MODEL_ARCH", `metadata key ${problem}. Such a model cannot run here.`);
}

function damaged(problem: string): TernionError {
  return new TernionError("MODEL_KEY", `metadata key ${problem}. The file is damaged or was converted wrongly.`);
}
