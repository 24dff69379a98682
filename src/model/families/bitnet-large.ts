/**
 * The first BitNet models in GGUF, 1bitLLM's bitnet_b1_58-large and -3B: the graph of bitnet-b1.58 with SiLU, a SentencePiece
 * vocabulary, a head that is always the embedding, and a float `.scale` beside each matrix.
 */
import { type Family, plainLayer, withSubNorms } from "../family.js";

export const bitnetLarge: Family = {
  architectures: ["bitnet"],
  activation: "silu",
  ropePairs: "halves",
  hasScales: true,
  headIsEmbedding: true,
  layer: (sizes) => withSubNorms(plainLayer(sizes)),
  repairs: [],
};
