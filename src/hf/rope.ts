/**
 * The rotary embedding of config.json: `rope_theta` with `rope_scaling`, since version 5 of transformers both in
 * `rope_parameters`. Senses: transformers, `modeling_rope_utils.py`.
 */
import { integerKind, numberKind } from "../check.js";
import { FLAG, TEXT } from "../gguf/metadata.js";
import type { GgufKeyValue } from "../gguf/write.js";
import { float, integer, text } from "./entries.js";
import { JsonObject } from "./folder.js";

export interface HfRope {
  /** keys without their architecture */
  readonly metadata: readonly GgufKeyValue[];
  /** (headDim / 2) divide the angles */
  readonly factors?: readonly number[];
}

interface Sizes {
  readonly headDim: number;
  readonly contextLength: number;
  /** where config.json has none */
  readonly absentBase: number;
}

const BASE = numberKind(1, 1e12);
const POSITIVE = numberKind(1e-6, 1e6);
const FACTOR = numberKind(1, 1e6);
const LENGTH = integerKind(1, 1 << 24);

export function readRope(config: JsonObject, sizes: Sizes): HfRope {
  const given = config.object("rope_parameters") ?? config.object("rope_scaling") ?? new JsonObject(config.path, {});
  const base = config.get("rope_theta", BASE, given.get("rope_theta", BASE, sizes.absentBase));
  for (const each of [config, given]) {
    if (each.get("partial_rotary_factor", POSITIVE, 1) !== 1) throw each.unsupported("partial_rotary_factor", "1");
  }
  const name = given.any("rope_type") === undefined ? "type" : "rope_type";
  const frequency = float("rope.freq_base", base);
  const scaling = (type: string) => text("rope.scaling.type", type);
  const factor = () => given.get("factor", FACTOR);
  switch (given.get(name, TEXT, "default")) {
    case "default":
      return { metadata: [frequency] };
    case "linear":
      return { metadata: [frequency, scaling("linear"), float("rope.scaling.factor", factor())] };
    case "yarn":
      return { metadata: [frequency, scaling("yarn"), ...yarn(given, factor(), sizes)] };
    case "llama3":
      return { metadata: [frequency], factors: llama3(given, base, sizes.headDim) };
    default:
      throw given.unsupported(name, "default or linear or yarn or llama3");
  }
}

/** Refuses what the graphs here do in one way only. */
function yarn(given: JsonObject, factor: number, { contextLength }: Sizes): GgufKeyValue[] {
  for (const name of ["mscale", "mscale_all_dim"]) {
    if (given.any(name) !== undefined) throw given.unsupported(name, "none");
  }
  if (!given.get("truncate", FLAG, true)) throw given.unsupported("truncate", "true");
  const usual = 1 + 0.1 * Math.log(factor);
  if (Math.abs(given.get("attention_factor", POSITIVE, usual) - usual) > 1e-6) {
    throw given.unsupported("attention_factor", `1 + 0.1 ln(factor) = ${usual.toFixed(6)}`);
  }
  const original = given.get("original_max_position_embeddings", LENGTH, contextLength);
  return [
    float("rope.scaling.factor", factor),
    integer("rope.scaling.original_context_length", original),
    float("rope.scaling.yarn_beta_fast", given.get("beta_fast", POSITIVE, 32)),
    float("rope.scaling.yarn_beta_slow", given.get("beta_slow", POSITIVE, 1)),
  ];
}

/**
 * Llama 3.1: pairs that turn more than high_freq_factor times over the original context stay, those that turn less than
 * low_freq_factor times are divided by the factor, in between by what lies between.
 */
function llama3(given: JsonObject, base: number, headDim: number): number[] {
  const factor = given.get("factor", FACTOR);
  const low = given.get("low_freq_factor", POSITIVE);
  const high = given.get("high_freq_factor", POSITIVE);
  if (high <= low) throw given.wrong("high_freq_factor", `more than low_freq_factor, ${low}`);
  const original = given.get("original_max_position_embeddings", LENGTH);
  return Array.from({ length: headDim / 2 }, (_, i) => {
    const turns = original / (2 * Math.PI * base ** ((2 * i) / headDim));
    const stays = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return 1 / ((1 - stays) / factor + stays);
  });
}
