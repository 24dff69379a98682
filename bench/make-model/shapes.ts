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
  /** tokens; the first of Llama 3's vocabulary and, unless it is whole, three special ones; unused ones beyond it */
  readonly vocabulary: number;
}

export const SHAPES: readonly Shape[] = [
  { name: "tiny", layers: 2, embedding: 256, feedForward: 768, heads: 4, kvHeads: 2, vocabulary: 1024 },
  { name: "0.1B", layers: 12, embedding: 768, feedForward: 2048, heads: 12, kvHeads: 4, vocabulary: 16384 },
  { name: "0.7B", layers: 24, embedding: 1536, feedForward: 4096, heads: 12, kvHeads: 4, vocabulary: 32768 },
  { name: "1.1B", layers: 22, embedding: 2048, feedForward: 5632, heads: 32, kvHeads: 4, vocabulary: 32000 },
  { name: "1.7B", layers: 28, embedding: 2048, feedForward: 6144, heads: 16, kvHeads: 8, vocabulary: 151936 },
  { name: "8B", layers: 36, embedding: 4096, feedForward: 12288, heads: 32, kvHeads: 8, vocabulary: 151936 },
  { name: "2B-4T", layers: 30, embedding: 2560, feedForward: 6912, heads: 20, kvHeads: 5, vocabulary: 128256 },
];

/** Types of a separate `output.weight`; without one the head is the token embedding. */
export const HEADS = { f16: "F16", q8_0: "Q8_0", q6_k: "Q6_K" } as const satisfies Record<string, GgmlType>;
export type Head = keyof typeof HEADS;

/** How a file stores its weights: as the official converter does, or as llama.cpp reads it (same ternary weights). */
export interface Format {
  readonly architecture: string;
  /** of the matrices */
  readonly matrix: GgmlType;
  /** of the token embedding, which is the head too */
  readonly embedding: GgmlType;
}
export const FORMATS = {
  i2_s: { architecture: "bitnet-b1.58", matrix: "I2_S", embedding: "F16" },
  tq2_0: { architecture: "bitnet", matrix: "TQ2_0", embedding: "Q6_K" },
  "llama-q8_0": { architecture: "llama", matrix: "Q8_0", embedding: "Q8_0" },
  "llama-f16": { architecture: "llama", matrix: "F16", embedding: "F16" },
  "llama-tq2_0": { architecture: "llama", matrix: "TQ2_0", embedding: "Q6_K" },
  "qwen3-q8_0": { architecture: "qwen3", matrix: "Q8_0", embedding: "Q8_0" },
  "qwen3-q2_0": { architecture: "qwen3", matrix: "Q2_0", embedding: "Q2_0" },
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
  const { architecture, matrix } = format;
  const subNorms = architecture.startsWith("bitnet");
  const headNorms = architecture === "qwen3";
  const norm = (name: string, width: number): GgufTensorInfo => ({
    name: `${prefix}${name}.weight`,
    type: "F32",
    dims: [width],
  });
  const weight = (name: string, inputs: number, outputs: number): GgufTensorInfo => ({
    name: `${prefix}${name}.weight`,
    type: matrix,
    dims: [inputs, outputs],
  });
  return [
    norm("attn_norm", embedding),
    weight("ffn_down", feedForward, embedding),
    ...(subNorms ? [norm("ffn_sub_norm", feedForward)] : []),
    weight("ffn_gate", embedding, feedForward),
    weight("ffn_up", embedding, feedForward),
    norm("ffn_norm", embedding),
    ...(subNorms ? [norm("attn_sub_norm", embedding)] : []),
    ...(headNorms ? [norm("attn_q_norm", embedding / heads), norm("attn_k_norm", embedding / heads)] : []),
    weight("attn_k", embedding, kv),
    weight("attn_output", embedding, embedding),
    weight("attn_q", embedding, embedding),
    weight("attn_v", embedding, kv),
  ];
}
