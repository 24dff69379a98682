/**
 * THE forward pass of BitNet b1.58, written once over the backend contract: it records ops, names no device and waits
 * for nothing. Formulas and names follow the model's description in docs/model.md.
 */
import type { Backend, Batch, Cache, Head, Quantized, Tensor } from "../backend/backend.js";
import type { ModelConfig } from "./config.js";
import type { ModelWeights } from "./weights.js";

/** The activations of one batch, allocated once. R = rows of the largest batch, O = most outputs. */
export interface Activations {
  readonly x: Tensor; // (R, width) residual stream
  readonly h: Quantized; // (R, width) normalised and quantised input of a bitlinear
  readonly q: Tensor; // (R, heads * headDim)
  readonly k: Tensor; // (R, kvHeads * headDim)
  readonly v: Tensor; // (R, kvHeads * headDim)
  readonly context: Tensor; // (R, heads * headDim) mixed values
  readonly delta: Tensor; // (R, width) what a block adds to x
  readonly gate: Tensor; // (R, ffnWidth)
  readonly up: Tensor; // (R, ffnWidth)
  readonly g: Quantized; // (R, ffnWidth) normalised and quantised gate product
  readonly last: Tensor; // (O, width) normalised rows that reach the head, the ranked ones first
  readonly logits: Tensor; // (O, vocabularySize) of the rows that are not ranked
}

export interface Model {
  readonly config: ModelConfig;
  readonly weights: ModelWeights;
  readonly cache: Cache;
  readonly head: Head;
  readonly activations: Activations;
}

export function createActivations(backend: Backend, c: ModelConfig, maxRows: number, maxOutputs: number): Activations {
  const kvWidth = c.kvHeads * c.headDim;
  return {
    x: backend.tensor(maxRows, c.width),
    h: backend.quantized(maxRows, c.width),
    q: backend.tensor(maxRows, c.width),
    k: backend.tensor(maxRows, kvWidth),
    v: backend.tensor(maxRows, kvWidth),
    context: backend.tensor(maxRows, c.width),
    delta: backend.tensor(maxRows, c.width),
    gate: backend.tensor(maxRows, c.ffnWidth),
    up: backend.tensor(maxRows, c.ffnWidth),
    g: backend.quantized(maxRows, c.ffnWidth),
    last: backend.tensor(maxOutputs, c.width),
    logits: backend.tensor(maxOutputs, c.vocabularySize),
  };
}

/** Records one forward pass over the rows of `batch`; after `run`, `head` and `activations.logits` have the scores of its outputs. */
export function forward(b: Backend, model: Model, batch: Batch): void {
  const { config: c, weights: w, cache, head, activations: a } = model;
  b.begin(batch);
  b.embed(a.x, w.embedding);
  b.mark("embd", a.x);

  w.layers.forEach((layer, i) => {
    const mark = (name: string, tensor: Tensor) => b.mark(`blk.${i}.${name}`, tensor);

    b.normQuantize(a.h, a.x, layer.attnNorm, c.normEps);
    mark("attn_norm", a.h.normed);
    b.ternary(
      [
        { weight: layer.attnQ, out: a.q },
        { weight: layer.attnK, out: a.k },
        { weight: layer.attnV, out: a.v },
      ],
      a.h,
    );
    b.ropeStore(cache, i, { q: a.q, k: a.k, v: a.v });
    mark("q_rope", a.q);
    mark("k_rope", a.k);
    mark("v", a.v);
    b.attend(a.context, a.q, cache, i);
    mark("attn_ctx", a.context);
    b.normQuantize(a.h, a.context, layer.attnSubNorm, c.normEps);
    mark("attn_sub_norm", a.h.normed);
    b.ternary([{ weight: layer.attnOutput, out: a.delta, addTo: a.x }], a.h);
    mark("attn_out", a.delta);

    b.normQuantize(a.h, a.x, layer.ffnNorm, c.normEps);
    mark("ffn_norm", a.h.normed);
    b.ternary(
      [
        { weight: layer.ffnGate, out: a.gate },
        { weight: layer.ffnUp, out: a.up },
      ],
      a.h,
    );
    b.gate(a.gate, a.gate, a.up, c.activation);
    mark("ffn_act", a.gate);
    b.normQuantize(a.g, a.gate, layer.ffnSubNorm, c.normEps);
    mark("ffn_sub_norm", a.g.normed);
    b.ternary([{ weight: layer.ffnDown, out: a.delta, addTo: a.x }], a.g);
    mark("ffn_down", a.delta);
    mark("l_out", a.x);
  });

  if (batch.outputs.length === 0) return;
  b.normOutputs(a.last, a.x, w.outputNorm, c.normEps);
  b.mark("result_norm", a.last, "outputs");
  const { best = 0, ranked = best > 0 ? batch.outputs.length : 0 } = batch;
  if (ranked > 0) {
    b.best(head, a.last, best);
    if (batch.draws) b.sample(head);
  }
  if (ranked === batch.outputs.length) return;
  b.logits(a.logits, head.weight, a.last);
  b.mark("logits", a.logits, "whole");
}
