/** The trial of the forms of the ternary dot: wrong sums are seen, and what was tried once is not tried again. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { chooseKernels } from "../../../src/backend/cpu/choice/choose.js";
import { tryForms } from "../../../src/backend/cpu/choice/trial.js";
import { packageFile } from "../../../src/platform/package.js";

/** The baseline binary with another instruction in place of each `from`. */
async function altered(from: readonly number[], to: readonly number[]): Promise<WebAssembly.Module> {
  const bytes = Buffer.from(await readFile(packageFile("dist/asm/kernels.baseline.wasm")));
  const [old, other] = [Buffer.from(from), Buffer.from(to)];
  assert.ok(bytes.includes(old));
  for (let at = bytes.indexOf(old); at >= 0; at = bytes.indexOf(old, at + 1)) other.copy(bytes, at);
  return new WebAssembly.Module(bytes);
}

test("a form with wrong sums is refused", async () => {
  const [add, sub] = [
    [0xfd, 0xae, 0x01],
    [0xfd, 0xb1, 0x01],
  ]; // of i32x4
  const right = await tryForms(await altered(add, add), ["ternaryDotBaseline"], false);
  assert.equal(right[0].exact, true);
  const wrong = await tryForms(await altered(add, sub), ["ternaryDotBaseline"], false);
  assert.deepEqual(wrong, [{ dot: "ternaryDotBaseline", exact: false, ms: 0 }]);
});

test("forms are tried once in a process, and the chosen one is the fastest of those that are exact", async () => {
  const { dot, trials, module } = await chooseKernels();
  const times = trials.filter(({ exact }) => exact).map(({ ms }) => ms);
  assert.equal(trials.find((trial) => trial.dot === dot)?.ms, Math.min(...times));
  const again = await chooseKernels();
  assert.equal(again.module, module);
  assert.deepEqual(again.trials, trials);
});
