/**
 * THE forward pass, of all families, written once over the backend contract: it records ops, names no device and waits for
 * nothing. A step whose weight a family has not is left out. Formulas and names follow the model's description in
 * docs/model.md.
 */
import type { Backend, Batch, Cache, Head, Projection, Quantized, Tensor, Weight } from "../backend/backend.js";
import type { ModelConfig } from "./config.js";
import type { ModelWeights } from "./weights.js";

/** The activations of one batch, allocated once. R = rows of the largest batch, O = most outputs. */
export interface Activations {
  readonly x: Tensor; // (R, width) residual stream
  readonly h: Quantized; // (R, width) normalised input of a projection, and its int8 rounding for ternary ones
  readonly own: Quantized; // (R, width) `h` after a matrix's own norm, in models that have such; else `h` itself
  readonly q: Tensor; // (R, heads * headDim)
  readonly k: Tensor; // (R, kvHeads * headDim)
  readonly v: Tensor; // (R, kvHeads * headDim)
  readonly context: Tensor; // (R, heads * headDim) mixed values
  readonly mixed: Quantized; // (R, heads * headDim) the same as the input of attn_output; `h` where it is as wide
  readonly delta: Tensor; // (R, width) what a block adds to x
  readonly gate: Tensor; // (R, ffnWidth)
  readonly up: Tensor; // (R, ffnWidth)
  readonly g: Quantized; // (R, ffnWidth) normalised and quantised gate product
  readonly last: Tensor; // (O, width) normalised rows that reach the head: ranked ones, whole ones, hidden states
  readonly logits: Tensor; // (O, vocabularySize) of the whole ones
}

export interface Model {
  readonly config: ModelConfig;
  readonly weights: ModelWeights;
  readonly cache: Cache;
  readonly head: Head;
  readonly activations: Activations;
}

export function createActivations(backend: Backend, c: ModelConfig, maxRows: number, maxOutputs: number): Activations {
  const [attnWidth, kvWidth] = [c.heads * c.headDim, c.kvHeads * c.headDim];
  const h = backend.quantized(maxRows, c.width);
  return {
    x: backend.tensor(maxRows, c.width),
    h,
    own: c.hasInputNorms ? backend.quantized(maxRows, c.width) : h,
    q: backend.tensor(maxRows, attnWidth),
    k: backend.tensor(maxRows, kvWidth),
    v: backend.tensor(maxRows, kvWidth),
    context: backend.tensor(maxRows, attnWidth),
    mixed: attnWidth === c.width ? h : backend.quantized(maxRows, attnWidth),
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

  /** Rows times weights: rounded to int8 where a weight is ternary (BitLinear), else as floats. */
  const project = (projections: readonly Projection[], rounded: Quantized, floats = rounded.normed) => {
    if (w.isTernary) return b.ternary(projections, rounded);
    const ternary = projections.filter(({ weight }) => w.ternary.has(weight));
    const dense = projections.filter(({ weight }) => !w.ternary.has(weight));
    if (ternary.length > 0) b.ternary(ternary, rounded);
    if (dense.length > 0) b.linear(dense, floats);
  };
  /** The same of projections of `a.h`, each of which has a norm of its own in some models. */
  const projectEach = (projections: readonly (Projection & { readonly norm: Weight | undefined })[]) => {
    if (!c.hasInputNorms) return project(projections, a.h);
    for (const { norm, ...projection } of projections) {
      if (norm) b.normQuantize(a.own, a.h.normed, norm, c.normEps);
      project([projection], a.own);
    }
  };
  /** The same of one projection, whose input has a norm of its own in some families only. */
  const projectNormed = (projection: Projection, x: Tensor, rounded: Quantized, norm?: Weight, name = "") => {
    if (norm !== undefined) {
      b.normQuantize(rounded, x, norm, c.normEps);
      b.mark(name, rounded.normed);
    } else if (w.ternary.has(projection.weight)) b.quantize(rounded, x);
    project([projection], rounded, norm === undefined ? x : rounded.normed);
  };

  w.layers.forEach((layer, i) => {
    const mark = (name: string, tensor: Tensor) => b.mark(`blk.${i}.${name}`, tensor);

    b.normQuantize(a.h, a.x, layer.attnNorm, c.normEps);
    mark("attn_norm", a.h.normed);
    projectEach([
      { weight: layer.attnQ, out: a.q, norm: layer.attnQIn },
      { weight: layer.attnK, out: a.k, norm: layer.attnKIn },
      { weight: layer.attnV, out: a.v, norm: layer.attnVIn },
    ]);
    if (layer.attnQNorm && layer.attnKNorm) {
      b.normHeads(a.q, layer.attnQNorm, c.normEps);
      b.normHeads(a.k, layer.attnKNorm, c.normEps);
      mark("q_norm", a.q);
      mark("k_norm", a.k);
    }
    b.ropeStore(cache, i, { q: a.q, k: a.k, v: a.v });
    mark("q_rope", a.q);
    mark("k_rope", a.k);
    mark("v", a.v);
    b.attend(a.context, a.q, cache, i);
    mark("attn_ctx", a.context);
    const attended = { weight: layer.attnOutput, out: a.delta, addTo: a.x };
    projectNormed(attended, a.context, a.mixed, layer.attnSubNorm, `blk.${i}.attn_sub_norm`);
    mark("attn_out", a.delta);

    b.normQuantize(a.h, a.x, layer.ffnNorm, c.normEps);
    mark("ffn_norm", a.h.normed);
    projectEach([
      { weight: layer.ffnGate, out: a.gate, norm: layer.ffnGateIn },
      { weight: layer.ffnUp, out: a.up, norm: layer.ffnUpIn },
    ]);
    b.gate(a.gate, a.gate, a.up, c.activation);
    mark("ffn_act", a.gate);
    const down = { weight: layer.ffnDown, out: a.delta, addTo: a.x };
    projectNormed(down, a.gate, a.g, layer.ffnSubNorm, `blk.${i}.ffn_sub_norm`);
    mark("ffn_down", a.delta);
    mark("l_out", a.x);
  });

  if (batch.outputs.length === 0) return;
  b.normOutputs(a.last, a.x, w.outputNorm, c.normEps);
  b.mark("result_norm", a.last, "outputs");
  const { best = 0, hidden = 0, ranked = best > 0 ? batch.outputs.length - hidden : 0 } = batch;
  if (ranked > 0) {
    b.best(head, a.last, best);
    if (batch.draws) b.sample(head);
  }
  if (ranked + hidden === batch.outputs.length) return;
  b.logits(a.logits, head.weight, a.last);
  b.mark("logits", a.logits, "whole");
}
