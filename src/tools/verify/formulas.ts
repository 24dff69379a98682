/**
 * The forward pass once more, as one formula for each named intermediate: what `verify` holds a backend to. Independent
 * of `model/forward.ts` on purpose: the order of ops there is part of what is judged.
 */

import type { Rotation, WeightSource } from "../../backend/backend.js";
import { ACTIVATIONS, attendHead, dot, rmsNorm, rotateHeads, scaledDot } from "../../backend/formulas.js";
import type { DecodedWeight } from "../../formats/decode.js";
import { readWeight } from "../../formats/read.js";
import type { ModelConfig } from "../../model/config.js";
import type { LayerWeights } from "../../model/family.js";
import type { Formula, Formulas, Inputs } from "./evaluate.js";

export type DecodedLayer = { readonly [K in keyof LayerWeights]: DecodedWeight };

/**
 * Intermediates of a layer in the order of computation, without their `blk.N.`; "x" is the residual stream that enters.
 * No backend here traces q and k before their norm and rotation, gate and up, but another engine's dump may have them.
 * Which of them a model has, its family decides.
 */
export const LAYER_OPS = [
  "attn_norm",
  "q_in",
  "q",
  "q_norm",
  "q_rope",
  "k_in",
  "k",
  "k_norm",
  "k_rope",
  "v_in",
  "v",
  "attn_ctx",
  "attn_sub_norm",
  "attn_out",
  "ffn_norm",
  "gate_in",
  "gate",
  "up_in",
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

export function layerFormulas(c: ModelConfig, w: DecodedLayer): Formulas {
  const heads = (name: string, weight: DecodedWeight | undefined): Formula | undefined => {
    return weight && (({ of }) => normHeads(of(name), weight, c.normEps));
  };
  const rotated = (name: string): Formula => {
    return ({ of, row }) => rope(of(name), c.headDim, row, c);
  };
  const formulas: Partial<Record<LayerOp, Formula>> = {
    attn_norm: ({ of }) => norm(of("x"), w.attnNorm, c.normEps),
    q_in: w.attnQIn && subNorm("attn_norm", w.attnQIn, c),
    q: (inputs) => project(inputs, w.attnQIn ? "q_in" : "attn_norm", w.attnQ),
    q_norm: heads("q", w.attnQNorm),
    q_rope: rotated(w.attnQNorm ? "q_norm" : "q"),
    k_in: w.attnKIn && subNorm("attn_norm", w.attnKIn, c),
    k: (inputs) => project(inputs, w.attnKIn ? "k_in" : "attn_norm", w.attnK),
    k_norm: heads("k", w.attnKNorm),
    k_rope: rotated(w.attnKNorm ? "k_norm" : "k"),
    v_in: w.attnVIn && subNorm("attn_norm", w.attnVIn, c),
    v: (inputs) => project(inputs, w.attnVIn ? "v_in" : "attn_norm", w.attnV),
    attn_ctx: ({ of, past }) => attend(of("q_rope"), past("k_rope"), past("v"), headMap(c)),
    attn_sub_norm: w.attnSubNorm && subNorm("attn_ctx", w.attnSubNorm, c),
    attn_out: (inputs) => project(inputs, w.attnSubNorm ? "attn_sub_norm" : "attn_ctx", w.attnOutput),
    ffn_norm: ({ of }) => norm(sum(of("x"), of("attn_out")), w.ffnNorm, c.normEps),
    gate_in: w.ffnGateIn && subNorm("ffn_norm", w.ffnGateIn, c),
    gate: (inputs) => project(inputs, w.ffnGateIn ? "gate_in" : "ffn_norm", w.ffnGate),
    up_in: w.ffnUpIn && subNorm("ffn_norm", w.ffnUpIn, c),
    up: (inputs) => project(inputs, w.ffnUpIn ? "up_in" : "ffn_norm", w.ffnUp),
    ffn_act: ({ of }) => gated(of("gate"), of("up"), ACTIVATIONS[c.activation]),
    ffn_sub_norm: w.ffnSubNorm && subNorm("ffn_act", w.ffnSubNorm, c),
    ffn_down: (inputs) => project(inputs, w.ffnSubNorm ? "ffn_sub_norm" : "ffn_act", w.ffnDown),
    l_out: ({ of }) => sum(of("x"), of("attn_out"), of("ffn_down")),
  };
  return Object.fromEntries(Object.entries(formulas).filter(([, formula]) => formula !== undefined));
}

function subNorm(name: string, weight: DecodedWeight, { normEps }: ModelConfig): Formula {
  return ({ of }) => norm(of(name), weight, normEps);
}

export function norm(x: Float64Array, { dense }: DecodedWeight, eps: number): Float64Array {
  const out = new Float64Array(x.length);
  rmsNorm(out, x, dense as Float32Array, eps);
  return out;
}

/** The norm of each head by itself. */
function normHeads(x: Float64Array, weight: DecodedWeight, eps: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += weight.columns) {
    out.set(norm(x.subarray(start, start + weight.columns), weight, eps), start);
  }
  return out;
}

export function rope(x: Float64Array, headDim: number, position: number, rotation: Rotation): Float64Array {
  const out = x.slice();
  rotateHeads(out, headDim, position, rotation);
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

/** A matrix times its input: rounded to int8 where the matrix is ternary, else as it is. */
function project({ of, quantized }: Inputs, input: string, weight: DecodedWeight): Float64Array {
  const { rows, columns, ternary, dense = new Float32Array(), factor } = weight;
  if (ternary === undefined) {
    const x = of(input);
    return Float64Array.from({ length: rows }, (_, row) => {
      return factor * dot(dense.subarray(row * columns, (row + 1) * columns), x);
    });
  }
  const { q, step } = quantized(input);
  return Float64Array.from({ length: rows }, (_, row) => scaledDot(ternary, row * columns, q) * step * factor);
}
