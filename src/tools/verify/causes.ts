/**
 * Why an intermediate is wrong. First the usual mistakes are tried: a formula that gives just the faulty row is named as
 * the cause. Where none does, what usually goes wrong in that op is said.
 */
import type { RopePairs, Rotation } from "../../backend/backend.js";
import { ACTIVATIONS, dot } from "../../backend/formulas.js";
import type { ModelConfig } from "../../model/config.js";
import type { Evaluator, Formula } from "./evaluate.js";
import { attend, type DecodedLayer, gated, headMap, norm, rope, sum } from "./formulas.js";
import { relativeError } from "./judge.js";

/** A mistake and the formula that makes it. */
type Mistake = readonly [text: string, formula: Formula];

/** So near to a mistake's result, a faulty row is taken for it. */
const SAME = 1e-3;

/** What usually goes wrong, by op. */
const USUAL: Readonly<Record<string, string>> = {
  embd: "the wrong row of the embedding, or its table decoded wrongly",
  attn_norm: "RMSNorm: eps inside the root, the norm's weight, or the residual stream that enters",
  q: "the weights of attn_q: codes, their scale, or the int8 scale of the activations",
  q_norm: "the norm of each head of q, its weight or eps, or the weights of attn_q",
  q_rope: "RoPE (which elements pair, position, base, factors), or the weights of attn_q: codes and scale",
  k: "the weights of attn_k: codes, their scale, or the int8 scale of the activations",
  k_norm: "the norm of each head of k, its weight or eps, or the weights of attn_k",
  k_rope: "RoPE (which elements pair, position, base, factors), or the weights of attn_k: codes and scale",
  v: "the weights of attn_v: codes, their scale, or the int8 scale of the activations",
  attn_ctx:
    "attention: 1/sqrt(headDim), the causal limit, the head mapping, or keys and values of another position or slot",
  attn_sub_norm: "the sub-norm between attention and attn_output is missing, or its weight or eps is another",
  attn_out: "the weights of attn_output: codes, their scale, or the int8 scale of the activations",
  ffn_norm: "the attention's output was not added to the residual stream, or RMSNorm's weight or eps is another",
  gate: "the weights of ffn_gate: codes, their scale, or the int8 scale of the activations",
  up: "the weights of ffn_up: codes, their scale, or the int8 scale of the activations",
  ffn_act: "the activation (relu squared or SiLU), gate and up exchanged, or the weights of ffn_gate or ffn_up",
  ffn_sub_norm: "the sub-norm between the gate product and ffn_down is missing, or its weight or eps is another",
  ffn_down: "the weights of ffn_down: codes, their scale, or the int8 scale of the activations",
  l_out: "the residual stream: attention's or the feed-forward's output was not added once",
  result_norm: "the final RMSNorm is missing, or its weight or eps is another",
  logits: "the head: its rows, its decoding, or an embedding used where the file has an output.weight",
};

export function usualCause(op: string): string {
  return `usually: ${USUAL[op]}`;
}

/** What explains `row` of `op`: a mistake that gives its values, a factor, or what is usual. */
export function causeOf(evaluator: Evaluator, op: string, row: number, mistakes: readonly Mistake[]): string {
  const got = evaluator.value(op, row);
  if (!got.every(Number.isFinite))
    return "not every value is a finite number: an overflow, or memory that nothing wrote";
  if (got.every((value) => value === 0)) return "every value is 0: the op did not run, or wrote elsewhere";
  // the last row too where it is wrong: at position 0 many mistakes look alike
  const last = (evaluator.known.get(op)?.length ?? row + 1) - 1;
  const isWrong = relativeError(evaluator.value(op, last), evaluator.compute(op, last)) > SAME;
  const rows = isWrong ? [row, last] : [row];
  const match = mistakes.find(([, formula]) =>
    rows.every((r) => relativeError(evaluator.value(op, r), evaluator.alternative(formula, r)) < SAME),
  );
  if (match !== undefined) return match[0];
  const expected = evaluator.compute(op, row);
  const factor = dot(got, expected) / dot(expected, expected);
  const scaled = expected.map((value) => value * factor);
  if (relativeError(got, scaled) < SAME)
    return `every value is ${factor.toPrecision(4)} times what it should be: a scale`;
  return usualCause(op);
}

/** The mistakes that are known to happen in an op of a layer. */
export function layerMistakes(op: string, c: ModelConfig, w: DecodedLayer): readonly Mistake[] {
  switch (op) {
    case "attn_norm":
      return normMistakes(({ of }) => of("x"), w.attnNorm.dense, c);
    case "q_norm":
    case "k_norm":
      return [["the norm of the heads is missing: these are its inputs", ({ of }) => of(op[0])]];
    case "attn_sub_norm":
      return normMistakes(({ of }) => of("attn_ctx"), w.attnSubNorm?.dense, c);
    case "ffn_sub_norm":
      return normMistakes(({ of }) => of("ffn_act"), w.ffnSubNorm?.dense, c);
    case "ffn_norm":
      return [
        [
          "the attention's output was not added to the residual stream",
          ({ of }) => norm(of("x"), w.ffnNorm, c.normEps),
        ],
        [
          "the residual stream was overwritten by the attention's output, not added to",
          ({ of }) => norm(of("attn_out"), w.ffnNorm, c.normEps),
        ],
        ...normMistakes(({ of }) => sum(of("x"), of("attn_out")), w.ffnNorm.dense, c),
      ];
    case "q_rope":
      return ropeMistakes(w.attnQNorm ? "q_norm" : "q", c);
    case "k_rope":
      return ropeMistakes(w.attnKNorm ? "k_norm" : "k", c);
    case "attn_ctx":
      return attentionMistakes(c);
    case "ffn_act":
      return activationMistakes(c);
    case "l_out":
      return [
        ["the attention's output was not added", ({ of }) => sum(of("x"), of("ffn_down"))],
        ["the feed-forward's output was not added", ({ of }) => sum(of("x"), of("attn_out"))],
        ["the residual stream was overwritten, not added to", ({ of }) => of("ffn_down")],
        [
          "the feed-forward's output was added twice",
          ({ of }) => sum(of("x"), of("attn_out"), of("ffn_down"), of("ffn_down")),
        ],
      ];
    default:
      return [];
  }
}

