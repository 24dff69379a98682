/**
 * The shapes that the model maker knows, and the tensors of each in the order of the official converter.
 */
import type { GgmlType } from "../../src/gguf/types.js";
import type { GgufTensorInfo } from "../../src/gguf/write.js";

export interface Shape {
  readonly name: string;
  readonly layers: number;
  /** width of the residual stream */
  readonly embedding: number;
  readonly feedForward: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** tokens; the first of Llama 3's vocabulary and, unless it is whole, three special ones */
  readonly vocabulary: number;
}

export const SHAPES: readonly Shape[] = [
  { name: "tiny", layers: 2, embedding: 256, feedForward: 768, heads: 4, kvHeads: 2, vocabulary: 1024 },
  { name: "0.1B", layers: 12, embedding: 768, feedForward: 2048, heads: 12, kvHeads: 4, vocabulary: 16384 },
  { name: "0.7B", layers: 24, embedding: 1536, feedForward: 4096, heads: 12, kvHeads: 4, vocabulary: 32768 },
  { name: "2B-4T", layers: 30, embedding: 2560, feedForward: 6912, heads: 20, kvHeads: 5, vocabulary: 128256 },
];

/** Types of a separate `output.weight`; without one the head is the token embedding. */
export const HEADS = { f16: "F16", q8_0: "Q8_0", q6_k: "Q6_K" } as const satisfies Record<string, GgmlType>;
export type Head = keyof typeof HEADS;

/** How a file stores its weights: as the official converter does, or as llama.cpp reads it (same ternary weights). */
export interface Format {
  readonly architecture: string;
  readonly ternary: GgmlType;
  /** of the token embedding, which is the head too */
  readonly embedding: GgmlType;
}
export const FORMATS = {
  i2_s: { architecture: "bitnet-b1.58", ternary: "I2_S", embedding: "F16" },
  tq2_0: { architecture: "bitnet", ternary: "TQ2_0", embedding: "Q6_K" },
} as const satisfies Record<string, Format>;
export type FormatName = keyof typeof FORMATS;

/** Tensors of a model; dims are [inputs, outputs]. */
export function tensorsOf(shape: Shape, head?: Head, format: Format = FORMATS.i2_s): GgufTensorInfo[] {
  const { embedding, vocabulary, layers } = shape;
  const tensors: GgufTensorInfo[] = [
    { name: "token_embd.weight", type: format.embedding, dims: [embedding, vocabulary] },
  ];
  for (let layer = 0; layer < layers; layer++) tensors.push(...blockTensors(shape, format, `blk.${layer}.`));
  tensors.push({ name: "output_norm.weight", type: "F32", dims: [embedding] });
  if (head) tensors.push({ name: "output.weight", type: HEADS[head], dims: [embedding, vocabulary] });
  return tensors;
}

function blockTensors(shape: Shape, format: Format, prefix: string): GgufTensorInfo[] {
  const { embedding, feedForward, heads, kvHeads } = shape;
  const kv = (embedding / heads) * kvHeads;
  const norm = (name: string, width: number): GgufTensorInfo => ({
    name: `${prefix}${name}.weight`,
    type: "F32",
    dims: [width],
  });
  const ternary = (name: string, inputs: number, outputs: number): GgufTensorInfo => ({
    name: `${prefix}${name}.weight`,
    type: format.ternary,
    dims: [inputs, outputs],
  });
  return [
    norm("attn_norm", embedding),
    ternary("ffn_down", feedForward, embedding),
    norm("ffn_sub_norm", feedForward),
    ternary("ffn_gate", embedding, feedForward),
    ternary("ffn_up", embedding, feedForward),
    norm("ffn_norm", embedding),
    norm("attn_sub_norm", embedding),
    ternary("attn_k", embedding, kv),
    ternary("attn_output", embedding, embedding),
    ternary("attn_q", embedding, embedding),
    ternary("attn_v", embedding, kv),
  ];
}
