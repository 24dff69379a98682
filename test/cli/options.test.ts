/** Which options each command takes: those that do something in it, and no others. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ternion } from "./program.js";

const MODEL = ["--model", "--strict", "--debug"];
const ENGINE = [
  "--backend",
  "--adapter",
  "--threads",
  "--ctx",
  "--kernel",
  "--kv",
  "--head",
  "--i2s-layout",
  "--revectorize",
];
const SAMPLING = [
  "--seed",
  "--max-tokens",
  "--stop",
  "--temperature",
  "--top-k",
  "--top-p",
  "--min-p",
  "--repetition-penalty",
  "--presence-penalty",
  "--frequency-penalty",
  "--logit-bias",
];
/** The head chooses tokens: nothing that only scores them uses it. */
const SCORING = ENGINE.filter((name) => name !== "--head");

const TAKEN: Readonly<Record<string, readonly string[]>> = {
  run: [
    ...MODEL,
    ...ENGINE,
    ...SAMPLING,
    "--file",
    "--chat",
    "--system",
    "--special",
    "--overflow",
    "--schema",
    "--grammar",
    "--regex",
    "--logprobs",
    "--stats",
  ],
  chat: [...MODEL, ...ENGINE, ...SAMPLING, "--system"],
  tokenize: [...MODEL, "--file", "--json", "--jsonl", "--special", "--no-bos"],
  inspect: [...MODEL, "--json"],
  trace: [...MODEL, ...SCORING, "--tokens", "--out"],
  verify: [...MODEL, ...SCORING.filter((name) => name !== "--ctx"), "--tokens", "--against", "--end-to-end", "--json"],
  perplexity: [...MODEL, ...SCORING, "--window", "--special", "--json"],
  bench: [
    ...MODEL,
    ...ENGINE,
    "--n-prompt",
    "--n-gen",
    "--repetitions",
    "--batch-size",
    "--json",
    "--profile",
    "--check",
  ],
  doctor: ["--threads", "--kernel", "--revectorize", "--json", "--debug"],
  report: [...MODEL, ...ENGINE, "--out", "--contexts", "--seconds", "--max-tokens", "--no-verify"],
  repair: ["--i2s-layout", "--force", "--debug"],
};

describe("the options of the commands", () => {
  for (const [command, taken] of Object.entries(TAKEN)) {
    it(`${command} takes what does something in it`, async () => {
      const { stdout } = await ternion([command, "--help"]);
      const listed = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, name]) => name);
      assert.deepEqual(listed.sort(), [...taken, "--help"].sort());
    });
  }

  it("others are refused", async () => {
    for (const args of [
      ["tokenize", "x", "--threads", "1"],
      ["inspect", "--ctx", "5"],
      ["chat", "--logprobs", "1"],
      ["bench", "--seed", "1"],
    ]) {
      const { stderr, code } = await ternion(args);
      assert.equal(code, 2);
      assert.match(stderr, /^ternion: unknown option '--[\w-]+'.*; see --help\n$/);
    }
  });
});
