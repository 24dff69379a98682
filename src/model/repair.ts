/**
 * Known defects of official model files, which their family names: each is repaired in a copy of the metadata, and reported.
 * A sound file comes back with no repairs, and repairing twice repairs nothing more.
 */
import * as check from "../check.js";
import type { GgufValue } from "../gguf/file.js";
import { type Metadata, textOf } from "../gguf/metadata.js";
import { FAMILIES, familyOf } from "./families/families.js";
import type { Repair } from "./family.js";

/** A copy of `metadata` without the known defects, and what was repaired; the file itself stays as it is. */
export function repairMetadata(metadata: Metadata): { metadata: Map<string, GgufValue>; repairs: Repair[] } {
  if (typeof metadata?.get !== "function") throw check.wrongType("metadata", "a Map as readGguf gives it", metadata);
  const repaired = new Map(metadata);
  const repairs: Repair[] = [];
  for (const fix of fixesOf(metadata)) {
    const found = fix(metadata);
    if (found === undefined) continue;
    const { value, ...repair } = found;
    repaired.set(repair.key, value);
    repairs.push(repair);
  }
  return { metadata: repaired, repairs };
}

/** A vocabulary without a model, or with one that cannot run here, may have the defects of any family. */
function fixesOf(metadata: Metadata) {
  const family = familyOf(textOf(metadata, "general.architecture"));
  return (family === undefined ? FAMILIES : [family]).flatMap(({ repairs }) => repairs);
}
