/** A forward pass with one wrong op is named at the right layer and op, on each kind of backend; a sound one passes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { traceSubject } from "../../../src/tools/verify/verify.js";
import { walk } from "../../../src/tools/verify/walk.js";
import { CPU_VARIANTS, GPU_VARIANTS, REFERENCE, type Variant } from "../../backends.js";
import { loadGolden } from "../../golden.js";
import { type Sabotage, sabotagedTrace } from "./sabotage.js";
import { SABOTAGES } from "./sabotages.js";

const BACKENDS: readonly Variant[] = [REFERENCE, CPU_VARIANTS[1], ...GPU_VARIANTS];
const TOKENS = 12;

async function faultOf(variant: Variant, sabotage: Sabotage) {
  const golden = await loadGolden("tiny");
  const tokens = golden.tokens.slice(0, TOKENS);
  const traced = await sabotagedTrace(variant, golden, sabotage, tokens);
  const [walked] = await walk(golden, tokens, [traceSubject(traced, "f32")]);
  assert.equal(walked.ops.length, 3 + 12 * golden.config.layers);
  return walked.firstFault;
}

for (const variant of BACKENDS) {
  describe(`verify on ${variant.name}`, { skip: variant.skip }, () => {
    test("finds no fault in a sound forward pass", async () => {
      assert.equal(await faultOf(variant, { name: "sound", fault: "none" }), undefined);
    });

    for (const sabotage of SABOTAGES) {
      test(`names ${sabotage.fault}: ${sabotage.name}`, async () => {
        const fault = await faultOf(variant, sabotage);
        assert.equal(fault?.name, sabotage.fault, fault?.cause);
        const layer = /^blk\.(\d+)\./.exec(sabotage.fault)?.[1];
        assert.equal(fault.layer, layer === undefined ? undefined : Number(layer));
        assert.match(fault.cause, sabotage.cause ?? /./);
        assert.ok(fault.error > 2e-5 && fault.got !== fault.expected && fault.row < TOKENS);
      });
    }
  });
}
