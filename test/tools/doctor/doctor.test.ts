/** `ternion doctor` and its self-test, on the model in the box and on one that does not know France. */
import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { diagnose } from "../../../src/tools/doctor/doctor.js";
import { examineGpu } from "../../../src/tools/doctor/gpu.js";
import { problemOf, referenceAnswer, selfTest } from "../../../src/tools/doctor/self-test.js";
import { ternion } from "../../cli/program.js";
import { repositoryFile } from "../../golden.js";

const BOX = repositoryFile("models/ternion-tiny.gguf");

test("the diagnosis tells of the machine, the kernel and its reason, and the self-test passes", async () => {
  const { machine, cpu, selfTests } = await diagnose({ model: BOX, threads: 2 });
  assert.equal(machine.cores, availableParallelism());
  assert.equal(machine.node, process.versions.node);
  assert.ok(cpu.simd && cpu.sharedMemory);
  assert.ok(cpu.trials.some(({ exact }) => exact));
  assert.match(cpu.reason, cpu.kernel?.includes("relaxed") ? /fastest with exact sums/ : /relaxed SIMD/);
  const test = selfTests.find(({ backend }) => backend === "cpu");
  assert.equal(test?.outcome, "passed", test?.problem);
  assert.match(test?.answer ?? "", /Paris/);
});

test("a forced kernel is the one reported", async () => {
  const { cpu } = await diagnose({ model: BOX, threads: 1, tuning: { kernel: "ternaryDotBaseline" } });
  assert.equal(cpu.kernel, "baseline SIMD");
  assert.deepEqual(
    cpu.trials.map(({ dot }) => dot),
    ["ternaryDotBaseline"],
  );
});

test("a model that answers otherwise fails the self-test", async () => {
  const expected = await referenceAnswer(BOX);
  const other = repositoryFile("test/golden/tiny/model.gguf");
  const { outcome, problem } = await selfTest(other, { backend: "cpu", threads: 1 }, expected);
  assert.equal(outcome, "failed");
  assert.match(problem ?? "", /^token \d+ of the answer: expected /);
});

test("a backend that cannot be loaded fails the self-test with its reason", async () => {
  const expected = { text: "Paris", ids: [1] };
  const { outcome, problem, description } = await selfTest("nowhere.gguf", { backend: "cpu" }, expected);
  assert.equal(outcome, "failed");
  assert.equal(description, undefined);
  assert.match(problem ?? "", /no such file/);
});

test("answers are compared to their ends, and have to name Paris", () => {
  const paris = { text: "Paris.", ids: [1, 2, 3] };
  assert.deepEqual(problemOf(paris, paris), {});
  assert.match(problemOf({ ...paris, ids: [1, 2] }, paris).problem ?? "", /token 2 .* expected 3 .* got the end/);
  assert.match(problemOf({ ...paris, ids: [1, 2, 3, 4] }, paris).problem ?? "", /token 3 .* expected the end .* got 4/);
  assert.match(problemOf({ text: "Rome.", ids: [9] }, { text: "Rome.", ids: [9] }).problem ?? "", /Paris/);
});

test("ternion doctor prints sections, and the same as JSON", async () => {
  const { stdout, stderr, code } = await ternion(["doctor", "--threads", "1"]);
  assert.equal(code, 0, stderr); // the drivers of a GPU may write there too
  assert.match(stdout, /^machine\n {2}processor .*\n {2}cores +\d+ usable of \d+/);
  assert.match(stdout, /^CPU backend\n {2}SIMD .*\n {2}shared memory +yes\n {2}kernel +\S.*\n {2}because +\S/m);
  assert.match(stdout, /^GPU backend\n/m);
  assert.match(stdout, /^self-test\n {2}cpu +passed in .*Paris/m);
  const json = await ternion(["doctor", "--threads", "1", "--json"]);
  assert.equal(json.code, 0);
  assert.equal(JSON.parse(json.stdout).selfTests[0].outcome, "passed");
});

test("adapters come with limits and features, and without hardware it is said what is missing", async () => {
  const { adapters, missing } = await examineGpu();
  for (const { name, kind, limits } of adapters) {
    assert.ok(name.length > 0 && ["discrete", "integrated", "software", "unknown"].includes(kind));
    assert.ok(limits.maxBufferSize > 0 && limits.maxStorageBufferBindingSize > 0);
  }
  const isHardware = adapters.some(({ kind }) => kind !== "software");
  if (isHardware) assert.deepEqual(missing, []);
  for (const { problem, fix } of missing) assert.ok(problem.length > 0 && fix.length > 0);
});
