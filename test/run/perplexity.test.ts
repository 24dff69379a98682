/** Perplexity: the figure that the trainer's own tools found for the model in the box, and windows counted as documented. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Engine, perplexity } from "../../src/index.js";
import { ternion } from "../cli/program.js";
import { repositoryFile } from "../golden.js";

const MODEL = repositoryFile("models/ternion-tiny.gguf");
const HELD_OUT = repositoryFile("models/held-out.txt");
const START = "Once upon a time there was a little bear. He lived in a boat on a blue lake.";

describe("perplexity", () => {
  let engine: Engine;
  before(async () => {
    engine = await Engine.load(MODEL, { threads: 2, maxSessions: 1 });
  });
  after(() => engine.close());

  it("is what NumPy finds for the model in the box, as models/README.md states it", async () => {
    const readme = await readFile(repositoryFile("models/README.md"), "utf8");
    const stated = Number(/NumPy, from the file\) \| ([\d.]+) \|/.exec(readme)?.[1]);
    const count = Number(/([\d,]+) tokens in all/.exec(readme)?.[1]?.replace(",", ""));
    const seen: number[] = [];
    const onProgress = (done: number) => seen.push(done);
    const result = await perplexity(engine, await readFile(HELD_OUT, "utf8"), { window: 512, onProgress });
    assert.equal(result.tokens, count);
    assert.equal(result.windows, Math.ceil(count / 511));
    assert.ok(Math.abs(result.perplexity / stated - 1) < 2e-3, `${result.perplexity}, stated ${stated}`);
    assert.equal(seen.at(-1), count);
  });

  it("predicts every token of every window, each from an empty cache", async () => {
    const { tokenizer } = engine;
    const ids = tokenizer.encode(START, { addBos: false });
    const bos = tokenizer.bos as number;
    let sum = 0;
    for (let first = 0; first < ids.length; first += 6) {
      await using session = engine.session();
      for (const logprob of await session.score([bos, ...ids.slice(first, first + 6)])) sum -= logprob;
    }
    const result = await perplexity(engine, START, { window: 7 });
    assert.equal(result.tokens, ids.length);
    assert.equal(result.loss, sum / ids.length);
    assert.equal(result.perplexity, Math.exp(result.loss));
    assert.equal((await perplexity(engine, [bos, ...ids], { window: 7 })).loss, result.loss);
  });

  it("refuses windows and texts that predict nothing", async () => {
    for (const window of [1, 2.5, engine.contextLength + 1]) {
      await assert.rejects(perplexity(engine, START, { window }), /^RangeError: window: expected an integer from 2 to/);
    }
    await assert.rejects(perplexity(engine, ""), /^RangeError: text: expected a token that can be predicted/);
    await assert.rejects(perplexity(engine, START, { signal: AbortSignal.abort() }), { name: "AbortError" });
  });
});

describe("ternion perplexity", () => {
  it("prints an object with --json, else the same in words", async (t) => {
    const directory = await mkdtemp(join(tmpdir(), "ternion-perplexity-"));
    t.after(() => rm(directory, { recursive: true }));
    const file = join(directory, "text.txt");
    await writeFile(file, START.repeat(3));
    const args = ["perplexity", file, "--model", MODEL, "--window", "20", "-t", "2"];
    const json = await ternion([...args, "--json"]);
    assert.deepEqual({ code: json.code, stderr: json.stderr }, { code: 0, stderr: "" });
    const result = JSON.parse(json.stdout);
    assert.equal(result.window, 20);
    assert.equal(result.windows, Math.ceil(result.tokens / 19));
    const { stdout } = await ternion(args);
    assert.ok(stdout.startsWith(`perplexity ${result.perplexity.toFixed(4)}\nloss ${result.loss.toFixed(4)} +- `));
    const { tokens, windows } = result;
    assert.match(stdout, new RegExp(`^${tokens} tokens in ${windows} windows of at most 20, [\\d.]+ tokens/s$`, "m"));
  });

  it("says when the text cannot be read", async () => {
    const { code, stderr } = await ternion(["perplexity", "nowhere.txt", "--model", MODEL]);
    assert.equal(code, 1);
    assert.match(stderr, /^ternion: expected a text file, got nowhere\.txt: no such file\n$/);
  });
});
