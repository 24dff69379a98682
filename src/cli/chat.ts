/**
 * `ternion chat`: a conversation. Ctrl-C stops the answer under way and keeps what was said of it; at the prompt, Ctrl-C
 * twice or Ctrl-D leaves. With stdin from a pipe each line is a message, and only the answers are printed.
 */
import { createInterface, type Interface } from "node:readline/promises";
import type { Command } from "commander";
import type { Engine } from "../index.js";
import { COMMANDS_HELP, runCommand } from "./chat-commands.js";
import { Conversation } from "./conversation.js";
import { EXIT, Interrupted } from "./exit.js";
import { loadEngine, modelFile } from "./model.js";
import {
  addCommonOptions,
  addSamplingOptions,
  type CommonOptions,
  generateOptions,
  type SamplingFlags,
} from "./options.js";
import { note, print } from "./streams.js";

interface ChatOptions extends CommonOptions, SamplingFlags {
  readonly system?: string;
}

const EXAMPLES = `
Examples:
  ternion chat
  ternion chat --model model.gguf --system "Answer in one sentence." --temperature 0
  printf 'Hello\\nAnd now in French\\n' | ternion chat --seed 1

Lines that begin with a slash are commands:
${COMMANDS_HELP}
Ctrl-C stops an answer; at the prompt, Ctrl-C twice or Ctrl-D leaves.
When the context is nearly full the older half of the conversation is forgotten.`;

export function registerChat(program: Command): void {
  const command = program
    .command("chat")
    .description("talk with the model")
    .option("--system <TEXT>", "the system message")
    .addHelpText("after", EXAMPLES)
    .action(chat);
  addSamplingOptions(addCommonOptions(command));
}

async function chat({ system, ...options }: ChatOptions): Promise<void> {
  const loading = new AbortController();
  let onInterrupt = () => loading.abort(new Interrupted());
  const interrupt = () => onInterrupt();
  process.on("SIGINT", interrupt);
  try {
    const { signal } = loading;
    await using engine = await loadEngine(await modelFile(options, signal), options, { signal, maxSessions: 1 });
    const conversation = new Conversation(engine, { ...generateOptions(options), system });
    const terminal = new ChatTerminal(engine, conversation);
    onInterrupt = () => terminal.interrupt();
    await terminal.loop();
    onInterrupt = () => process.exit(EXIT.interrupted); // while the engine closes
  } finally {
    process.off("SIGINT", interrupt);
  }
}

/** Reads lines, answers them, and decides what Ctrl-C means. */
class ChatTerminal {
  readonly #engine: Engine;
  readonly #conversation: Conversation;
  readonly #isTerminal = process.stdin.isTTY === true && process.stderr.isTTY === true;
  readonly #input: Interface;
  #answering: AbortController | undefined;
  /** Ctrl-C came at this prompt already */
  #warned = false;

  constructor(engine: Engine, conversation: Conversation) {
    this.#engine = engine;
    this.#conversation = conversation;
    const output = this.#isTerminal ? { output: process.stderr } : {};
    this.#input = createInterface({ input: process.stdin, ...output, terminal: this.#isTerminal, prompt: "> " });
    // a terminal that reads single keys sends no signal
    this.#input.on("SIGINT", () => this.interrupt());
  }

  interrupt(): void {
    if (this.#answering !== undefined) {
      this.#answering.abort(new Interrupted());
    } else if (this.#warned) {
      this.#input.close();
    } else {
      this.#warned = true;
      if (this.#isTerminal) process.stderr.write("\n");
      note("Ctrl-C again, or Ctrl-D, leaves");
      this.#prompt();
    }
  }

  async loop(): Promise<void> {
    if (this.#isTerminal) note(`${this.#engine.config.name} on ${this.#engine.description}; /help lists the commands`);
    // made before the first wait: it keeps the lines that come while an answer is under way
    const lines = this.#input[Symbol.asyncIterator]();
    try {
      for (;;) {
        this.#warned = false;
        this.#prompt();
        const { value: line, done } = await lines.next();
        if (done || !(await this.#take(line))) break;
      }
    } finally {
      this.#input.close();
    }
  }

  #prompt(): void {
    if (!this.#isTerminal) return;
    process.stdin.setRawMode(true);
    this.#input.prompt();
  }

  /** False means to leave. */
  async #take(line: string): Promise<boolean> {
    try {
      if (line.startsWith("/")) return await runCommand(line, this.#conversation, this.#engine);
      if (line.trim() !== "") await this.#answer(line);
    } catch (error) {
      // a script wants to know; a person wants to go on
      if (!this.#isTerminal || !(error instanceof Error)) throw error;
      note(error.message);
    }
    return true;
  }

  async #answer(message: string): Promise<void> {
    this.#answering = new AbortController();
    if (this.#isTerminal) {
      // the terminal's own mode: typed lines wait for the next prompt, and Ctrl-C is a signal
      this.#input.pause();
      process.stdin.setRawMode(false);
    }
    try {
      for await (const text of this.#conversation.answer(message, this.#answering.signal)) await print(text);
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
      if (this.#isTerminal) process.stderr.write(" [stopped]");
    } finally {
      this.#answering = undefined;
    }
    await print("\n");
    for (const line of this.#conversation.takeNotes()) note(line);
  }
}
