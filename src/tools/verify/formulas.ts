/**
 * The forward pass once more, as one formula for each named intermediate: what `verify` holds a backend to. Independent
 * of `model/forward.ts` on purpose: the order of ops there is part of what is judged.
 */

import type { WeightSource } from "../../backend/backend.js";
import { ACTIVATIONS, attendHead, rmsNorm, rotateHeads, scaledDot } from "../../backend/formulas.js";
import type { DecodedWeight } from "../../formats/decode.js";
import type { Ternary } from "../../formats/format.js";
import { readWeight } from "../../formats/read.js";
import type { ModelConfig } from "../../model/config.js";
import type { LayerWeights } from "../../model/family.js";
import type { Formula, Formulas, QuantizedRow } from "./evaluate.js";

export type DecodedLayer = Readonly<Record<keyof LayerWeights, DecodedWeight>>;

/**
 * Intermediates of a layer in the order of computation, without their `blk.N.`; "x" is the residual stream that enters.
 * No backend here traces q and k before their rotation, gate and up, but another engine's dump may have them.
 */
export const LAYER_OPS = [
  "attn_norm",
  "q",
  "q_rope",
  "k",
  "k_rope",
  "v",
  "attn_ctx",
  "attn_sub_norm",
  "attn_out",
  "ffn_norm",
  "gate",
  "up",
  "ffn_act",
  "ffn_sub_norm",
  "ffn_down",
  "l_out",
] as const;

export type LayerOp = (typeof LAYER_OPS)[number];

export async function readLayer(weights: LayerWeights): Promise<DecodedLayer> {
  const read = Object.entries(weights).map(async ([key, source]) => [key, await readWeight(source as WeightSource)]);
  return Object.fromEntries(await Promise.all(read));
}

export function layerFormulas(c: ModelConfig, w: DecodedLayer): Formulas & Readonly<Record<LayerOp, Formula>> {
  return {
    attn_norm: ({ of }) => norm(of("x"), w.attnNorm, c.normEps),
    q: ({ quantized }) => bitLinear(quantized("attn_norm"), w.attnQ),
    q_rope: ({ of, row }) => rope(of("q"), c.headDim, row, c.ropeBase),
    k: ({ quantized }) => bitLinear(quantized("attn_norm"), w.attnK),
    k_rope: ({ of, row }) => rope(of("k"), c.headDim, row, c.ropeBase),
    v: ({ quantized }) => bitLinear(quantized("attn_norm"), w.attnV),
    attn_ctx: ({ of, past }) => attend(of("q_rope"), past("k_rope"), past("v"), headMap(c)),
    attn_sub_norm: ({ of }) => norm(of("attn_ctx"), w.attnSubNorm, c.normEps),
    attn_out: ({ quantized }) => bitLinear(quantized("attn_sub_norm"), w.attnOutput),
    ffn_norm: ({ of }) => norm(sum(of("x"), of("attn_out")), w.ffnNorm, c.normEps),
    gate: ({ quantized }) => bitLinear(quantized("ffn_norm"), w.ffnGate),
    up: ({ quantized }) => bitLinear(quantized("ffn_norm"), w.ffnUp),
    ffn_act: ({ of }) => gated(of("gate"), of("up"), ACTIVATIONS[c.activation]),
    ffn_sub_norm: ({ of }) => norm(of("ffn_act"), w.ffnSubNorm, c.normEps),
    ffn_down: ({ quantized }) => bitLinear(quantized("ffn_sub_norm"), w.ffnDown),
    l_out: ({ of }) => sum(of("x"), of("attn_out"), of("ffn_down")),
  };
}

export function norm(x: Float64Array, { dense }: DecodedWeight, eps: number): Float64Array {
  const out = new Float64Array(x.length);
  rmsNorm(out, x, dense as Float32Array, eps);
  return out;
}

export function rope(x: Float64Array, headDim: number, position: number, base: number): Float64Array {
  const out = x.slice();
  rotateHeads(out, headDim, position, base);
  return out;
}

/** How heads are laid out: the key-value head of a query head, and their size. */
export interface HeadMap {
  readonly headDim: number;
  kvHead(head: number): number;
}

export function headMap({ heads, kvHeads, headDim }: ModelConfig): HeadMap {
  return { headDim, kvHead: (head) => Math.floor(head / (heads / kvHeads)) };
}

/** One row of queries over rows of keys and values. */
export function attend(q: Float64Array, keys: Float64Array[], values: Float64Array[], map: HeadMap): Float64Array {
  const { headDim, kvHead } = map;
  const out = new Float64Array(q.length);
  for (let head = 0; head * headDim < q.length; head++) {
    const part = (row: Float64Array, h: number) => row.subarray(h * headDim, (h + 1) * headDim);
    const kv = (rows: Float64Array[]) => rows.map((row) => part(row, kvHead(head)));
    attendHead(part(out, head), part(q, head), kv(keys), kv(values));
  }
  return out;
}

export function gated(gate: Float64Array, up: Float64Array, activate: (x: number) => number): Float64Array {
  return gate.map((value, i) => activate(value) * up[i]);
}

export function sum(first: Float64Array, ...others: readonly Float64Array[]): Float64Array {
  return first.map((value, i) => others.reduce((total, other) => total + other[i], value));
}

function bitLinear({ q, step }: QuantizedRow, { rows, ternary }: DecodedWeight): Float64Array {
  const out = new Float64Array(rows);
  for (let row = 0; row < rows; row++) out[row] = scaledDot(ternary as Ternary, row * q.length, q) * step;
  return out;
}
