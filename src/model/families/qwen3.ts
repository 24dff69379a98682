/** Qwen3, the graph of PrismML's Ternary-Bonsai: SiLU, no sub-norms, and an RMSNorm of each head of q and k before RoPE. */
import { type Family, norm, plainLayer } from "../family.js";

export const qwen3: Family = {
  architectures: ["qwen3"],
  activation: "silu",
  ropePairs: "halves",
  layer: (sizes) => {
    const { attnNorm, attnQ, attnK, attnV, ...rest } = plainLayer(sizes);
    const attnQNorm = norm("attn_q_norm", sizes.headDim);
    const attnKNorm = norm("attn_k_norm", sizes.headDim);
    return { attnNorm, attnQ, attnK, attnV, attnQNorm, attnKNorm, ...rest };
  },
  repairs: [],
};
