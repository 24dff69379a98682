/**
 * Which tensors a model file must hold, of which type and shape, and their way into a backend. Those of a layer are known to
 * the family; each file tensor is checked before a byte of it is read and handed over once.
 */
import type { Backend, Feature, LoadOptions, TernaryLayout, Weight, WeightSource } from "../backend/backend.js";
import { TernionError } from "../errors.js";
import { formatOf, hasLayouts, isTernary, KNOWN_TYPES } from "../formats/table.js";
import type { OpenGguf } from "../gguf/file.js";
import type { ModelConfig } from "./config.js";
import { isExtra } from "./extras.js";
import { familyOf } from "./families/families.js";
import type { Family, LayerWeights, Shape } from "./family.js";

export interface ModelWeights {
  readonly embedding: Weight; // (vocabularySize, width)
  readonly layers: readonly LayerWeights[];
  readonly outputNorm: Weight; // (1, width)
  /** (vocabularySize, width); the embedding itself where the file ties them */
  readonly head: Weight;
  /** matrices whose inputs are rounded to int8 */
  readonly ternary: ReadonlySet<Weight>;
  /** whether all matrices are */
  readonly isTernary: boolean;
}

const layerOf = (config: ModelConfig) => (familyOf(config.arch) as Family).layer(config);

const inLayer = (layer: number, name: string) => `blk.${layer}.${name}.weight`;

type Tensors = Pick<OpenGguf, "tensors" | "bytes">;

/** What a model file must hold, and may, in the order in which it is loaded. */
function expectedTensors(config: ModelConfig): Map<string, Shape> {
  const { vocabularySize, width } = config;
  const table: Shape = { use: "table", rows: vocabularySize, columns: width };
  const tensors = Object.values(layerOf(config));
  const layers = Array.from({ length: config.layers }, (_, layer) =>
    tensors.map(({ name, ...shape }) => [inLayer(layer, name), shape] as const),
  );
  return new Map([
    ["token_embd.weight", table],
    ...layers.flat(),
    ["output_norm.weight", { use: "norm", rows: 1, columns: width }],
    [HEAD, table],
  ]);
}

/** End of the names of what no model here has. */
const BIAS = ".bias";

/** Where the file ties it to the embedding there is none. */
const HEAD = "output.weight";

/** Whether models of this architecture leave the tensor alone. */
export const isUnused = (name: string, arch: string | undefined) => {
  return name === HEAD && familyOf(arch)?.headIsEmbedding === true;
};

/** Checks every tensor that the model needs, and lists where its bytes are. */
export function weightSources(file: Tensors, config: ModelConfig): WeightSource[] {
  const expected = expectedTensors(config);
  checkKnown(file, config, new Set(expected.keys()));
  const present = [...expected].filter(([name]) => name !== HEAD || file.tensors.has(name));
  const used = present.filter(([name]) => !isUnused(name, config.arch));
  return used.map(([name, tensor]) => check(file, name, tensor));
}

/** Refuses a tensor that nothing here computes with: the model needs it, or nobody would have written it. */
function checkKnown({ tensors }: Tensors, config: ModelConfig, weights: ReadonlySet<string>): void {
  const other = [...tensors.keys()].find((name) => !weights.has(name) && !isExtra(name, config, weights));
  if (other === undefined) return;
  const expected = other.endsWith(BIAS)
    ? "a model without biases"
    : `only tensors that ${config.arch} computes with here`;
  throw new TernionError("MODEL_ARCH", `${other}: expected ${expected}, got this tensor. It cannot run here.`);
}

/** The same with the layout of those whose type leaves it open. */
export function withLayout(sources: readonly WeightSource[], layout: TernaryLayout): WeightSource[] {
  return sources.map((source) => (hasLayouts(source) ? { ...source, layout } : source));
}

/** Loads the tensors that `weightSources` listed and gives them the names that the forward pass uses. */
export async function loadWeights(
  sources: readonly WeightSource[],
  config: ModelConfig,
  backend: Pick<Backend, "kind" | "load" | "takes" | "features">,
  options: LoadOptions,
): Promise<ModelWeights> {
  checkTaken(sources, expectedTensors(config), backend);
  checkFeatures(sources, config, backend);
  const loaded = await backend.load(sources, options);
  const byName = new Map(loaded.map((weight) => [weight.name, weight]));
  const get = (name: string): Weight => {
    const weight = byName.get(name);
    if (weight === undefined) throw new TernionError("MODEL_TENSOR", `${name}: the backend did not load it.`);
    return weight;
  };
  const tensors = Object.entries(layerOf(config));
  const layers = Array.from({ length: config.layers }, (_, layer) => {
    const entries = tensors.map(([key, { name }]) => [key, get(inLayer(layer, name))]);
    return Object.fromEntries(entries) as LayerWeights;
  });
  const embedding = get("token_embd.weight");
  const expected = expectedTensors(config);
  const matrices = sources.filter(({ name }) => expected.get(name)?.use === "matrix");
  const ternary = new Set(matrices.filter(isTernary).map(({ name }) => get(name)));
  const head = byName.get(HEAD) ?? embedding;
  return {
    embedding,
    layers,
    outputNorm: get("output_norm.weight"),
    head,
    ternary,
    isTernary: ternary.size === matrices.length,
  };
}

/** Refuses what the backend cannot compute with; another one may. */
function checkTaken(
  sources: readonly WeightSource[],
  expected: ReadonlyMap<string, Shape>,
  { kind, takes }: Pick<Backend, "kind" | "takes">,
): void {
  for (const { name, type } of sources) {
    const types = takes[(expected.get(name) as Shape).use];
    if (types.includes(type)) continue;
    throw new TernionError(
      "BACKEND_UNAVAILABLE",
      `${name}: expected ${types.join(" or ")}, which the ${kind} backend computes with, got ${type}. ` +
        "Use a file of this model with weights of such a type, or another backend.",
    );
  }
}

function checkFeatures(
  sources: readonly WeightSource[],
  config: ModelConfig,
  { kind, features }: Pick<Backend, "kind" | "features">,
): void {
  const { attnSubNorm, attnQNorm } = layerOf(config);
  const needed: Feature[] = [];
  if (config.ropePairs === "adjacent") needed.push("adjacent pairs");
  if (attnQNorm !== undefined) needed.push("normHeads");
  if (attnSubNorm === undefined && sources.some(isTernary)) needed.push("quantize");
  const lacking = needed.find((feature) => !features.includes(feature));
  if (lacking === undefined) return;
  throw new TernionError(
    "BACKEND_UNAVAILABLE",
    `${config.arch}: models of this architecture need ${lacking}, which the ${kind} backend has not. Use another backend.`,
  );
}

function check(file: Tensors, name: string, { use, rows, columns }: Shape): WeightSource {
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
  const { offset, byteLength, part = 0 } = tensor;
  return { name, type, rows, columns, bytes: file.bytes[part], offset, byteLength };
}
