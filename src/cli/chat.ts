/**
 * `ternion chat`: a conversation. Ctrl-C stops the answer under way and keeps what was said of it; at the prompt, Ctrl-C
 * twice or Ctrl-D leaves. With stdin from a pipe each line is a message, and only the answers are printed.
 */
import type { Command } from "commander";
import type { Engine } from "../index.js";
import { COMMANDS_HELP, runCommand } from "./chat-commands.js";
import { type ChatInput, openInput } from "./chat-input.js";
import { Conversation } from "./conversation.js";
import { EXIT, Interrupted, messageOf } from "./exit.js";
import { loadEngine, modelFile } from "./model.js";
import {
  addEngineOptions,
  addSamplingOptions,
  type EngineFlags,
  generateOptions,
  type SamplingFlags,
} from "./options.js";
import { note, print } from "./streams.js";

interface ChatOptions extends EngineFlags, SamplingFlags {
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
  addSamplingOptions(addEngineOptions(command));
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

/** Reads messages, answers them, and decides what Ctrl-C means. */
class ChatTerminal {
  readonly #engine: Engine;
  readonly #conversation: Conversation;
  readonly #isTerminal = process.stdin.isTTY === true && process.stderr.isTTY === true;
  readonly #input: ChatInput;
  #answering: AbortController | undefined;
  /** Ctrl-C came at this prompt already */
  #warned = false;

  constructor(engine: Engine, conversation: Conversation) {
    this.#engine = engine;
    this.#conversation = conversation;
    this.#input = openInput(this.#isTerminal, () => this.interrupt());
  }

  interrupt(): void {
    if (this.#answering === undefined) this.#interruptPrompt();
    else this.#answering.abort(new Interrupted());
  }

  #interruptPrompt(): void {
    const gaveUpText = this.#input.discard();
    if (this.#warned && !gaveUpText) {
      this.#input.close();
    } else {
      this.#warned = true;
      note("Ctrl-C again, or Ctrl-D, leaves");
    }
  }

  async loop(): Promise<void> {
    if (this.#isTerminal) note(`${this.#engine.config.name} on ${this.#engine.description}; /help lists the commands`);
    try {
      for (;;) {
        this.#warned = false;
        const message = await this.#input.next();
        if (message === undefined || !(await this.#take(message))) break;
      }
    } finally {
      this.#input.close();
    }
  }

  /** False means to leave. */
  async #take(message: string): Promise<boolean> {
    try {
      if (message.startsWith("/")) return await runCommand(message, this.#conversation, this.#engine);
      if (message.trim() !== "") await this.#answer(message);
    } catch (error) {
      // a script wants to know; a person wants to go on
      if (!this.#isTerminal || !(error instanceof Error)) throw error;
      note(messageOf(error));
    }
    return true;
  }

  async #answer(message: string): Promise<void> {
    this.#answering = new AbortController();
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
