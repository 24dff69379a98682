/** The slash commands of `ternion chat`. */
import type { Engine } from "../index.js";
import type { Conversation } from "./conversation.js";
import { messageOf } from "./exit.js";
import { writeOutput } from "./output.js";
import { answerStats, loadStats } from "./stats.js";
import { note } from "./streams.js";

type Action = (argument: string, conversation: Conversation, engine: Engine) => void | Promise<void>;

interface ChatCommand {
  readonly name: string;
  readonly argument: string;
  readonly meaning: string;
  readonly run: Action;
}

const print = (text: string) => process.stderr.write(`${text}\n`);

const CHAT_COMMANDS: readonly ChatCommand[] = [
  { name: "/help", argument: "", meaning: "list the commands", run: help },
  { name: "/reset", argument: "", meaning: "forget the conversation, keep the system message", run: reset },
  { name: "/system", argument: "TEXT", meaning: "set the system message; without TEXT remove it", run: system },
  { name: "/save", argument: "FILE", meaning: "write the conversation as JSON messages", run: save },
  { name: "/stats", argument: "", meaning: "timings of loading and of the last answer", run: stats },
  { name: "/exit", argument: "", meaning: "leave", run: () => {} },
];

export const COMMANDS_HELP = CHAT_COMMANDS.map(({ name, argument, meaning }) => {
  return `  ${`${name} ${argument}`.padEnd(14)}  ${meaning}\n`;
}).join("");

/** False means to leave. */
export async function runCommand(line: string, conversation: Conversation, engine: Engine): Promise<boolean> {
  const [, name, argument] = /^(\S+)\s*(.*)$/s.exec(line) as RegExpExecArray;
  const command = CHAT_COMMANDS.find((candidate) => candidate.name === name);
  if (command === undefined) note(`expected a command (/help lists them), got ${name}`);
  else await command.run(argument.trim(), conversation, engine);
  return name !== "/exit";
}

function help(): void {
  print(COMMANDS_HELP.trimEnd());
}

function reset(_: string, conversation: Conversation): void {
  conversation.reset();
  note("the conversation begins anew");
}

function system(text: string, conversation: Conversation): void {
  conversation.system = text;
  note(text === "" ? "no system message" : "the system message is set");
}

async function save(file: string, { messages }: Conversation): Promise<void> {
  if (file === "") return note("/save: expected FILE, got none");
  try {
    await writeOutput(file, `${JSON.stringify(messages, null, 2)}\n`);
    note(`${file}: ${messages.length} messages`);
  } catch (error) {
    note(`/save: ${messageOf(error)}`);
  }
}

function stats(_: string, { finish }: Conversation, engine: Engine): void {
  const answer = finish === undefined ? ["no answer yet"] : answerStats(finish);
  print([...loadStats(engine), ...answer].join("\n"));
}