export function normMistakes(input: Formula, weight: Float32Array | undefined, { normEps }: ModelConfig): Mistake[] {
  const unweighted = (x: Float64Array, eps: number) => {
    const inverse = 1 / Math.sqrt(dot(x, x) / x.length + eps);
    return x.map((value) => value * inverse);
  };
  return [
    ["the norm is missing: these are its inputs", input],
    ["the norm's weight was not applied", (inputs) => unweighted(input(inputs), normEps)],
    [
      "the norm's weight was applied, the division by the root mean square was not",
      (inputs) => input(inputs).map((value, i) => value * (weight?.[i] ?? 1)),
    ],
  ];
}

const PAIRS: Readonly<Record<RopePairs, string>> = { halves: "i and i + headDim / 2", adjacent: "2i and 2i + 1" };

function ropeMistakes(input: string, c: ModelConfig): Mistake[] {
  const { headDim, ropeBase, ropePairs = "halves" } = c;
  const turned = (rotation: Rotation, shift = 0): Formula => {
    return ({ of, row }) => rope(of(input), headDim, row + shift, rotation);
  };
  const others = ropePairs === "halves" ? "adjacent" : "halves";
  const plain = { ropeBase, ropePairs };
  return [
    ["not rotated", ({ of }) => of(input)],
    [`RoPE pairs elements ${PAIRS[others]}; this model pairs ${PAIRS[ropePairs]}`, turned({ ...c, ropePairs: others })],
    ["rotated backwards", ({ of, row }) => rope(of(input), headDim, -row, c)],
    ["rotated at the position before", turned(c, -1)],
    ["rotated at the next position", turned(c, 1)],
    ["the factors of the angles (rope_freqs or YaRN) were left out", turned({ ...c, ropeFactors: undefined })],
    ["q and k were not multiplied by YaRN's magnitude", turned({ ...c, ropeMagnitude: undefined })],
    ["the scaling of RoPE was left out", turned(plain)],
    ...[10_000, 500_000, 1_000_000].map(
      (base): Mistake => [`RoPE with base ${base} where the file says ${ropeBase}`, turned({ ...c, ropeBase: base })],
    ),
  ];
}

function attentionMistakes(c: ModelConfig): Mistake[] {
  const { headDim, kvHeads, heads } = c;
  const map = headMap(c);
  const scaledBy = (factor: number): Formula => {
    return ({ of, past }) =>
      attend(
        of("q_rope").map((value) => value * factor),
        past("k_rope"),
        past("v"),
        map,
      );
  };
  const others: Mistake[] =
    kvHeads === 1 || kvHeads === heads
      ? []
      : [
          [
            "query head h reads key-value head h mod kvHeads; it should read floor(h / (heads / kvHeads))",
            ({ of, past }) => attend(of("q_rope"), past("k_rope"), past("v"), { headDim, kvHead: (h) => h % kvHeads }),
          ],
        ];
  return [
    ["the scores were not divided by sqrt(headDim)", scaledBy(Math.sqrt(headDim))],
    ["the scores were divided by headDim, not by its root", scaledBy(1 / Math.sqrt(headDim))],
    ["all scores are equal: the queries or keys did not reach the softmax", scaledBy(0)],
    [
      "the row's own position was left out",
      ({ of, past, row }) =>
        row === 0
          ? of("q_rope").map(() => 0)
          : attend(of("q_rope"), past("k_rope").slice(0, -1), past("v").slice(0, -1), map),
    ],
    [
      "only the row's own position was seen",
      ({ of, past }) => attend(of("q_rope"), past("k_rope").slice(-1), past("v").slice(-1), map),
    ],
    [
      "the keys in the cache are not rotated",
      ({ of, past }) => {
        const keys = past("k_rope").map((key, position) => rope(key, headDim, -position, c));
        return attend(of("q_rope"), keys, past("v"), map);
      },
    ],
    ...others,
  ];
}

function activationMistakes({ activation }: ModelConfig): Mistake[] {
  const other = activation === "relu2" ? "silu" : "relu2";
  const by = (activate: (x: number) => number): Formula => {
    return ({ of }) => gated(of("gate"), of("up"), activate);
  };
  return [
    ["gate and up are exchanged", ({ of }) => gated(of("up"), of("gate"), ACTIVATIONS[activation])],
    [`the activation is ${other}; this model's is ${activation}`, by(ACTIVATIONS[other])],
    [`the activation is relu; this model's is ${activation}`, by((x) => Math.max(x, 0))],
    ["the gate has no activation", by((x) => x)],
    ["the product with up is missing", ({ of }) => of("gate").map(ACTIVATIONS[activation])],
  ];
}
