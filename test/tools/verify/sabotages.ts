/** The ways to get a forward pass wrong, each with what `verify` must say about it. Layer 1 unless all are hit. */
import type { Backend, Projection, Quantized, Tensor, Weight } from "../../../src/backend/backend.js";
import type { Kit, Sabotage } from "./sabotage.js";

type Norm = Backend["normQuantize"];

/** The norm of layer 1 with this name, done otherwise. */
const norm = (name: string, instead: (kit: Kit, ...args: Parameters<Norm>) => void): Sabotage["ops"] => {
  return (kit) => ({
    normQuantize: (...args) => {
      if (args[2].name === `blk.1.${name}.weight`) instead(kit, ...args);
      else kit.b.normQuantize(...args);
    },
  });
};

export const missingNorm = (name: string) =>
  norm(name, ({ b, constant }, out, x) => b.normQuantize(out, x, constant(x.width, 1e6), 1e12));

/** The projections of the op of layer 1 that has this weight, done otherwise. */
const ternary = (name: string, instead: (kit: Kit, projections: readonly Projection[], x: Quantized) => void) => {
  return (kit: Kit): Partial<Backend> => ({
    ternary: (projections, x) => {
      if (projections.some(({ weight }) => weight.name === `blk.1.${name}.weight`)) instead(kit, projections, x);
      else kit.b.ternary(projections, x);
    },
  });
};

export const gate = (instead: (b: Backend, out: Tensor, gate: Tensor, up: Tensor) => void): Sabotage["ops"] => {
  return (kit) => ({
    gate: (out, g, up, activation) => {
      if (kit.layer() === 1) instead(kit.b, out, g, up);
      else kit.b.gate(out, g, up, activation);
    },
  });
};

const ropeStore = (instead: (kit: Kit, ...args: Parameters<Backend["ropeStore"]>) => void): Sabotage["ops"] => {
  return (kit) => ({
    ropeStore: (...args) => (args[1] === 1 ? instead(kit, ...args) : kit.b.ropeStore(...args)),
  });
};

const attend = (instead: (kit: Kit, ...args: Parameters<Backend["attend"]>) => void): Sabotage["ops"] => {
  return (kit) => ({ attend: (...args) => (args[3] === 1 ? instead(kit, ...args) : kit.b.attend(...args)) });
};

export const damaged = (tensor: string, apply: NonNullable<Sabotage["damage"]>["apply"]) => ({
  damage: { tensor: `blk.1.${tensor}.weight`, apply },
  replace: true,
});

const withoutAddTo = ({ weight, out }: Projection): Projection => ({ weight, out });

