/**
 * Qwen3, the graph of PrismML's Ternary-Bonsai: SiLU, no sub-norms, and an RMSNorm of each head of q and k before RoPE. BitNet's
 * embedding models have a norm for the input of each matrix besides.
 */
import type { Metadata } from "../../gguf/metadata.js";
import { type Family, type Fix, norm, plainLayer, withInputNorms } from "../family.js";

export const qwen3: Family = {
  architectures: ["qwen3"],
  activation: "silu",
  ropePairs: "halves",
  layer: (sizes) => {
    const { attnNorm, attnQ, attnK, attnV, ...rest } = plainLayer(sizes);
    const attnQNorm = norm("attn_q_norm", sizes.headDim);
    const attnKNorm = norm("attn_k_norm", sizes.headDim);
    const layer = { attnNorm, attnQ, attnK, attnV, attnQNorm, attnKNorm, ...rest };
    return sizes.hasInputNorms ? withInputNorms(layer) : layer;
  },
  repairs: [fixPooling],
};

/**
 * Microsoft's converter of its BitNet embedding models writes "mean" where the directory does not say how to pool; the models were
 * trained with the state of the last token, which the vocabulary's end of text is put after each text for.
 */
function fixPooling(metadata: Metadata): Fix | undefined {
  const [key, mean, last] = ["qwen3.pooling_type", 1, 3];
  const isTernary = metadata.get("general.file_type") === TERNARY_FILE;
  if (metadata.get("general.architecture") !== "qwen3" || !isTernary || metadata.get(key) !== mean) return undefined;
  if (metadata.get("tokenizer.ggml.add_eos_token") !== true) return undefined;
  return {
    key,
    problem: "mean, a default of its converter",
    replacement: `${last}, the last token's state`,
    value: last,
  };
}

/** general.file_type of files of mostly ternary weights in one scale a tensor */
const TERNARY_FILE = 40;
