/**
 * Llama and what has its graph: Falcon3 and Falcon-E, Llama3-8B-1.58, TriLM, TinyLlama. No sub-norms, SiLU. The converter permuted
 * the rows of attn_q and attn_k, so that pairs of the rotary embedding lie side by side.
 */
import { type Family, plainLayer } from "../family.js";

export const llama: Family = {
  architectures: ["llama"],
  activation: "silu",
  ropePairs: "adjacent",
  hasRopeFactors: true,
  layer: plainLayer,
  repairs: [],
};
