/**
 * What a family of models is to this engine: all in which architectures differ that share the forward pass. Each is
 * described by one file of families/, and listed in families/families.ts; whoever reads a model file asks its family.
 */
import type { Activation, Weight, WeightUse } from "../backend/backend.js";
import type { GgufValue } from "../gguf/file.js";
import type { Metadata } from "../gguf/metadata.js";

export interface Family {
  /** values of general.architecture; each begins the keys of its files too */
  readonly architectures: readonly string[];
  readonly activation: Activation;
  /** the tensors of one layer, in the order in which they are loaded */
  layer(sizes: Sizes): Readonly<Record<keyof LayerWeights, LayerTensor>>;
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
}

/** A layer as the forward pass names it. */
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

export interface Shape {
  readonly use: WeightUse;
  readonly rows: number;
  readonly columns: number;
}

export interface LayerTensor extends Shape {
  /** in the file, without its `blk.N.` prefix and `.weight` suffix */
  readonly name: string;
}

/** A defect of a file's metadata, and what is used in its place. */
export interface Repair {
  /** the metadata key */
  readonly key: string;
  /** what was wrong with the file */
  readonly problem: string;
  /** what is used in its place */
  readonly replacement: string;
}

export interface Fix extends Repair {
  readonly value: GgufValue;
}
