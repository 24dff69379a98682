/** `ternion serve` as its users run it: names of models, and what it says when it cannot start. */
import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { test } from "node:test";
import { nextOutput, outcome, start, TINY, ternion } from "./program.js";

const QUIET = ["--port", "0", "--log-level", "silent", "--backend", "cpu", "--threads", "1", "--ctx", "64"];

test("several models by their names, until it is asked to end", async () => {
  const child = start(["serve", ...QUIET, "--model", `a.b=${TINY}`, "--model", TINY, "--max-models", "1"]);
  const ended = outcome(child);
  let said = "";
  while (!said.includes("listening at")) said += await nextOutput(child.stderr);
  const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(said) ?? [];
  const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };
  assert.deepEqual(
    data.map(({ id }) => id),
    ["a.b", "model"],
  );
  child.kill("SIGINT");
  const { code, stdout } = await ended;
  assert.deepEqual([code, stdout], [0, ""]);
});

test("a port that is taken, a model that is not there: one line, and 1", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  const { port } = taken.address() as AddressInfo;
  const busy = await ternion(["serve", "--backend", "cpu", "--port", `${port}`]);
  taken.close();
  assert.equal(busy.code, 1);
  assert.match(busy.stderr, /^ternion: .*EADDRINUSE.*\n$/);
  const missing = await ternion(["serve", ...QUIET, "--model", "x=/nowhere/model.gguf"]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /^ternion: .*\/nowhere\/model\.gguf.*\n$/);
});

test("wrong usage is 2", async () => {
  const cases = [
    ["--port", "70000"],
    ["--max-queue", "-1"],
    ["--parallel", "0"],
    ["--model", TINY, "--model", TINY],
  ];
  for (const args of cases) {
    const { code, stderr } = await ternion(["serve", ...args]);
    assert.equal(code, 2, `${args}: ${stderr}`);
    assert.match(stderr, /^ternion: .*expected .*, got .*\n$/);
  }
});
