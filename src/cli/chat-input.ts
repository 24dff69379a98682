/**
 * Where the messages of a chat come from: a person at a terminal, who edits lines, or the lines of a pipe.
 */
import { createInterface, type Interface } from "node:readline";
import { Writable } from "node:stream";
import { stdinLines } from "./text-input.js";

export interface ChatInput {
  /** Waits for a message; undefined at the end of the input. */
  next(): Promise<string | undefined>;
  /** Gives up what was typed of a message so far; false where that is nothing. */
  discard(): boolean;
  close(): void;
}

/** `onInterrupt`: for Ctrl-C, which is no signal while single keys are read. */
export function openInput(isTerminal: boolean, onInterrupt: () => void): ChatInput {
  return isTerminal ? new TerminalInput(onInterrupt) : new PipeInput();
}

class PipeInput implements ChatInput {
  readonly #lines = stdinLines();
  readonly #closing = new AbortController();

  async next(): Promise<string | undefined> {
    const closed = new Promise<undefined>((resolve) => {
      this.#closing.signal.addEventListener("abort", () => resolve(undefined), { once: true });
    });
    const line = await Promise.race([this.#lines.next(), closed]);
    return line?.value?.replace(/\r$/, "");
  }

  discard(): boolean {
    return false;
  }

  close(): void {
    this.#closing.abort();
    process.stdin.destroy(); // a pipe that stays open would keep the process
  }
}

const PROMPT = "> ";
const PASTED = ". ";
/** The terminal marks the ends of what is pasted, so that the line ends in it end no message. */
const MARK_PASTES = { on: "\x1b[?2004h", off: "\x1b[?2004l" } as const;

/**
 * The line editor reads all the time and shows what it does only while it waits for a message: what is typed during an
 * answer neither gets into it nor is lost, but stands after the next prompt.
 */
class TerminalInput implements ChatInput {
  readonly #screen = new Screen();
  readonly #editor: Interface;
  readonly #marksPastes = process.env.TERM !== "dumb";
  /** lines that ended before they were asked for */
  readonly #typed: string[] = [];
  /** lines of a paste, of a message that has not ended */
  #pasted: string[] = [];
  #isPasting = false;
  #isClosed = false;
  #wake: (() => void) | undefined;

  constructor(onInterrupt: () => void) {
    this.#editor = createInterface({ input: process.stdin, output: this.#screen, terminal: true, prompt: PROMPT });
    this.#editor.on("line", (line) => this.#take(line));
    this.#editor.on("SIGINT", onInterrupt);
    this.#editor.on("close", () => this.#ended());
    process.stdin.on("keypress", (_, key?: { name?: string }) => {
      if (key?.name === "paste-start") this.#isPasting = true;
      if (key?.name === "paste-end") this.#isPasting = false;
    });
    this.#markPastes("on");
  }

  async next(): Promise<string | undefined> {
    const first = this.#typed.shift();
    if (first !== undefined) {
      process.stderr.write(`${PROMPT}${first}\n`);
      return first;
    }
    if (this.#isClosed) return undefined;
    const message = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#show();
    await message;
    this.#wake = undefined;
    this.#screen.isShown = false;
    return this.#typed.shift();
  }

  discard(): boolean {
    const hasText = this.#editor.line !== "" || this.#pasted.length > 0;
    this.#clearLine();
    this.#pasted = [];
    this.#editor.setPrompt(PROMPT);
    process.stderr.write("\n");
    queueMicrotask(() => this.#show()); // after what the caller says about it
    return hasText;
  }

  close(): void {
    this.#editor.close();
  }

  /** The prompt with what was typed so far, where a message is waited for. */
  #show(): void {
    if (this.#wake === undefined || this.#isClosed) return;
    const { line } = this.#editor;
    this.#screen.isShown = false;
    this.#clearLine(); // unseen: the editor would draw it where it thinks that it stands
    this.#screen.isShown = true;
    this.#editor.prompt();
    if (line !== "") this.#editor.write(line);
  }

  #clearLine(): void {
    this.#editor.write(null as never, { ctrl: true, name: "e" });
    this.#editor.write(null as never, { ctrl: true, name: "u" });
  }

  #take(line: string): void {
    if (this.#isPasting) {
      this.#pasted.push(line);
      this.#editor.setPrompt(PASTED);
      this.#editor.prompt();
      return;
    }
    this.#typed.push([...this.#pasted, line].join("\n").trimEnd());
    this.#pasted = [];
    this.#editor.setPrompt(PROMPT);
    this.#wake?.();
  }

  #ended(): void {
    this.#isClosed = true;
    if (this.#screen.isShown) process.stderr.write("\n");
    this.#markPastes("off");
    process.stdin.pause();
    this.#wake?.();
  }

  #markPastes(state: keyof typeof MARK_PASTES): void {
    if (this.#marksPastes) process.stderr.write(MARK_PASTES[state]);
  }
}

/** stderr, of which the editor's part can be left out. */
class Screen extends Writable {
  isShown = false;
  readonly isTTY = true;

  constructor() {
    super({ decodeStrings: false });
    process.stderr.on("resize", () => this.emit("resize"));
  }

  get columns(): number {
    return process.stderr.columns;
  }

  override _write(text: string, _: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.isShown) process.stderr.write(text);
    done();
  }
}
