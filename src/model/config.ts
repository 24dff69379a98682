/**
 * GGUF metadata → a checked ModelConfig. Every number that later code divides by, allocates from or loops over is
 * checked here, and an error names the key.
 */
import type { Activation } from "../backend/backend.js";
import { integerKind, numberKind } from "../check.js";
import { quote, TernionError } from "../errors.js";
import type { GgufFile } from "../gguf/file.js";
import { type Metadata, MetadataReader, TEXT } from "../gguf/metadata.js";
import { ARCHITECTURES, familyOf } from "./families/families.js";
import type { Sizes } from "./family.js";

/** The configuration of a model, as its file gives it. */
export interface ModelConfig extends Sizes {
  readonly arch: string;
  readonly name: string;
  /** positions the model was trained for */
  readonly contextLength: number;
  readonly normEps: number;
  readonly ropeBase: number;
  readonly activation: Activation;
}

/** Reads the configuration of a model file; `metadata` may be a repaired copy of the file's own. */
export function readConfig(file: GgufFile, metadata: Metadata = file.metadata): ModelConfig {
  const keys = new MetadataReader(metadata, damaged);
  const arch = keys.get("general.architecture", TEXT);
  const family = familyOf(arch);
  if (family === undefined) {
    throw new TernionError(
      "MODEL_ARCH",
      `general.architecture: expected ${ARCHITECTURES.join(" or ")}, got ${quote(arch)}. ` +
        "Use a BitNet b1.58 model in I2_S format.",
    );
  }
  const key = (name: string) => `${arch}.${name}`;
  const integer = (name: string, min: number, max: number, absent?: number) =>
    keys.get(key(name), integerKind(min, max), absent);
  const width = integer("embedding_length", 128, 65_536);
  const heads = integer("attention.head_count", 1, 1_024);
  const kvHeads = integer("attention.head_count_kv", 1, heads, heads);
  const headDim = integer("rope.dimension_count", 8, 1_024, width / heads);
  if (headDim * heads !== width) {
    throw keys.wrong(key("rope.dimension_count"), `embedding_length / head_count = ${width / heads}`);
  }
  if (heads % kvHeads !== 0) throw keys.wrong(key("attention.head_count_kv"), `a divisor of head_count ${heads}`);
  if (headDim % 8 !== 0) throw keys.wrong(key("rope.dimension_count"), "a multiple of 8", String(headDim));
  return {
    arch,
    name: keys.get("general.name", TEXT, arch),
    vocabularySize: integer("vocab_size", 1, 1 << 24, file.tensors.get("token_embd.weight")?.dims[1]),
    contextLength: integer("context_length", 1, 1 << 24),
    width,
    ffnWidth: integer("feed_forward_length", 128, 1 << 20),
    layers: integer("block_count", 1, 1_000),
    heads,
    kvHeads,
    headDim,
    normEps: keys.get(key("attention.layer_norm_rms_epsilon"), numberKind(1e-12, 1e-2)),
    ropeBase: keys.get(key("rope.freq_base"), numberKind(1, 1e12), 10_000),
    activation: family.activation,
  };
}

function damaged(problem: string): TernionError {
  return new TernionError("MODEL_KEY", `metadata key ${problem}. The file is damaged or was converted wrongly.`);
}
