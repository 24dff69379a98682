/** `ternion chat` with stdin from a pipe: each line is a message or a command, stdout has the answers only. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type ChatMessage, collect, Engine } from "../../src/index.js";
import { nextOutput, outcome, start, TINY, ternion } from "./program.js";

const GREEDY = ["chat", "--model", TINY, "--threads", "1", "--temperature", "0"];
const SHORT = [...GREEDY, "--max-tokens", "6"];

describe("ternion chat", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "ternion-chat-"));
  });
  after(() => rm(directory, { recursive: true }));

  /** What the library answers to each message after the other. */
  async function answersTo(system: string, ...messages: string[]): Promise<string[]> {
    await using engine = await Engine.load(TINY, { threads: 1 });
    const session = engine.session();
    const conversation: ChatMessage[] = [{ role: "system", content: system }];
    const answers: string[] = [];
    for (const content of messages) {
      conversation.push({ role: "user", content });
      const { text } = await collect(session.chat(conversation, { temperature: 0, maxTokens: 6 }));
      conversation.push({ role: "assistant", content: text });
      answers.push(text);
    }
    return answers;
  }

  it("answers line by line, and remembers what was said", async () => {
    const [first, second] = await answersTo("Be kind.", "Hello", "And you?");
    const file = join(directory, "conversation.json");
    const got = await ternion([...SHORT, "--system", "Be kind."], `Hello\n\nAnd you?\n/save ${file}\n`);
    assert.deepEqual(got, { stdout: `${first}\n${second}\n`, stderr: `ternion: ${file}: 5 messages\n`, code: 0 });
    assert.deepEqual(JSON.parse(await readFile(file, "utf8")), [
      { role: "system", content: "Be kind." },
      { role: "user", content: "Hello" },
      { role: "assistant", content: first },
      { role: "user", content: "And you?" },
      { role: "assistant", content: second },
    ]);
  });

  it("obeys commands, and leaves at /exit", async () => {
    const [answer] = await answersTo("Be kind.", "Hello");
    const input = "/system Be kind.\nHello\n/reset\nHello\n/stats\n/help\n/save\n/dance\n/exit\nHello\n";
    const { stdout, stderr, code } = await ternion(SHORT, input);
    assert.deepEqual({ stdout, code }, { stdout: `${answer}\n${answer}\n`, code: 0 });
    assert.match(stderr, /^ternion: the system message is set\nternion: the conversation begins anew\nbackend {2}cpu/);
    assert.match(stderr, /\nended +by length.*\n {2}\/help .*\n {2}\/exit +leave\n/s);
    assert.match(stderr, /\nternion: \/save: expected FILE.*\nternion: expected a command \(\/help.*got \/dance\n$/);
  });

  it("stops the answer at Ctrl-C, and goes on with the conversation", async () => {
    const child = start([...GREEDY, "--ctx", "4096"]);
    const end = outcome(child);
    child.stdin.write("Hello\n");
    await nextOutput(child.stdout);
    child.kill("SIGINT");
    const file = join(directory, "stopped.json");
    child.stdin.end(`/save ${file}\n`);
    const { stdout, stderr, code } = await end;
    assert.deepEqual({ stderr, code }, { stderr: `ternion: ${file}: 2 messages\n`, code: 0 });
    const [, { content }] = JSON.parse(await readFile(file, "utf8"));
    assert.equal(stdout, `${content}\n`);
  });

  it("leaves at the second Ctrl-C while it waits", async () => {
    const child = start(SHORT);
    const end = outcome(child);
    child.stdin.write("/help\n");
    await nextOutput(child.stderr);
    child.kill("SIGINT");
    assert.match(await nextOutput(child.stderr), /Ctrl-C again/);
    child.kill("SIGINT");
    assert.equal((await end).code, 0);
  });

  it("forgets the oldest turns when the context fills", async () => {
    const input = "Hello there, how are you today?\n".repeat(4);
    const { stdout, stderr, code } = await ternion([...SHORT, "--ctx", "96"], input);
    assert.equal(code, 0);
    assert.equal(stdout.split("\n").length, 5);
    assert.match(stderr, /^(ternion: the context of 96 tokens is nearly full: forgot the oldest .*\n)+$/);
  });

  it("says when a message does not fit at all", async () => {
    const { stderr, code } = await ternion([...SHORT, "--ctx", "32"], `${"word ".repeat(40)}\n`);
    assert.equal(code, 1);
    assert.match(stderr, /^ternion: prompt: expected at most 32 tokens, got \d+\..*\n$/);
  });
});
