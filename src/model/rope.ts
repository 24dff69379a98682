/** The rotary embedding that a file asks for: its base, and how its angles are stretched for long contexts. */
import type { Rotation } from "../backend/backend.js";
import { integerKind, type Kind, numberKind } from "../check.js";
import { type MetadataReader, TEXT } from "../gguf/metadata.js";

export interface Readers {
  readonly keys: MetadataReader;
  /** for what is sound, but no model here has */
  readonly others: MetadataReader;
  /** the key of that name, of the architecture */
  key(name: string): string;
}

/** What `<arch>.rope.*` says, but for the pairs, which the family knows. */
export function readRotation(
  { keys, others, key }: Readers,
  sizes: { headDim: number; contextLength: number },
): Pick<Rotation, "ropeBase" | "ropeFactors" | "ropeMagnitude"> {
  const ropeBase = keys.get(key("rope.freq_base"), numberKind(1, 1e12), 10_000);
  const type = keys.get(key("rope.scaling.type"), TEXT, "none");
  const get = (name: string, kind: Kind<number>, absent: number) => keys.get(key(`rope.scaling.${name}`), kind, absent);
  const factor = get("factor", numberKind(1, 1e6), 1);
  switch (type) {
    case "none":
      return { ropeBase };
    case "linear":
      return factor === 1 ? { ropeBase } : { ropeBase, ropeFactors: Array(sizes.headDim / 2).fill(factor) };
    case "yarn": {
      const originalLength = get("original_context_length", integerKind(1, 1 << 24), sizes.contextLength);
      const fast = get("yarn_beta_fast", numberKind(1e-3, 1e6), 32);
      const slow = get("yarn_beta_slow", numberKind(1e-3, 1e6), 1);
      const ropeFactors = yarnFactors({ ...sizes, ropeBase, factor, originalLength, fast, slow });
      return { ropeBase, ropeFactors, ropeMagnitude: 1 + 0.1 * Math.log(factor) };
    }
    default:
      throw others.wrong(key("rope.scaling.type"), "none, linear or yarn");
  }
}

interface Yarn {
  readonly headDim: number;
  readonly ropeBase: number;
  /** how many times longer the context is than in training */
  readonly factor: number;
  /** positions of the training */
  readonly originalLength: number;
  /** turns over the original context from which on a pair stays as it is, and below which all of the factor counts */
  readonly fast: number;
  readonly slow: number;
}

/**
 * (headDim / 2) of YaRN (Peng et al. 2023, "NTK-by-parts"), with the pairs rounded to whole ones as everybody does who runs
 * these models: those that turn fast stay, those that turn slowly are stretched, a ramp in between.
 */
function yarnFactors({ headDim, ropeBase, factor, originalLength, fast, slow }: Yarn): number[] {
  const pairOf = (turns: number) =>
    (headDim * Math.log(originalLength / (turns * 2 * Math.PI))) / (2 * Math.log(ropeBase));
  const low = Math.max(0, Math.floor(pairOf(fast)));
  const high = Math.min(headDim - 1, Math.ceil(pairOf(slow)));
  return Array.from({ length: headDim / 2 }, (_, i) => {
    const stays = 1 - Math.min(1, Math.max(0, (i - low) / Math.max(0.001, high - low)));
    return 1 / ((1 - stays) / factor + stays);
  });
}
