/**
 * What a family of models is to this engine: all in which architectures differ that share the forward pass. Each is
 * described by one file of families/, and listed in families/families.ts; whoever reads a model file asks its family.
 */
import type { Activation, RopePairs, Weight, WeightUse } from "../backend/backend.js";
import type { GgufValue } from "../gguf/file.js";
import type { Metadata } from "../gguf/metadata.js";

export interface Family {
  /** values of general.architecture; each begins the keys of its files too */
  readonly architectures: readonly string[];
  readonly activation: Activation;
  /** which elements of a head turn together, in its files */
  readonly ropePairs: RopePairs;
  /** whether its files may have tensors `.scale`, one float each that multiplies the matrix of the same name */
  readonly hasScales?: boolean;
  /** whether its files may have `rope_freqs.weight` */
  readonly hasRopeFactors?: boolean;
  /** whether the embedding is the head, whatever head a file brings */
  readonly headIsEmbedding?: boolean;
  /** the tensors of one layer, in the order in which they are loaded */
  layer(sizes: Sizes): LayerTensors;
  /** known defects of official files: each finds its own, and leaves alone what is merely unusual */
  readonly repairs: readonly ((metadata: Metadata) => Fix | undefined)[];
}

/** What the shapes of weights follow from. */
export interface Sizes {
  readonly vocabularySize: number;
  /** elements of the residual stream (embedding_length) */
  readonly width: number;
  readonly ffnWidth: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** whether each matrix has a norm of its own for its input, after the one of the block, as BitNet's embedding models have */
  readonly hasInputNorms?: boolean | undefined;
}

/** A layer as the forward pass names it. What a family has not is absent, and so is its step. */
export interface LayerWeights {
  readonly attnNorm: Weight; // (1, width)
  readonly attnQIn?: Weight; // (1, width) of what attn_norm gives; so are those of K, V, gate and up
  readonly attnKIn?: Weight; // (1, width)
  readonly attnVIn?: Weight; // (1, width)
  readonly attnQ: Weight; // (heads * headDim, width)
  readonly attnK: Weight; // (kvHeads * headDim, width)
  readonly attnV: Weight; // (kvHeads * headDim, width)
  readonly attnQNorm?: Weight; // (1, headDim) of each head, before RoPE
  readonly attnKNorm?: Weight; // (1, headDim)
  readonly attnSubNorm?: Weight; // (1, heads * headDim)
  readonly attnOutput: Weight; // (width, heads * headDim)
  readonly ffnNorm: Weight; // (1, width)
  readonly ffnGateIn?: Weight; // (1, width)
  readonly ffnUpIn?: Weight; // (1, width)
  readonly ffnGate: Weight; // (ffnWidth, width)
  readonly ffnUp: Weight; // (ffnWidth, width)
  readonly ffnSubNorm?: Weight; // (1, ffnWidth)
  readonly ffnDown: Weight; // (width, ffnWidth)
}

export interface Shape {
  readonly use: WeightUse;
  readonly rows: number;
  readonly columns: number;
}

export interface LayerTensor extends Shape {
  /** in the file, without its `blk.N.` prefix and `.weight` suffix */
  readonly name: string;
}

export type LayerTensors = { readonly [K in keyof LayerWeights]: LayerTensor };

export const norm = (name: string, columns: number): LayerTensor => ({ name, use: "norm", rows: 1, columns });
export const matrix = (name: string, rows: number, columns: number): LayerTensor => {
  return { name, use: "matrix", rows, columns };
};

/** The tensors that all families have in common. */
export function plainLayer({ width, ffnWidth, heads, kvHeads, headDim }: Sizes): LayerTensors {
  return {
    attnNorm: norm("attn_norm", width),
    attnQ: matrix("attn_q", heads * headDim, width),
    attnK: matrix("attn_k", kvHeads * headDim, width),
    attnV: matrix("attn_v", kvHeads * headDim, width),
    attnOutput: matrix("attn_output", width, heads * headDim),
    ffnNorm: norm("ffn_norm", width),
    ffnGate: matrix("ffn_gate", ffnWidth, width),
    ffnUp: matrix("ffn_up", ffnWidth, width),
    ffnDown: matrix("ffn_down", width, ffnWidth),
  };
}

/** The norms of bitnet, before attn_output and ffn_down. */
export function withSubNorms(layer: LayerTensors): LayerTensors {
  const { attnNorm, attnQ, attnK, attnV, attnOutput, ffnDown, ...rest } = layer;
  const attnSubNorm = norm("attn_sub_norm", attnOutput.columns);
  const ffnSubNorm = norm("ffn_sub_norm", ffnDown.columns);
  return { attnNorm, attnQ, attnK, attnV, attnSubNorm, attnOutput, ...rest, ffnSubNorm, ffnDown };
}

/** The same with a norm for the input of each matrix. */
export function withInputNorms(layer: LayerTensors): LayerTensors {
  const of = ({ name, columns }: LayerTensor) => norm(`${name}_norm_in`, columns);
  const { attnQ, attnK, attnV, attnOutput, ffnGate, ffnUp, ffnDown } = layer;
  const [attnQIn, attnKIn, attnVIn] = [attnQ, attnK, attnV].map(of);
  const [ffnGateIn, ffnUpIn] = [ffnGate, ffnUp].map(of);
  const inputs = { attnQIn, attnKIn, attnVIn, ffnGateIn, ffnUpIn };
  return { ...layer, ...inputs, attnSubNorm: of(attnOutput), ffnSubNorm: of(ffnDown) };
}

/** A defect of a file, and what is used in its place. */
export interface Repair {
  /** the metadata key, or the name of a tensor */
  readonly key: string;
  /** what was wrong with the file */
  readonly problem: string;
  /** what is used in its place */
  readonly replacement: string;
}

export interface Fix extends Repair {
  readonly value: GgufValue;
}
