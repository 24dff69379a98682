/**
 * The ways to get a family wrong that runs here: each step of its description left out or taken from another family, and the scales of
 * its weight types read from the wrong place. In layer 1, unless all are hit.
 */
import type { CacheShape, WeightSource } from "../../../src/backend/backend.js";
import type { GoldenName } from "../../golden.js";
import type { Sabotage } from "./sabotage.js";
import { damaged, gate, missingNorm } from "./sabotages.js";

/** The cache, which knows how heads are rotated, made otherwise. */
const cache = (changes: Partial<CacheShape>): Sabotage["ops"] => {
  return ({ b }) => ({ cache: (shape) => b.cache({ ...shape, ...changes }) });
};

const missingHeadNorm = (name: string): Sabotage["ops"] => {
  return ({ b }) => ({
    normHeads: (x, weight, eps) => {
      if (weight.name !== `blk.1.${name}.weight`) b.normHeads(x, weight, eps);
    },
  });
};

const embeddingAsHead: Sabotage["ops"] = ({ b, weights }) => ({
  logits: (out, _head, x) => b.logits(out, weights.embedding, x),
});

/** Each block with the scale of the next. `at`: place of the scale in a block of `size` bytes. */
const nextScales = (tensor: string, size: number, at: number) => {
  return damaged(tensor, (bytes) => {
    const first = bytes.readUInt16LE(at);
    for (let block = 0; block + size < bytes.byteLength; block += size) {
      bytes.writeUInt16LE(bytes.readUInt16LE(block + size + at), block + at);
    }
    bytes.writeUInt16LE(first, bytes.byteLength - size + at);
  });
};

const withoutFactor = (tensor: string) => ({
  source: (source: WeightSource) => (source.name === `blk.1.${tensor}.weight` ? { ...source, factor: 1 } : source),
});

const eps = (value: number): Sabotage["ops"] => {
  return ({ b }) => ({
    normQuantize: (out, x, weight, own) => {
      b.normQuantize(out, x, weight, weight.name === "blk.0.attn_norm.weight" ? value : own);
    },
  });
};

const WRONG_PAIRS = /^RoPE pairs elements/;
const NO_FACTORS = /^the factors of the angles/;

export const FAMILY_SABOTAGES: Readonly<Partial<Record<GoldenName, readonly Sabotage[]>>> = {
  "llama-q8": [
    { name: "pairs i, i + half", fault: "blk.0.q_rope", cause: WRONG_PAIRS, ops: cache({ ropePairs: "halves" }) },
    {
      name: "squared ReLU",
      fault: "blk.1.ffn_act",
      cause: /the activation is relu2; this model's is silu/,
      ops: gate((b, out, g, up) => b.gate(out, g, up, "relu2")),
    },
    { name: "the embedding as head", fault: "logits", ops: embeddingAsHead },
    { name: "Q8_0 with the scale of the next block", fault: "blk.1.attn_out", ...nextScales("attn_output", 34, 0) },
  ],
  "llama-ropefreqs": [
    { name: "rope_freqs left out", fault: "blk.0.q_rope", cause: NO_FACTORS, ops: cache({ ropeFactors: undefined }) },
  ],
  "llama-tq2": [
    { name: "TQ2_0 with the scale of the next block", fault: "blk.1.ffn_down", ...nextScales("ffn_down", 66, 64) },
    {
      name: "the input of attn_output not rounded anew",
      fault: "blk.1.attn_out",
      ops: ({ b, layer }) => ({
        quantize: (out, x) => {
          if (layer() !== 1) b.quantize(out, x);
        },
      }),
    },
  ],
  "bitnet-tq1": [
    {
      name: "no sub-norm of attention",
      fault: "blk.1.attn_sub_norm",
      cause: /the norm is missing/,
      ops: missingNorm("attn_sub_norm"),
    },
    {
      name: "no sub-norm of the feed-forward",
      fault: "blk.1.ffn_sub_norm",
      cause: /the norm is missing/,
      ops: missingNorm("ffn_sub_norm"),
    },
    {
      name: "squared ReLU, as in bitnet-b1.58",
      fault: "blk.1.ffn_act",
      cause: /the activation is relu2; this model's is silu/,
      ops: gate((b, out, g, up) => b.gate(out, g, up, "relu2")),
    },
    { name: "no .scale", fault: "blk.1.attn_out", cause: /a scale$/, ...withoutFactor("attn_output") },
    { name: "TQ1_0 with the scale of the next block", fault: "blk.1.v", ...nextScales("attn_v", 54, 52) },
  ],
  "qwen3-q2": [
    {
      name: "no norm of the heads of q",
      fault: "blk.1.q_norm",
      cause: /the norm of the heads is missing/,
      ops: missingHeadNorm("attn_q_norm"),
    },
    {
      name: "no norm of the heads of k",
      fault: "blk.1.k_norm",
      cause: /the norm of the heads is missing/,
      ops: missingHeadNorm("attn_k_norm"),
    },
    { name: "pairs 2i, 2i + 1", fault: "blk.0.q_rope", cause: WRONG_PAIRS, ops: cache({ ropePairs: "adjacent" }) },
    { name: "eps of 1e-5 where the file says 1e-6", fault: "blk.0.attn_norm", ops: eps(1e-5) },
    { name: "Q2_0 with the scale of the next block", fault: "blk.1.ffn_down", ...nextScales("ffn_down", 18, 0) },
  ],
  "qwen3-yarn": [
    {
      name: "YaRN's magnitude left out",
      fault: "blk.0.q_rope",
      cause: /YaRN's magnitude/,
      ops: cache({ ropeMagnitude: undefined }),
    },
    {
      name: "YaRN's factors left out",
      fault: "blk.0.q_rope",
      cause: NO_FACTORS,
      ops: cache({ ropeFactors: undefined }),
    },
    { name: "PQ2_0 with the scale of the next block", fault: "blk.1.attn_out", ...nextScales("attn_output", 34, 0) },
  ],
};
