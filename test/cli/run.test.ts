/** `ternion run`: what is on stdout is the answer, and nothing else. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { collect, Engine } from "../../src/index.js";
import { nextOutput, outcome, start, TINY, ternion } from "./program.js";

const GREEDY = ["--model", TINY, "--threads", "1", "--temperature", "0"];
const SHORT = [...GREEDY, "--max-tokens", "12"];

describe("ternion run", () => {
  let directory: string;
  let continued: string;
  let answered: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "ternion-run-"));
    await using engine = await Engine.load(TINY, { threads: 1 });
    const options = { temperature: 0, maxTokens: 12 };
    continued = (await collect(engine.session().generate("Hello", options))).text;
    const messages = ["system Be brief.", "user Hello"].map((line) => {
      const [role, ...words] = line.split(" ");
      return { role, content: words.join(" ") };
    });
    answered = (await collect(engine.session().chat(messages, options))).text;
  });
  after(() => rm(directory, { recursive: true }));

  it("keeps to a schema, a grammar or a regular expression", async () => {
    const schema = join(directory, "schema.json");
    const grammar = join(directory, "root.ebnf");
    await writeFile(
      schema,
      JSON.stringify({ type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"] }),
    );
    await writeFile(grammar, 'root ::= "yes" | "no"\n');
    assert.match((await ternion(["run", "Hello", ...GREEDY, "--schema", schema])).stdout, /^\{"ok":(true|false)\}$/);
    assert.match((await ternion(["run", "Hello", ...GREEDY, "--grammar", grammar])).stdout, /^(yes|no)$/);
    assert.match((await ternion(["run", "Hello", ...GREEDY, "--regex", "[a-c]{3}"])).stdout, /^[a-c]{3}$/);
  });

  it("prints what the library answers, whatever way the prompt comes", async () => {
    const file = join(directory, "prompt.txt");
    await writeFile(file, "Hello\n");
    const expected = { stdout: continued, stderr: "", code: 0 };
    assert.deepEqual(await ternion(["run", "Hello", ...SHORT]), expected);
    assert.deepEqual(await ternion(["run", ...SHORT], "Hello\n"), expected);
    assert.deepEqual(await ternion(["run", ...SHORT, "--file", file]), expected);
  });

  it("applies the chat template", async () => {
    const { stdout, code } = await ternion(["run", "Hello", ...SHORT, "--chat", "--system", "Be brief."]);
    assert.deepEqual({ stdout, code }, { stdout: answered, code: 0 });
  });

  it("gives the same text for the same seed, on every backend", async () => {
    const options = ["run", "Hello", "--model", TINY, "--max-tokens", "8", "--seed", "7"];
    const first = await ternion(options);
    assert.equal(first.code, 0);
    assert.deepEqual(await ternion([...options, "--backend", "reference"]), first);
    assert.deepEqual(await ternion([...options, "--kernel", "ternaryDotBaseline"]), first);
  });

  it("tells timings and probabilities on stderr only", async () => {
    const { stdout, stderr } = await ternion(["run", "Hello", ...SHORT, "--stats", "--logprobs", "2"]);
    assert.equal(stdout, continued);
    const lines = stderr.trimEnd().split("\n");
    const tokens = lines.slice(0, 12).map((line) => JSON.parse(line));
    assert.ok(tokens.every(({ id, top }) => top.length === 2 && top[0].id === id));
    assert.match(
      lines.slice(12).join("\n"),
      /^backend {2}cpu: 1 thread.*\nload .*\n(repaired .*\n)*prompt .*\nanswer .*\nended/,
    );
  });

  it("follows the options of generation", async () => {
    const first = continued[0];
    const stopped = await ternion(["run", "Hello", ...SHORT, "--stop", "never", "--stop", first]);
    assert.equal(stopped.stdout, "");
    const bias = ["--logit-bias", `${first.charCodeAt(0)}=-inf`];
    assert.ok(!(await ternion(["run", "Hello", ...SHORT, ...bias])).stdout.startsWith(first));
  });

  it("uses a model without being given one, and says so", async () => {
    const { stderr, code } = await ternion(["run", "Hello", "--max-tokens", "2"]);
    assert.equal(code, 0);
    assert.match(stderr, /^$|^ternion: no --model: .* random.*\n$/);
  });

  it("loads a model from a URL", async (t) => {
    const model = await readFile(TINY);
    const server = createServer((_, response) => response.end(model)).listen(0, "127.0.0.1");
    t.after(() => server.close());
    await new Promise((resolve) => server.once("listening", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/tiny.gguf`;
    const cache = { TERNION_CACHE: join(directory, "cache") };
    const options = ["run", "Hello", ...SHORT, "--model", url];
    assert.deepEqual(await ternion(options, "", cache), { stdout: continued, stderr: "", code: 0 });
    server.close();
    assert.equal((await ternion(options, "", cache)).stdout, continued); // from the cache
  });

  it("ends an answer at Ctrl-C with exit code 130", async () => {
    const child = start(["run", "Hello", ...GREEDY, "--ctx", "4096"]);
    const end = outcome(child);
    await nextOutput(child.stdout);
    child.kill("SIGINT");
    const { stderr, code } = await end;
    assert.deepEqual({ stderr, code }, { stderr: "", code: 130 });
  });

  it("ends quietly when nobody reads any more", async () => {
    const child = start(["run", "Hello", ...GREEDY, "--ctx", "4096"]);
    const end = outcome(child);
    await nextOutput(child.stdout);
    child.stdout.destroy();
    const { stderr, code } = await end;
    assert.deepEqual({ stderr, code }, { stderr: "", code: 0 });
  });

  it("says what is missing where V8 runs without WebAssembly", async () => {
    const { stdout, stderr, code } = await ternion(["run", ...SHORT, "Hello"], "", { NODE_OPTIONS: "--jitless" });
    assert.match(stderr, /ternion: The CPU backend needs WebAssembly .* without --jitless\.\n$/);
    assert.deepEqual([stdout, code], ["", 1]);
  });
});
