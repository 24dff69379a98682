/** The families of models that can run here. Another one is a file beside this one, and a name in this list. */
import type { Family } from "../family.js";
import { bitnet } from "./bitnet.js";
import { bitnetLarge } from "./bitnet-large.js";
import { llama } from "./llama.js";
import { qwen3 } from "./qwen3.js";

export const FAMILIES: readonly Family[] = [bitnet, bitnetLarge, llama, qwen3];

/** values of general.architecture */
export const ARCHITECTURES: readonly string[] = FAMILIES.flatMap(({ architectures }) => architectures);

export function familyOf(architecture: string | undefined): Family | undefined {
  return FAMILIES.find(({ architectures }) => architectures.some((each) => each === architecture));
}
