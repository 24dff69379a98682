/** The report on the model in the box, and how its figures are written. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readBandwidth } from "../../../src/backend/cpu/bandwidth.js";
import { renderHtml } from "../../../src/tools/report/html.js";
import { renderMarkdown } from "../../../src/tools/report/markdown.js";
import { measureReport } from "../../../src/tools/report/measure.js";
import { summarise } from "../../../src/tools/report/verdict.js";
import { verify } from "../../../src/tools/verify/verify.js";
import { ternion } from "../../cli/program.js";
import { repositoryFile } from "../../golden.js";
import { someData } from "./data.js";

const BOX = repositoryFile("models/ternion-tiny.gguf");
const SPEED = /\d (?:tokens|GB)\/s/g;
const MARKED = /\d (?:tokens|GB)\/s \(verdict failed\)/g;

test("the model in the box is measured in all its parts", async () => {
  const options = { backend: "cpu", threads: 2, contexts: [64, 8, 100_000], seconds: 600, maxTokens: 24 } as const;
  const data = await measureReport(BOX, options);
  assert.deepEqual(
    data.speeds.map(({ context }) => context),
    [8, 64],
  );
  for (const { promptPerSecond, tokensPerSecond } of data.speeds) assert.ok(promptPerSecond > 0 && tokensPerSecond > 0);
  assert.deepEqual(
    data.leftOut.map(({ context }) => context),
    [100_000],
  );
  assert.equal(data.prompts.length, 3);
  assert.match(data.prompts[1].text, /\bParis\b/);
  assert.ok(data.ops.some(({ op, ms }) => op === "ternary" && ms > 0));
  assert.ok(data.load.steps.some(({ component }) => component === "weights"));
  assert.ok(
    data.memory.engineBytes > data.model.bytes / 2 && data.memory.mostProcessBytes >= data.memory.engineBytes / 2,
  );
  assert.ok(data.perplexity.tokens > 100 && data.perplexity.perplexity > 1);
  assert.ok(data.selfCheck.ok && data.selfCheck.perplexity < data.selfCheck.limit);
  assert.equal(data.verdict.status, "passed", data.verdict.summary);
  assert.match(data.verdict.summary, /^\d+ ops over \d+ tokens .* sha256 [0-9a-f]{16}\.$/);
  const { traffic } = data;
  assert.ok(traffic !== undefined && traffic.roofGbPerSecond > 0);
  const [{ bytesPerToken, gbPerSecond }] = traffic.rows;
  assert.equal(bytesPerToken, traffic.weightBytes + 8 * traffic.cacheBytesPerPosition);
  assert.ok(Math.abs(gbPerSecond / ((bytesPerToken * data.speeds[0].tokensPerSecond) / 1e9) - 1) < 1e-9);
});

test("bytes moved are reported for the CPU only", async () => {
  const path = repositoryFile("test/golden/tiny/model.gguf");
  const { traffic, backend, verdict } = await measureReport(path, {
    verify: false,
    backend: "reference",
    contexts: [4],
    seconds: 1,
    maxTokens: 2,
  });
  assert.match(backend, /^reference/);
  assert.equal(traffic, undefined);
  assert.equal(verdict.status, "not run");
});

test("a plain read has a speed on one thread and on three", async () => {
  for (const threads of [1, 3]) assert.ok((await readBandwidth(threads)) > 1e6);
});

test("under a failed verdict every speed is marked, and under another none", async () => {
  for (const render of [renderMarkdown, renderHtml]) {
    const failed = await render(someData({ verdict: "failed" }));
    const speeds = failed.match(SPEED) ?? [];
    assert.equal(speeds.length, 7, "4 by context, the roof, 1 of bytes moved, 1 of a prompt");
    assert.equal(failed.match(MARKED)?.length, speeds.length - 1, "all but the machine's own roof");
    assert.doesNotMatch(await render(someData()), /verdict failed/);
  }
  const charts = (await renderHtml(someData({ verdict: "failed" }))).match(
    /<text[^>]*>[^<]* - verdict failed<\/text>/g,
  );
  assert.equal(charts?.length, 3);
});

test("what a model says is text in both forms", async () => {
  const markdown = renderMarkdown(someData({ prompt: "a | b\n# *c* <d>" }));
  assert.ok(markdown.includes("a | b # \\*c\\* \\<d\\>"));
  const html = await renderHtml(someData({ prompt: "<script>alert(1)</script>" }));
  assert.ok(html.includes("&lt;script&gt;alert(1)&lt;/script&gt;"));
  assert.doesNotMatch(html, /<script|https?:\/\/(?!www\.w3\.org)/);
});

test("ternion report writes both files, or the one asked for", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ternion-report-"));
  try {
    const run = (...args: string[]) =>
      ternion(["report", "--threads", "1", "--contexts", "8", "--seconds", "1", "-n", "4", "--no-verify", ...args]);
    const both = await run("--out", join(folder, "new"));
    assert.equal(both.code, 0, both.stderr);
    assert.match(await readFile(join(folder, "new", "report.md"), "utf8"), /^# Report of ternion-tiny\.gguf/);
    assert.match(await readFile(join(folder, "new", "report.html"), "utf8"), /^<!DOCTYPE html>[\s\S]*<svg/);
    const plain = await run();
    assert.equal(plain.code, 0, plain.stderr);
    assert.match(plain.stdout, /^# Report of [\s\S]*## Verdict[\s\S]*## Perplexity/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a fault is reported with its place, its values and its cause", async () => {
  const path = repositoryFile("test/golden/tiny/model.gguf");
  const verdict = await verify(path, { backend: "cpu", threads: 1, endToEnd: false });
  assert.equal(summarise(verdict).status, "passed");
  const place = { name: "blk.0.ffn_out", layer: 0, op: "ffn_out", row: 3, element: 5 };
  const firstFault = { ...place, got: 1.5, expected: 0.25, error: 1, cause: "The gate is missing." };
  const { status, summary } = summarise({ ...verdict, ok: false, firstFault });
  assert.equal(status, "failed");
  assert.equal(
    summary,
    "First wrong: blk.0.ffn_out, row 3, element 5: expected 0.250000, got 1.50000. The gate is missing.",
  );
});

test("a model that is off the scale is flagged", () => {
  const data = someData();
  const off = { ...data, selfCheck: { ...data.selfCheck, ok: false, perplexity: 5000 } };
  assert.match(renderMarkdown(off), /\*\*Self-check: 5000\.0 .* NOT below 300\.0: this model makes no sense/);
  assert.match(renderMarkdown(data), /^Self-check: 8\.0 .* below 300\.0\.$/m);
});
