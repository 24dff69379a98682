/** Names of tensors in a directory (transformers' modules) → names in a GGUF file, as llama.cpp's converter gives them. */
import { quote, TernionError } from "../errors.js";

/** What a tensor is used for. */
export type Use = "norm" | "table" | "q" | "k" | "matrix";

export interface Named {
  readonly name: string;
  readonly use: Use;
}

const MODEL: Readonly<Record<string, Named>> = {
  "model.embed_tokens": { name: "token_embd.weight", use: "table" },
  "model.norm": { name: "output_norm.weight", use: "norm" },
  lm_head: { name: "output.weight", use: "table" },
};

const LAYER: Readonly<Record<string, Named>> = {
  input_layernorm: { name: "attn_norm", use: "norm" },
  "self_attn.q_proj": { name: "attn_q", use: "q" },
  "self_attn.k_proj": { name: "attn_k", use: "k" },
  "self_attn.v_proj": { name: "attn_v", use: "matrix" },
  "self_attn.q_norm": { name: "attn_q_norm", use: "norm" },
  "self_attn.k_norm": { name: "attn_k_norm", use: "norm" },
  "self_attn.attn_sub_norm": { name: "attn_sub_norm", use: "norm" },
  "self_attn.o_proj": { name: "attn_output", use: "matrix" },
  post_attention_layernorm: { name: "ffn_norm", use: "norm" },
  "mlp.gate_proj": { name: "ffn_gate", use: "matrix" },
  "mlp.up_proj": { name: "ffn_up", use: "matrix" },
  "mlp.ffn_sub_norm": { name: "ffn_sub_norm", use: "norm" },
  "mlp.down_proj": { name: "ffn_down", use: "matrix" },
};

/** Name of what scales the weight of its module. */
export const SCALE = "weight_scale";
const WEIGHT = ".weight";
const IN_LAYER = /^model\.layers\.(\d{1,4})\.(.+)$/;

/** The tensor of a module's weight, whose name ends in `.weight`; undefined for what no model needs. */
export function namedOf(stored: string): Named | undefined {
  if (/\.rotary_emb\.inv_freq$/.test(stored)) return undefined; // of old files; it follows from config.json
  const module = stored.slice(0, -WEIGHT.length);
  if (!stored.endsWith(WEIGHT)) throw unknown(stored);
  if (Object.hasOwn(MODEL, module)) return MODEL[module];
  const [, layer, part = ""] = IN_LAYER.exec(module) ?? [];
  if (!Object.hasOwn(LAYER, part)) throw unknown(stored);
  const { name, use } = LAYER[part];
  return { name: `blk.${Number(layer)}.${name}.weight`, use };
}

function unknown(stored: string): TernionError {
  const problem = stored.endsWith(".bias") ? "a model without biases" : "the tensors of bitnet, llama or qwen3";
  return new TernionError(
    "MODEL_ARCH",
    `tensor ${quote(stored)}: expected ${problem}, got this tensor. Such a model cannot run here.`,
  );
}
