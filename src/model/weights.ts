/**
 * Which tensors a model file must hold, of which type and shape, and their way into a backend. The table below is the
 * only place that knows tensor names; each file tensor is checked before a byte of it is read and handed over once.
 */
import type { Backend, LoadOptions, TernaryLayout, Weight, WeightSource, WeightType } from "../backend/backend.js";
import { TernionError } from "../errors.js";
import type { GgufFile } from "../gguf/file.js";
import type { ModelConfig } from "./config.js";

export interface LayerWeights {
  readonly attnNorm: Weight; // (1, width)
  readonly attnQ: Weight; // (heads * headDim, width)
  readonly attnK: Weight; // (kvHeads * headDim, width)
  readonly attnV: Weight; // (kvHeads * headDim, width)
  readonly attnSubNorm: Weight; // (1, width)
  readonly attnOutput: Weight; // (width, width)
  readonly ffnNorm: Weight; // (1, width)
  readonly ffnGate: Weight; // (ffnWidth, width)
  readonly ffnUp: Weight; // (ffnWidth, width)
  readonly ffnSubNorm: Weight; // (1, ffnWidth)
  readonly ffnDown: Weight; // (width, ffnWidth)
}

export interface ModelWeights {
  readonly embedding: Weight; // (vocabularySize, width)
  readonly layers: readonly LayerWeights[];
  readonly outputNorm: Weight; // (1, width)
  /** (vocabularySize, width); the embedding itself where the file ties them */
  readonly head: Weight;
}

interface Expected {
  readonly types: readonly WeightType[];
  readonly rows: number;
  readonly columns: number;
}

const FLOAT: readonly WeightType[] = ["F32"];
const TERNARY: readonly WeightType[] = ["I2_S"];
const TABLE: readonly WeightType[] = ["F16", "Q8_0", "Q6_K", "BF16", "F32"];

/** File name of each tensor of a layer, without its `blk.N.` prefix and `.weight` suffix. */
const LAYER_NAMES: Readonly<Record<keyof LayerWeights, string>> = {
  attnNorm: "attn_norm",
  attnQ: "attn_q",
  attnK: "attn_k",
  attnV: "attn_v",
  attnSubNorm: "attn_sub_norm",
  attnOutput: "attn_output",
  ffnNorm: "ffn_norm",
  ffnGate: "ffn_gate",
  ffnUp: "ffn_up",
  ffnSubNorm: "ffn_sub_norm",
  ffnDown: "ffn_down",
};

function layerShapes(config: ModelConfig): Record<keyof LayerWeights, Expected> {
  const { width, ffnWidth } = config;
  const kvWidth = config.kvHeads * config.headDim;
  const norm = (columns: number) => ({ types: FLOAT, rows: 1, columns });
  const ternary = (rows: number, columns: number) => ({ types: TERNARY, rows, columns });
  return {
    attnNorm: norm(width),
    attnQ: ternary(width, width),
    attnK: ternary(kvWidth, width),
    attnV: ternary(kvWidth, width),
    attnSubNorm: norm(width),
    attnOutput: ternary(width, width),
    ffnNorm: norm(width),
    ffnGate: ternary(ffnWidth, width),
    ffnUp: ternary(ffnWidth, width),
    ffnSubNorm: norm(ffnWidth),
    ffnDown: ternary(width, ffnWidth),
  };
}

/** Checks every tensor that the model needs, and lists where its bytes are. */
export function weightSources(file: GgufFile, config: ModelConfig): WeightSource[] {
  const { vocabularySize, width } = config;
  const table = { types: TABLE, rows: vocabularySize, columns: width };
  const sources = [check(file, "token_embd.weight", table)];
  const shapes = Object.entries(layerShapes(config)) as [keyof LayerWeights, Expected][];
  for (let layer = 0; layer < config.layers; layer++) {
    for (const [key, expected] of shapes) {
      sources.push(check(file, `blk.${layer}.${LAYER_NAMES[key]}.weight`, expected));
    }
  }
  sources.push(check(file, "output_norm.weight", { types: FLOAT, rows: 1, columns: width }));
  if (file.tensors.has("output.weight")) sources.push(check(file, "output.weight", table));
  return sources;
}

/** The same with the layout of the ternary ones. */
export function withLayout(sources: readonly WeightSource[], layout: TernaryLayout): WeightSource[] {
  return sources.map((source) => (source.type === "I2_S" ? { ...source, layout } : source));
}

/** Loads the tensors that `weightSources` listed and gives them the names that the forward pass uses. */
export async function loadWeights(
  sources: readonly WeightSource[],
  config: ModelConfig,
  backend: Pick<Backend, "load">,
  options: LoadOptions,
): Promise<ModelWeights> {
  const loaded = await backend.load(sources, options);
  const byName = new Map(loaded.map((weight) => [weight.name, weight]));
  const get = (name: string): Weight => {
    const weight = byName.get(name);
    if (weight === undefined) throw new TernionError("MODEL_TENSOR", `${name}: the backend did not load it.`);
    return weight;
  };
  const keys = Object.keys(LAYER_NAMES) as (keyof LayerWeights)[];
  const layers = Array.from({ length: config.layers }, (_, layer) => {
    const entries = keys.map((key) => [key, get(`blk.${layer}.${LAYER_NAMES[key]}.weight`)]);
    return Object.fromEntries(entries) as Record<keyof LayerWeights, Weight>;
  });
  const embedding = get("token_embd.weight");
  return { embedding, layers, outputNorm: get("output_norm.weight"), head: byName.get("output.weight") ?? embedding };
}

function check(file: GgufFile, name: string, expected: Expected): WeightSource {
  const { types, rows, columns } = expected;
  // GGUF writes dims innermost first, and a norm with one dim
  const dims = rows === 1 ? [columns] : [columns, rows];
  const tensor = file.tensors.get(name);
  const want = `${name}: expected ${types.join(" or ")} [${dims.join(", ")}]`;
  if (tensor === undefined) {
    throw new TernionError("MODEL_TENSOR", `${want}, got no such tensor. The file is incomplete; download it again.`);
  }
  const type = types.find((known) => known === tensor.type);
  if (type === undefined || tensor.dims.length !== dims.length || tensor.dims.some((d, i) => d !== dims[i])) {
    throw new TernionError("MODEL_TENSOR", `${want}, got ${tensor.type} [${tensor.dims.join(", ")}].`);
  }
  if (type === "I2_S" && columns % 128 !== 0) {
    throw new TernionError("MODEL_TENSOR", `${want}: I2_S rows must be a multiple of 128 weights, got ${columns}.`);
  }
  const { offset, byteLength } = tensor;
  return { name, type, rows, columns, path: tensor.path ?? file.path, offset, byteLength };
}
