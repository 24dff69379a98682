/** `ternion chat` as a person uses it: lines edited at a terminal, Ctrl-C, and typing while the model answers. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { ChatMessage } from "../../src/index.js";
import { TINY } from "./program.js";
import { NO_TERMINAL, Terminal } from "./terminal.js";

const GREEDY = ["chat", "--model", TINY, "--threads", "1", "--temperature", "0"];
const SHORT = [...GREEDY, "--max-tokens", "4"];
/** goes on until it is stopped */
const LONG = [...GREEDY, "--ctx", "4096"];

const [CTRL_C, CTRL_D, ENTER, UP] = ["\x03", "\x04", "\r", "\x1b[A"];
/** the prompt as the editor draws it, and nothing typed after it */
// biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal is sent
const PROMPT = /> \x1b\[3G/;

describe("ternion chat at a terminal", { skip: NO_TERMINAL }, () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "ternion-terminal-"));
  });
  after(() => rm(directory, { recursive: true }));

  /** What was sent and answered, as /save writes it; then leaves. */
  async function conversationOf(terminal: Terminal): Promise<ChatMessage[]> {
    const file = join(directory, "conversation.json");
    terminal.type(`/save ${file}${ENTER}`);
    await terminal.until(/: \d+ messages/);
    terminal.type(CTRL_D);
    assert.equal(await terminal.ended(), 0);
    return JSON.parse(await readFile(file, "utf8"));
  }

  const said = (messages: readonly ChatMessage[]) =>
    messages.filter(({ role }) => role === "user").map(({ content }) => content);

  it("Ctrl-C at the prompt gives up the line, and what is typed next is a message of its own", async () => {
    const terminal = new Terminal(SHORT);
    await terminal.until(PROMPT);
    terminal.type("the old line");
    await terminal.until(/the old line/);
    terminal.type(CTRL_C);
    await terminal.until(/Ctrl-C again, or Ctrl-D, leaves/);
    await terminal.until(PROMPT);
    terminal.type(`new${ENTER}`);
    assert.doesNotMatch(await terminal.until(/new/), /old/);
    await terminal.until(PROMPT);
    assert.deepEqual(said(await conversationOf(terminal)), ["new"]);
  });

  it("Ctrl-C at an empty prompt leaves the second time", async () => {
    const terminal = new Terminal(SHORT);
    await terminal.until(PROMPT);
    terminal.type(CTRL_C);
    await terminal.until(PROMPT);
    terminal.type("text, so that the next Ctrl-C gives it up");
    await terminal.until(/gives it up/);
    terminal.type(CTRL_C);
    await terminal.until(PROMPT);
    terminal.type(CTRL_C);
    assert.equal(await terminal.ended(), 0);
  });

  it("shows nothing of what is typed during an answer until the answer has ended, and loses nothing", async () => {
    const terminal = new Terminal(LONG);
    await terminal.until(PROMPT);
    terminal.type(`Hello${ENTER}`);
    await terminal.until(/Hello\r\r?\n[^\r]/);
    terminal.type(`a whole line${ENTER}and a half`);
    await new Promise((resolve) => setTimeout(resolve, 200)); // for an echo, were there one
    terminal.type(CTRL_C);
    const answer = await terminal.until(/ \[stopped\]/);
    assert.doesNotMatch(answer, /whole|half/);
    await terminal.until(/> a whole line\r\n/);
    terminal.type(CTRL_C);
    await terminal.until(PROMPT);
    await terminal.until(/and a half/);
    terminal.type(` or more${CTRL_C}`);
    await terminal.until(PROMPT);
    const messages = said(await conversationOf(terminal));
    assert.equal(messages[0], "Hello");
    assert.ok(messages.length === 1 || messages[1] === "a whole line", "sent as a message, perhaps stopped at once");
  });

  it("sends pasted lines as one message", async () => {
    const terminal = new Terminal(SHORT);
    await terminal.until(PROMPT);
    terminal.type("\x1b[200~first\rsecond\r\x1b[201~");
    await terminal.until(/second/);
    terminal.type(`third${ENTER}`);
    await terminal.until(PROMPT);
    assert.deepEqual(said(await conversationOf(terminal)), ["first\nsecond\nthird"]);
  });

  it("edits long lines in a narrow window, and remembers lines", async () => {
    const terminal = new Terminal([...SHORT, "--ctx", "4096"], { columns: 20 });
    const long = "many words ".repeat(30).trim();
    await terminal.until(PROMPT);
    terminal.type(`${long}X\b${ENTER}`);
    await terminal.until(PROMPT);
    terminal.type(`${UP}${ENTER}`);
    await terminal.until(PROMPT);
    const messages = said(await conversationOf(terminal));
    assert.deepEqual(messages.slice(0, 2), [long, long]);
  });

  it("leaves at Ctrl-D, during an answer after its end", async () => {
    const terminal = new Terminal(SHORT);
    await terminal.until(PROMPT);
    terminal.type(`Hello${ENTER}${CTRL_D}`);
    assert.equal(await terminal.ended(), 0);
  });

  it("Ctrl-C while the model loads ends with 130", async () => {
    const terminal = new Terminal(["run", "Hello", "--model", TINY, "--threads", "1", "--ctx", "4096"]);
    await terminal.until(/weights|\S/);
    terminal.type(CTRL_C);
    assert.equal(await terminal.ended(), 130);
  });
});