export const SABOTAGES: readonly Sabotage[] = [
  {
    name: "the embedding of the next token",
    fault: "embd",
    ops: ({ b }) => ({ begin: (batch) => b.begin({ ...batch, tokens: batch.tokens.map((id) => id ^ 1) }) }),
  },
  { name: "no attn_norm", fault: "blk.1.attn_norm", cause: /the norm is missing/, ops: missingNorm("attn_norm") },
  {
    name: "no weight of attn_norm",
    fault: "blk.1.attn_norm",
    cause: /weight was not applied/,
    ops: norm("attn_norm", ({ b, constant }, out, x, _weight, eps) =>
      b.normQuantize(out, x, constant(x.width, 1), eps),
    ),
  },
  {
    name: "a large eps",
    fault: "blk.1.attn_norm",
    cause: /eps|a scale/,
    ops: norm("attn_norm", ({ b }, out, x, weight) => b.normQuantize(out, x, weight, 1)),
  },
  {
    name: "RoPE with another base",
    fault: "blk.0.q_rope",
    cause: /RoPE with base 10000 /,
    ops: ({ b }) => ({ cache: (shape) => b.cache({ ...shape, ropeBase: 10_000 }) }),
  },
  {
    name: "positions from 1 on",
    fault: "blk.0.q_rope",
    cause: /rotated at the next position/,
    ops: ({ b }) => ({ begin: (batch) => b.begin({ ...batch, positions: batch.positions.map((p) => p + 1) }) }),
  },
  {
    name: "queries not rotated",
    fault: "blk.1.q_rope",
    cause: /^not rotated/,
    ops: (kit) => {
      const q = kit.scratch(kit.golden.config.width);
      return ropeStore(({ b }, cache, layer, qkv) => b.ropeStore(cache, layer, { ...qkv, q }))?.(kit) ?? {};
    },
  },
  {
    name: "keys neither rotated nor stored",
    fault: "blk.1.k_rope",
    cause: /^not rotated/,
    ops: (kit) => {
      const k = kit.scratch(kit.golden.config.kvHeads * kit.golden.config.headDim);
      return ropeStore(({ b }, cache, layer, qkv) => b.ropeStore(cache, layer, { ...qkv, k }))?.(kit) ?? {};
    },
  },
  {
    name: "rows of attn_q as the converter of llama leaves them",
    fault: "blk.1.q_rope",
    ...damaged("attn_q", (bytes, { rows, columns }) => swapRows(bytes, columns / 4, 1, rows / 8)),
  },
  {
    name: "keys from the weights of the values",
    fault: "blk.1.k_rope",
    ops: ternary("attn_k", ({ b }, [q, k, v], x) => b.ternary([q, { ...k, weight: v.weight }, v], x)),
  },
  {
    name: "keys and values exchanged",
    fault: "blk.1.k_rope",
    ops: ternary("attn_k", ({ b }, [q, k, v], x) => b.ternary([q, { ...k, out: v.out }, { ...v, out: k.out }], x)),
  },
  {
    name: "key-value heads of attn_v exchanged",
    fault: "blk.1.v",
    ...damaged("attn_v", (bytes, { rows, columns }) => {
      for (let row = 0; row < rows / 2; row++) swapRows(bytes, columns / 4, row, row + rows / 2);
    }),
  },
  {
    name: "twice the scale of attn_v",
    fault: "blk.1.v",
    cause: /every value is 2\.000 times/,
    ...damaged("attn_v", scaleBy(2)),
  },
  {
    name: "attention without 1/sqrt(headDim)",
    fault: "blk.1.attn_ctx",
    cause: /not divided by sqrt\(headDim\)/,
    ops: attend(({ b, multiply, golden }, out, q, cache, layer) => {
      multiply(q, () => Math.sqrt(golden.config.headDim));
      b.attend(out, q, cache, layer);
    }),
  },
  {
    name: "attention over another layer's cache",
    fault: "blk.1.attn_ctx",
    ops: attend(({ b }, out, q, cache) => b.attend(out, q, cache, 0)),
  },
  {
    name: "attention over another slot",
    fault: "blk.1.attn_ctx",
    ops: (kit) => {
      let other: ReturnType<Backend["cache"]>;
      return {
        cache: (shape) => {
          other = kit.b.cache(shape);
          return kit.b.cache(shape);
        },
        ...attend(({ b }, out, q, _cache, layer) => b.attend(out, q, other, layer))?.(kit),
      };
    },
  },
  {
    name: "one head lost",
    fault: "blk.1.attn_ctx",
    ops: attend(({ b, multiply, golden }, out, q, cache, layer) => {
      b.attend(out, q, cache, layer);
      multiply(out, (column) => (column < golden.config.headDim ? 0 : 1));
    }),
  },
  {
    name: "no sub-norm of attention",
    fault: "blk.1.attn_sub_norm",
    cause: /the norm is missing/,
    ops: missingNorm("attn_sub_norm"),
  },
  {
    name: "another scale in attn_output",
    fault: "blk.1.attn_out",
    cause: /every value is 0\.5000 times/,
    ...damaged("attn_output", scaleBy(0.5)),
  },
  {
    name: "no residual after attention",
    fault: "blk.1.ffn_norm",
    cause: /attention's output was not added/,
    ops: ternary("attn_output", ({ b }, projections, x) => b.ternary(projections.map(withoutAddTo), x)),
  },
  {
    name: "attention's residual twice",
    fault: "blk.1.ffn_norm",
    ops: ternary("attn_output", ({ b }, projections, x) => {
      b.ternary(projections, x);
      b.ternary(projections, x);
    }),
  },
  {
    name: "ffn_norm left out, its input still that of attn_output",
    fault: "blk.1.ffn_norm",
    ops: norm("ffn_norm", () => {}),
  },
  {
    name: "SiLU",
    fault: "blk.1.ffn_act",
    cause: /the activation is silu; this model's is relu2/,
    ops: gate((b, out, g, up) => b.gate(out, g, up, "silu")),
  },
  {
    name: "gate and up exchanged",
    fault: "blk.1.ffn_act",
    cause: /gate and up are exchanged/,
    ops: gate((b, out, g, up) => b.gate(out, up, g, "relu2")),
  },
  {
    name: "the gate times itself",
    fault: "blk.1.ffn_act",
    ops: gate((b, out, g) => b.gate(out, g, g, "relu2")),
  },
  {
    name: "no sub-norm of the feed-forward",
    fault: "blk.1.ffn_sub_norm",
    cause: /the norm is missing/,
    ops: missingNorm("ffn_sub_norm"),
  },
  {
    name: "one flipped code in ffn_down",
    fault: "blk.1.ffn_down",
    ...damaged("ffn_down", (bytes) => {
      // of the first code that is -1 or 0, the next higher
      const at = bytes.findIndex((byte) => byte >> 6 < 2);
      bytes[at] += 64;
    }),
  },
  {
    name: "no residual after the feed-forward",
    fault: "blk.1.l_out",
    cause: /feed-forward's output was not added/,
    ops: ternary("ffn_down", ({ b }, projections, x) => b.ternary(projections.map(withoutAddTo), x)),
  },
  {
    name: "no final norm",
    fault: "result_norm",
    cause: /weight was not applied|the norm is missing/,
    ops: ({ b, constant }) => ({
      normOutputs: (out, x) => b.normOutputs(out, x, constant(x.width, 1e6), 1e12),
    }),
  },
  {
    name: "the head's rows one off",
    fault: "logits",
    cause: /rows are one off/,
    damage: {
      tensor: "token_embd.weight",
      apply: (bytes, { rows }) => {
        const rowBytes = bytes.byteLength / rows;
        const last = Buffer.from(bytes.subarray(-rowBytes));
        bytes.copy(bytes, rowBytes, 0, bytes.byteLength - rowBytes);
        last.copy(bytes);
      },
    },
    ops: ({ b, damaged: head }) => ({ logits: (out: Tensor, _head: Weight, x: Tensor) => b.logits(out, head(), x) }),
  },
];

function swapRows(bytes: Buffer, rowBytes: number, first: number, second: number): void {
  const kept = Buffer.from(bytes.subarray(first * rowBytes, (first + 1) * rowBytes));
  bytes.copy(bytes, first * rowBytes, second * rowBytes, (second + 1) * rowBytes);
  kept.copy(bytes, second * rowBytes);
}

function scaleBy(factor: number) {
  return (bytes: Buffer) => {
    const at = bytes.byteLength - 32;
    bytes.writeFloatLE(bytes.readFloatLE(at) * factor, at);
  };
}
