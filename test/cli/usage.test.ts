/** Help, version, and the one line and exit code for each way of getting it wrong. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import { MAIN, type Outcome, outcome, repositoryFile, TINY, ternion, ternions } from "./program.js";

const COMMANDS = ["run", "chat", "tokenize", "inspect", "trace", "verify", "perplexity", "bench", "doctor", "report"];
const RUN = ["run", "Hello", "--model", TINY];

/** arguments, exit code, the line on stderr */
const MISTAKES: readonly (readonly [args: string[], code: number, line: string | RegExp])[] = [
  [["walk"], 2, "unknown command 'walk'; see --help"],
  [["run", "--sped", "x"], 2, /^unknown option '--sped' .*--seed.*; see --help$/],
  [["run", "a", "b"], 2, "too many arguments for 'run'. Expected 1 argument but got 2; see --help"],
  [["run", "--model"], 2, "option '-m, --model <FILE|URL>' argument missing; see --help"],
  [[...RUN, "--threads", "two"], 2, '--threads: expected an integer from 1 to 256, got "two"'],
  [[...RUN, "--threads", "0"], 2, '--threads: expected an integer from 1 to 256, got "0"'],
  [[...RUN, "--ctx", "1e3"], 2, '--ctx: expected an integer of 1 or more, got "1e3"'],
  [[...RUN, "--ctx", "99999"], 2, "--ctx: expected an integer from 1 to 4096, got 99999"],
  [[...RUN, "--seed", "-1"], 2, '--seed: expected an integer of 0 or more, got "-1"'],
  [[...RUN, "--temperature", "warm"], 2, '--temperature: expected a number from 0 to 1000000, got "warm"'],
  [[...RUN, "--top-p", "1.1"], 2, '--top-p: expected a number from 0 to 1, got "1.1"'],
  [[...RUN, "--min-p", ""], 2, '--min-p: expected a number from 0 to 1, got ""'],
  [[...RUN, "--stop", ""], 2, '--stop: expected at least one character, got ""'],
  [[...RUN, "--logit-bias", "5"], 2, '--logit-bias: expected ID=BIAS with a number or -inf, as in 12=-5, got "5"'],
  [[...RUN, "--backend", "npu"], 2, '--backend: expected auto or cpu or gpu or reference, got "npu"'],
  [[...RUN, "--system", "x"], 2, "--system: expected --chat with it, got none"],
  [[...RUN, "--file", "x"], 2, "expected PROMPT or --file, got both"],
  [[...RUN, "--strict"], 1, /^The model file needs repair and --strict is set: tokenizer\.ggml\.pre \(absent\)/],
  [
    ["inspect", "--model", TINY, "--strict"],
    1,
    /^The model file needs repair and --strict is set: tokenizer\.ggml\.pre/,
  ],
  [["run", "--model", TINY, "--file", "nowhere"], 1, "--file: expected a text file, got nowhere: no such file"],
  [["run", "x", "--model", "nowhere.gguf"], 1, "nowhere.gguf: no such file; give the path of a GGUF model"],
  [["run", "x", "--model", "ftp://host/a"], 1, /^ftp:\/\/host\/a: expected a path or an http:, https: or file: URL/],
  [["inspect", "--model", repositoryFile("package.json")], 1, /package\.json: .*magic/i],
  [["tokenize", "--json", "--jsonl"], 2, "expected --json or --jsonl, got both"],
  [["tokenize", "x", "--file", "y"], 2, "expected TEXT or --file, got both"],
  [["tokenize", "x", "--jsonl"], 2, "--jsonl: expected lines on stdin, got TEXT"],
  [["inspect", TINY, "--model", TINY], 2, "expected FILE or --model, got both"],
  [["inspect", ""], 2, '--model: expected at least one character, got ""'],
  [["inspect", repositoryFile("test")], 1, /test: expected a file, got a directory/],
  [["perplexity", "nowhere.txt"], 1, "expected a text file, got nowhere.txt: no such file"],
  [["perplexity", repositoryFile("test")], 1, /^expected a text file, got .*test: it is a directory$/],
  [
    ["perplexity", "package.json", "--model", TINY, "-w", "9999"],
    2,
    /^--window: expected an integer from 2 to 2048, got 9999$/,
  ],
  [
    ["trace", "--tokens", "1", "--out", "no/where"],
    1,
    /^--out: expected a file to write, got no\/where: no such file or directory$/,
  ],
  [["trace", "--tokens", "1", "--out", ""], 2, '--out: expected a file to write, got ""'],
  [["report", "--out", ""], 2, '--out: expected a file to write, got ""'],
  [["run", "x", "--model", "http://"], 2, "--model: expected a path or a URL, got a malformed URL"],
  [["bench", "-p", "0", "-n", "0"], 2, "--n-prompt, --n-gen: expected a length above 0, got none"],
  [["trace", "--tokens", "1", "--out", "/"], 1, "--out: expected a file to write, got /, which is a folder"],
  [
    ["trace", "--tokens", "999", "--model", TINY, "--out", "x"],
    2,
    "--tokens[0]: expected an id from 0 to 319, got 999",
  ],
  [["verify", "--tokens", "1", "--model", TINY], 2, "--tokens: expected at least 2, got 1"],
  [
    ["report", "--out", repositoryFile("package.json")],
    2,
    /^--out: expected a folder, FILE\.md or FILE\.html, got .*package\.json/,
  ],
  [
    ["report", "--out", "package.json/x"],
    1,
    /^--out: expected a folder, got package\.json\/x: a part of its path is a file$/,
  ],
  [["repair", TINY, TINY], 2, /^.*: expected another file than the one to read, got the same$/],
  [
    ["repair", TINY, repositoryFile("package.json")],
    1,
    /^.*package\.json: expected no such file, got one; give another name, or --force to replace it\.$/,
  ],
  [
    [...RUN, "--seed", "99999999999999999999"],
    2,
    '--seed: expected an integer of 0 or more, got "99999999999999999999"',
  ],
  [[...RUN, "--ctx", "8", "--file", repositoryFile("package.json")], 2, "expected PROMPT or --file, got both"],
  [
    ["run", "a rather long prompt", "--model", TINY, "--ctx", "8"],
    1,
    "prompt: expected at most 8 tokens, got 21. Shorten it, give a larger --ctx, or let `ternion run --overflow shift` cut it.",
  ],
  [[...RUN, "--regex", "(a"], 2, '--regex: expected ")", got its end at character 3'],
  [[...RUN, "--regex", "a", "--grammar", "x"], 2, "--grammar: expected without --regex, got both"],
  [[...RUN, "--schema", TINY], 1, /: expected text in UTF-8/],
  [[...RUN, "--schema", repositoryFile("LICENSE")], 2, /^--schema: expected JSON in .*LICENSE, got other text/],
  [[...RUN, "--schema", repositoryFile("package.json")], 2, /^schema\.\w+: this keyword cannot be honoured/],
  [[...RUN, "--logit-bias", "999=1"], 2, "--logit-bias: expected ids below 320, got 999"],
  [["trace", "--out", "x"], 2, "required option '--tokens <IDS>' not specified; see --help"],
  [["trace", "--tokens", "1,,2", "--out", "x"], 2, '--tokens: expected an integer of 0 or more, got ""'],
  [["bench", "--model", TINY, "-p", "64", "--ctx", "32"], 2, "--ctx: expected at least 64 for these tests, got 32"],
];

