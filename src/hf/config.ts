/**
 * config.json → what the metadata of a GGUF file says of the same model. Names and absent values are those of transformers
 * (`configuration_bitnet.py`, `configuration_llama.py`, `configuration_qwen3.py`); what it would compute otherwise than the
 * graphs here is refused by name.
 */
import { choiceKind, integerKind, isRecord, type Kind, numberKind } from "../check.js";
import { TernionError } from "../errors.js";
import { FLAG, TEXT } from "../gguf/metadata.js";
import type { GgufKeyValue } from "../gguf/write.js";
import { float, integer, text } from "./entries.js";
import { type JsonObject, shown } from "./folder.js";
import { readRope } from "./rope.js";

/** What a model's directory is to the graphs here. */
export interface HfModel {
  readonly family: HfFamily;
  readonly metadata: readonly GgufKeyValue[];
  readonly vocabularySize: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** whether the head is the embedding */
  readonly tied: boolean;
  readonly quantization: Quantization | undefined;
  /** (headDim / 2) divide the angles of RoPE; `rope_freqs.weight` of a GGUF file */
  readonly ropeFactors: readonly number[] | undefined;
}

interface HfFamily {
  /** general.architecture of a GGUF file */
  readonly arch: string;
  readonly activation: string;
  readonly absent: { readonly eps: number; readonly ropeBase: number };
  /** whether rows of q and k lie otherwise in a GGUF file, so that pairs of RoPE are adjacent */
  readonly isPermuted: boolean;
  /** trained with BitLinear: float weights are master weights, which transformers makes ternary while it loads them */
  readonly isBitNet: boolean;
}

const FAMILIES: Readonly<Record<string, HfFamily>> = {
  bitnet: {
    arch: "bitnet-b1.58",
    activation: "relu2",
    absent: { eps: 1e-5, ropeBase: 500_000 },
    isPermuted: false,
    isBitNet: true,
  },
  llama: {
    arch: "llama",
    activation: "silu",
    absent: { eps: 1e-6, ropeBase: 10_000 },
    isPermuted: true,
    isBitNet: false,
  },
  qwen3: {
    arch: "qwen3",
    activation: "silu",
    absent: { eps: 1e-6, ropeBase: 10_000 },
    isPermuted: false,
    isBitNet: false,
  },
};

/** How the matrices are ternary (transformers, `integrations/bitnet.py`). */
export interface Quantization {
  /** what `weight_scale` does to the sums: `BitLinear` divides by it, `AutoBitLinear` multiplies */
  readonly scale: "divides" | "multiplies";
  /** whether float weights without a `weight_scale` are master weights, made ternary by their mean magnitude */
  readonly online: boolean;
  /** parts of the names of modules whose weights are as they lie there */
  readonly plain: readonly string[];
}

const SIZE = (max: number, min = 1): Kind<number> => integerKind(min, max);

/** `name`: of the model, where config.json has none. */
export function readModel(config: JsonObject, name: string): HfModel {
  const family = familyOf(config);
  checkSupported(config, family);
  const width = config.get("hidden_size", SIZE(65_536));
  const heads = config.get("num_attention_heads", SIZE(1_024));
  const kvHeads = config.get("num_key_value_heads", SIZE(heads), heads);
  const headDim = config.get("head_dim", SIZE(1_024), Math.floor(width / heads));
  const layers = config.get("num_hidden_layers", SIZE(1_000));
  const vocabularySize = config.get("vocab_size", SIZE(1 << 24));
  const contextLength = config.get("max_position_embeddings", SIZE(1 << 24));
  const rope = readRope(config, { headDim, contextLength, absentBase: family.absent.ropeBase });
  const { arch } = family;
  const sizes: Readonly<Record<string, number>> = {
    vocab_size: vocabularySize,
    context_length: contextLength,
    embedding_length: width,
    block_count: layers,
    feed_forward_length: config.get("intermediate_size", SIZE(1 << 20)),
    "rope.dimension_count": headDim,
    "attention.head_count": heads,
    "attention.head_count_kv": kvHeads,
    "attention.key_length": headDim,
    "attention.value_length": headDim,
  };
  const metadata = [
    text("general.architecture", arch),
    text("general.name", name),
    ...Object.entries(sizes).map(([key, value]) => integer(`${arch}.${key}`, value)),
    float(`${arch}.attention.layer_norm_rms_epsilon`, config.get("rms_norm_eps", numberKind(0, 1), family.absent.eps)),
    ...rope.metadata.map((entry) => ({ ...entry, key: `${arch}.${entry.key}` })),
  ];
  const tied = config.get("tie_word_embeddings", FLAG, false);
  const quantization = readQuantization(config, family);
  const { factors: ropeFactors } = rope;
  return { family, metadata, vocabularySize, width, layers, heads, kvHeads, headDim, tied, quantization, ropeFactors };
}

function familyOf(config: JsonObject): HfFamily {
  const type = config.get("model_type", TEXT);
  if (Object.hasOwn(FAMILIES, type)) return FAMILIES[type];
  throw config.unsupported("model_type", Object.keys(FAMILIES).join(" or "));
}

/** Refuses by name what would be computed wrongly if it were ignored. */
function checkSupported(config: JsonObject, { activation }: HfFamily): void {
  if (config.get("hidden_act", TEXT, activation) !== activation) throw config.unsupported("hidden_act", activation);
  for (const name of ["attention_bias", "mlp_bias", "use_sliding_window"]) {
    if (config.get(name, FLAG, false)) throw config.unsupported(name, "false");
  }
  // 1bitLLM's first models: a graph of their own under the name of another
  const names = config.any("architectures");
  if (Array.isArray(names) && names.includes("BitnetForCausalLM")) {
    throw config.unsupported("architectures", "another than BitnetForCausalLM; use a GGUF file of this model");
  }
}

function readQuantization(config: JsonObject, { isBitNet }: HfFamily): Quantization | undefined {
  const given = config.object("quantization_config");
  if (given === undefined) return isBitNet ? { scale: "multiplies", online: true, plain: [] } : undefined;
  if (given.get("quant_method", TEXT) !== "bitnet") throw given.unsupported("quant_method", "bitnet");
  // a norm of its own before each matrix, which no graph here has
  if (given.get("use_rms_norm", FLAG, false)) throw given.unsupported("use_rms_norm", "false");
  const linear = given.get("linear_class", choiceKind(["bitlinear", "autobitlinear"]), "bitlinear");
  const mode = given.get("quantization_mode", choiceKind(["offline", "online"]), "offline");
  const scale = linear === "bitlinear" ? "divides" : "multiplies";
  return { scale, online: mode === "online", plain: plainModules(given) };
}

function plainModules(given: JsonObject): readonly string[] {
  const names = given.any("modules_to_not_convert") ?? [];
  if (Array.isArray(names) && names.every((each) => typeof each === "string")) return names;
  throw given.wrong("modules_to_not_convert", "an array of strings");
}

/** Ids of config.json or generation_config.json: one, several or none. */
export function idsOf(config: JsonObject | undefined, name: string): readonly number[] {
  const value = config?.any(name) ?? [];
  const ids = Array.isArray(value) ? value : [value];
  if (ids.every((id) => integerKind(0).holds(id))) return ids;
  throw new TernionError("TOKENIZER", `${config?.path}: ${name}: expected token ids, got ${shown(value)}.`);
}

/** "<s>", or { content: "<s>" } */
export function tokenOf(config: JsonObject | undefined, name: string): string | undefined {
  const value = config?.any(name);
  const content = isRecord(value) ? value.content : value;
  return typeof content === "string" ? content : undefined;
}
