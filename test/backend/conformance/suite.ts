/**
 * What src/backend/backend.ts promises, sentence by sentence, as tests over any backend. The oracles are loops over
 * float64 that share no code with a backend.
 */
import { after, describe } from "node:test";
import type { Variant } from "../../backends.js";
import { attention } from "./attention.js";
import { blocks } from "./blocks.js";
import { closeShared } from "./common.js";
import { data, ending, independence, loading, marks, order } from "./life.js";
import { masks } from "./masks.js";
import { gates, norms, projections, tables } from "./ops.js";
import { ranked } from "./ranked.js";
import { samples } from "./samples.js";
import { values } from "./values.js";

export function conformance(variant: Variant): void {
  describe(`backend contract: ${variant.name}`, { skip: variant.skip }, () => {
    after(() => closeShared(variant));
    if (variant.ternaryOnly) return projections(variant);
    order(variant);
    data(variant);
    tables(variant);
    norms(variant);
    projections(variant);
    attention(variant);
    blocks(variant);
    gates(variant);
    samples(variant);
    ranked(variant);
    masks(variant);
    values(variant);
    independence(variant);
    marks(variant);
    loading(variant);
    ending(variant);
  });
}