describe("ternion on the command line", () => {
  let outcomes: Outcome[] = [];
  before(async () => {
    outcomes = await ternions(MISTAKES.map(([args]) => args));
  });
  for (const [i, [args, code, line]] of MISTAKES.entries()) {
    const words = args.map((arg) => (arg === TINY ? "tiny.gguf" : arg.split("/").at(-1)));
    it(`${words.join(" ")} ends with ${code} and one line`, () => {
      const got = outcomes[i];
      assert.equal(got.code, code);
      assert.equal(got.stdout, "");
      assert.match(got.stderr, /^ternion: [^\n]+\n$/);
      const said = got.stderr.slice("ternion: ".length, -1);
      if (typeof line === "string") assert.equal(said, line);
      else assert.match(said, line);
    });
  }

  it("shows a stack trace with --debug only", async () => {
    const { stderr, code } = await ternion(["run", "x", "--model", "nowhere.gguf", "--debug"]);
    assert.equal(code, 1);
    assert.match(stderr, /^ternion: TernionError: nowhere\.gguf: no such file.*\n {4}at /);
  });

  it("has help with examples and exit codes for every command", async () => {
    const all = await ternions(COMMANDS.map((command) => [command, "--help"]));
    for (const [i, command] of COMMANDS.entries()) {
      const { stdout, stderr, code } = all[i];
      assert.deepEqual({ stderr, code }, { stderr: "", code: 0 });
      assert.match(stdout, new RegExp(`^Usage: ternion ${command} .*\\n`));
      assert.match(stdout, new RegExp(`\\nExamples:\\n.*ternion ${command}`, "s"));
      assert.match(stdout, /\nExit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted/);
    }
  });

  it("lists the commands, on stderr with exit code 2 if there is none", async () => {
    const asked = await ternion(["--help"]);
    assert.equal(asked.code, 0);
    for (const command of [...COMMANDS, "repair"]) assert.match(asked.stdout, new RegExp(`^ {2}${command} `, "m"));
    assert.deepEqual(await ternion([]), { stdout: "", stderr: asked.stdout, code: 2 });
  });

  it("prints its version", async () => {
    const { version } = JSON.parse(await readFile(repositoryFile("package.json"), "utf8"));
    assert.deepEqual(await ternion(["--version"]), { stdout: `${version}\n`, stderr: "", code: 0 });
  });

  it("says in a line that it may open too few files", {
    skip: process.platform !== "linux" && "no ulimit",
  }, async () => {
    const child = spawn("sh", ["-c", 'ulimit -n 32; exec "$@"', "sh", process.execPath, MAIN, "run", "Hello"]);
    const { stdout, stderr, code } = await outcome(child);
    assert.match(stderr, /^ternion: .*(EMFILE|too many open files).*\. .*raise the limit.*ulimit -n.*\n$/i);
    assert.deepEqual([stdout, code], ["", 1]);
  });
});
