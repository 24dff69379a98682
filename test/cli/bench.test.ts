/** `ternion bench`: rows as llama-bench has them, and a hash that only the answer decides. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { repositoryFile, TINY, ternion } from "./program.js";

const BENCH = ["bench", "--model", TINY, "--threads", "1"];

async function rowsOf(...options: string[]) {
  const { stdout, stderr, code } = await ternion([...BENCH, "--json", ...options]);
  assert.deepEqual({ stderr, code }, { stderr: "", code: 0 });
  return JSON.parse(stdout);
}

describe("ternion bench", () => {
  it("gives a row for each length of prompt and of generation", async () => {
    const rows = await rowsOf("-p", "16,32", "-n", "4", "--repetitions", "3");
    const tests = rows.map((row: { n_prompt: number; n_gen: number }) => [row.n_prompt, row.n_gen]);
    assert.deepEqual(tests, [
      [16, 0],
      [32, 0],
      [0, 4],
    ]);
    for (const row of rows) {
      assert.equal(row.samples_ns.length, 3);
      assert.equal(row.n_threads, 1);
      assert.equal(row.model_n_params, 1_658_112);
      assert.equal(row.model_size, 570_816);
      const rates = row.samples_ns.map((ns: number) => (1e9 * (row.n_prompt + row.n_gen)) / ns);
      assert.deepEqual(row.samples_ts, rates);
      const mean = rates.reduce((a: number, b: number) => a + b) / 3;
      const squares = rates.reduce((sum: number, rate: number) => sum + (rate - mean) ** 2, 0);
      assert.ok(Math.abs(row.avg_ts / mean - 1) < 1e-12);
      assert.ok(Math.abs(row.stddev_ts - Math.sqrt(squares / 2)) < 1e-6);
    }
    // the tied embedding is the head: a token reads every tensor
    assert.ok(Math.abs(rows[2].gb_per_s - (570_816 * rows[2].avg_ts) / 1e9) < 1e-9);
  });

  it("hashes the same logits for every kernel, number of threads and batch", async () => {
    const options = ["-p", "16", "-n", "0", "--repetitions", "1"];
    const hash = async (...more: string[]) => (await rowsOf(...options, ...more))[0].logits_hash;
    const first = await hash();
    assert.match(first, /^[0-9a-f]{16}$/);
    assert.equal(await hash("--threads", "2"), first);
    assert.equal(await hash("--kernel", "ternaryDotBaseline", "--batch-size", "3"), first);
  });

  it("measures with --check only a model that makes sense", async () => {
    const options = ["--check", "-p", "16", "-n", "0", "--repetitions", "1", "--json"];
    const refused = await ternion([...BENCH, ...options]); // its weights are random
    assert.deepEqual({ stdout: refused.stdout, code: refused.code }, { stdout: "", code: 1 });
    assert.match(refused.stderr, /^ternion: --check: expected a perplexity below \d+ on plain English, got \d+: .*\n$/);
    const box = ["--model", repositoryFile("models/ternion-tiny.gguf"), "--threads", "1"];
    const { stdout, code } = await ternion(["bench", ...box, ...options]);
    assert.equal(code, 0);
    assert.equal(JSON.parse(stdout).length, 1);
  });

  it("prints a table, the load profile and the time by op", async () => {
    const { stdout, code } = await ternion([...BENCH, "-p", "16", "-n", "4", "--repetitions", "2", "--profile"]);
    assert.equal(code, 0);
    assert.match(stdout, /^ {2}bitnet-b1\.58 I2_S +0\.6 +1\.7 +cpu +1 {2}pp 16 +[\d.]+ +[\d.]+$/m);
    assert.match(stdout, /^ {2}bitnet-b1\.58 I2_S .* tg 4 +[\d.]+ +[\d.]+ +[\d.]+$/m);
    assert.match(stdout, /^tg 4, all repetitions, by op\n {2}op +calls +ms/m);
    assert.match(stdout, /^load \d+ ms: metadata \d+ ms .*weights/m);
    assert.match(stdout, /^logits hash [0-9a-f]{16}$/m);
  });
});
