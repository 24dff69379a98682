/**
 * GGUF metadata → a checked ModelConfig. Every number that later code divides by, allocates from or loops over is
 * checked here, and an error names the key. One entry of FAMILIES per architecture.
 */
import type { Activation } from "../backend/backend.js";
import { quote, TernionError } from "../errors.js";
import type { GgufFile, GgufValue } from "../gguf/file.js";

export interface ModelConfig {
  readonly arch: string;
  readonly name: string;
  readonly vocabularySize: number;
  /** positions the model was trained for */
  readonly contextLength: number;
  /** elements of the residual stream (embedding_length) */
  readonly width: number;
  readonly ffnWidth: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly normEps: number;
  readonly ropeBase: number;
  readonly activation: Activation;
}

/** What differs between architectures that share the forward pass. */
interface Family {
  readonly activation: Activation;
}

const FAMILIES: Readonly<Record<string, Family>> = {
  "bitnet-b1.58": { activation: "relu2" },
  "bitnet-25": { activation: "relu2" },
};

type Metadata = ReadonlyMap<string, GgufValue>;

/** Reads the configuration of a model file; `metadata` may be a mended copy of the file's own. */
export function readConfig(file: GgufFile, metadata: Metadata = file.metadata): ModelConfig {
  const arch = text(metadata, "general.architecture");
  if (!Object.hasOwn(FAMILIES, arch)) {
    throw new TernionError(
      "MODEL_ARCH",
      `general.architecture: expected ${Object.keys(FAMILIES).join(" or ")}, got ${quote(arch)}. ` +
        "Use a BitNet b1.58 model in I2_S format.",
    );
  }
  const family = FAMILIES[arch];
  const key = (name: string) => `${arch}.${name}`;
  const width = integer(metadata, key("embedding_length"), 128, 65_536);
  const heads = integer(metadata, key("attention.head_count"), 1, 1_024);
  const kvHeads = integer(metadata, key("attention.head_count_kv"), 1, heads, heads);
  const headDim = integer(metadata, key("rope.dimension_count"), 8, 1_024, width / heads);
  if (headDim * heads !== width) {
    throw invalid(key("rope.dimension_count"), `embedding_length / head_count = ${width / heads}`, headDim);
  }
  if (heads % kvHeads !== 0) throw invalid(key("attention.head_count_kv"), `a divisor of head_count ${heads}`, kvHeads);
  if (headDim % 8 !== 0) throw invalid(key("rope.dimension_count"), "a multiple of 8", headDim);
  return {
    arch,
    name: metadata.has("general.name") ? text(metadata, "general.name") : arch,
    vocabularySize: integer(metadata, key("vocab_size"), 1, 1 << 24, file.tensors.get("token_embd.weight")?.dims[1]),
    contextLength: integer(metadata, key("context_length"), 1, 1 << 24),
    width,
    ffnWidth: integer(metadata, key("feed_forward_length"), 128, 1 << 20),
    layers: integer(metadata, key("block_count"), 1, 1_000),
    heads,
    kvHeads,
    headDim,
    normEps: real(metadata, key("attention.layer_norm_rms_epsilon"), 1e-12, 1e-2),
    ropeBase: real(metadata, key("rope.freq_base"), 1, 1e12, 10_000),
    activation: family.activation,
  };
}

function integer(metadata: Metadata, key: string, min: number, max: number, absent?: number): number {
  const value = metadata.get(key) ?? absent;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max) {
    throw invalid(key, `an integer from ${min} to ${max}`, value);
  }
  return value;
}

function real(metadata: Metadata, key: string, min: number, max: number, absent?: number): number {
  const value = metadata.get(key) ?? absent;
  if (typeof value !== "number" || !(value >= min && value <= max)) {
    throw invalid(key, `a number from ${min} to ${max}`, value);
  }
  return value;
}

function text(metadata: Metadata, key: string): string {
  const value = metadata.get(key);
  if (typeof value !== "string") throw invalid(key, "a string", value);
  return value;
}

function invalid(key: string, expected: string, got: unknown): TernionError {
  const found = got === undefined ? "nothing" : typeof got === "object" ? "an array" : quote(String(got));
  return new TernionError(
    "MODEL_KEY",
    `metadata key ${key}: expected ${expected}, got ${found}. The file is damaged or was converted wrongly.`,
  );
}
