/**
 * Each step of each family, done wrongly: `verify` names it, and the trace leaves the golden there. Sound, the same trace passes and
 * stays with the golden. On the reference backend: what is judged here
 * are `verify` and the goldens. With TERNION_REQUIRE_GPU=1 on the GPU too, where it takes the family.
 */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { TernionError } from "../../../src/errors.js";
import { traceSubject } from "../../../src/tools/verify/verify.js";
import { walk } from "../../../src/tools/verify/walk.js";
import { GPU_VARIANTS, REFERENCE, type Variant } from "../../backends.js";
import { GOLDEN_FAMILIES, type Golden, type GoldenName, loadGolden, rowErrors } from "../../golden.js";
import { FAMILY_SABOTAGES } from "./family-sabotages.js";
import { type Sabotage, sabotagedTrace } from "./sabotage.js";

/** The last positions are the ones at which the factors of RoPE tell. */
const TOKENS = 5;
const BACKENDS = [REFERENCE, ...(process.env.TERNION_REQUIRE_GPU === "1" ? GPU_VARIANTS : [])];
const SOUND: Sabotage = { name: "sound", fault: "none" };

/** The trace, or nothing where the backend does not take the family, which skips the test. */
async function tracedBy(t: TestContext, variant: Variant, golden: Golden, sabotage: Sabotage) {
  try {
    return await sabotagedTrace(variant, golden, sabotage, golden.tokens.slice(0, TOKENS));
  } catch (error) {
    const lacks = error instanceof TernionError && error.code === "BACKEND_UNAVAILABLE";
    if (!lacks || !variant.name.startsWith("gpu")) throw error;
    t.skip(error.message);
    return undefined;
  }
}

type Trace = Awaited<ReturnType<typeof sabotagedTrace>>;

/** The largest error of a row of the intermediate, against the golden. */
function errorOf(golden: Golden, traced: Trace, name: string): number {
  const { data } = traced.get(name) ?? assert.fail(name);
  return Math.max(...rowErrors(data, golden.tensor(name).subarray(0, data.length), TOKENS));
}

async function checkFamily(t: TestContext, variant: Variant, name: GoldenName): Promise<void> {
  const golden = await loadGolden(name);
  const sound = await tracedBy(t, variant, golden, SOUND);
  if (sound === undefined) return;
  const sabotages = FAMILY_SABOTAGES[name] ?? [];
  const traces = [sound];
  for (const sabotage of sabotages) traces.push((await tracedBy(t, variant, golden, sabotage)) ?? assert.fail());
  const tokens = golden.tokens.slice(0, TOKENS);
  const [first, ...walked] = await walk(
    golden,
    tokens,
    traces.map((trace) => traceSubject(trace, "f32")),
  );
  assert.equal(first.firstFault, undefined);
  for (const [i, { fault, cause = /./, name: sabotage }] of sabotages.entries()) {
    const { firstFault: found } = walked[i];
    await t.test(`${fault}: ${sabotage}`, () => {
      assert.equal(found?.name, fault, found?.cause);
      assert.match(found.cause, cause);
      const [right, wrong] = [sound, traces[i + 1]].map((trace) => errorOf(golden, trace, fault));
      assert.ok(wrong > 10 * right && wrong > 1e-4, `off the golden by ${wrong}, sound ${right}`);
    });
  }
}

for (const variant of BACKENDS) {
  describe(`verify on ${variant.name}`, { skip: variant.skip }, () => {
    for (const name of GOLDEN_FAMILIES) test(name, (t) => checkFamily(t, variant, name));
  });
}
