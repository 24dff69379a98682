/**
 * Which tensors a model file must hold, of which type and shape, and their way into a backend. The table below is the
 * only place that knows tensor names; each file tensor is checked before a byte of it is read and handed over once.
 */
import type { Backend, LoadOptions, TernaryLayout, Weight, WeightSource, WeightUse } from "../backend/backend.js";
import { TernionError } from "../errors.js";
import { formatOf, hasLayouts, KNOWN_TYPES } from "../formats/table.js";
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
  readonly use: WeightUse;
  readonly rows: number;
  readonly columns: number;
}

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
  const norm = (columns: number): Expected => ({ use: "norm", rows: 1, columns });
  const matrix = (rows: number, columns: number): Expected => ({ use: "matrix", rows, columns });
  return {
    attnNorm: norm(width),
    attnQ: matrix(width, width),
    attnK: matrix(kvWidth, width),
    attnV: matrix(kvWidth, width),
    attnSubNorm: norm(width),
    attnOutput: matrix(width, width),
    ffnNorm: norm(width),
    ffnGate: matrix(ffnWidth, width),
    ffnUp: matrix(ffnWidth, width),
    ffnSubNorm: norm(ffnWidth),
    ffnDown: matrix(width, ffnWidth),
  };
}

/** What a model file must hold, and may, in the order in which it is loaded. */
function expectedTensors(config: ModelConfig): Map<string, Expected> {
  const { vocabularySize, width } = config;
  const table: Expected = { use: "table", rows: vocabularySize, columns: width };
  const shapes = Object.entries(layerShapes(config)) as [keyof LayerWeights, Expected][];
  const layers = Array.from({ length: config.layers }, (_, layer) =>
    shapes.map(([key, expected]) => [`blk.${layer}.${LAYER_NAMES[key]}.weight`, expected] as const),
  );
  return new Map([
    ["token_embd.weight", table],
    ...layers.flat(),
    ["output_norm.weight", { use: "norm", rows: 1, columns: width }],
    ["output.weight", table],
  ]);
}

/** Where the file ties it to the embedding there is none. */
const OPTIONAL = "output.weight";

/** Checks every tensor that the model needs, and lists where its bytes are. */
export function weightSources(file: GgufFile, config: ModelConfig): WeightSource[] {
  const expected = [...expectedTensors(config)].filter(([name]) => name !== OPTIONAL || file.tensors.has(name));
  return expected.map(([name, tensor]) => check(file, name, tensor));
}

/** The same with the layout of those whose type does not tell. */
export function withLayout(sources: readonly WeightSource[], layout: TernaryLayout): WeightSource[] {
  return sources.map((source) => (hasLayouts(source) ? { ...source, layout } : source));
}

/** Loads the tensors that `weightSources` listed and gives them the names that the forward pass uses. */
export async function loadWeights(
  sources: readonly WeightSource[],
  config: ModelConfig,
  backend: Pick<Backend, "kind" | "load" | "takes">,
  options: LoadOptions,
): Promise<ModelWeights> {
  checkTaken(sources, expectedTensors(config), backend);
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

/** Refuses what the backend cannot compute with; another one may. */
function checkTaken(
  sources: readonly WeightSource[],
  expected: ReadonlyMap<string, Expected>,
  { kind, takes }: Pick<Backend, "kind" | "takes">,
): void {
  for (const { name, type } of sources) {
    const types = takes[(expected.get(name) as Expected).use];
    if (types.includes(type)) continue;
    throw new TernionError(
      "BACKEND_UNAVAILABLE",
      `${name}: expected ${types.join(" or ")}, which the ${kind} backend computes with, got ${type}. ` +
        "Use a file of this model with weights of such a type, or another backend.",
    );
  }
}

function check(file: GgufFile, name: string, { use, rows, columns }: Expected): WeightSource {
  const types = KNOWN_TYPES[use];
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
  const whole = formatOf(type).columns;
  if (columns % whole !== 0) {
    const rule = `${type} rows must be a multiple of ${whole} weights, got ${columns}.`;
    throw new TernionError("MODEL_TENSOR", `${want}: ${rule}`);
  }
  const { offset, byteLength } = tensor;
  return { name, type, rows, columns, path: tensor.path ?? file.path, offset, byteLength };
}
