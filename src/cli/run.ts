/** `ternion run`: one prompt, one answer. The answer and nothing else goes to stdout. */
import type { Command } from "commander";
import type { Engine, GenerateOptions, Piece } from "../index.js";
import { UsageError } from "./exit.js";
import { loadEngine, modelFile } from "./model.js";
import {
  addEngineOptions,
  addSamplingOptions,
  type EngineFlags,
  generateOptions,
  type SamplingFlags,
} from "./options.js";
import { answerStats, loadStats } from "./stats.js";
import { interruptSignal, print } from "./streams.js";
import { readStdin, readTextFile } from "./text-input.js";
import { choiceOption, integerOption } from "./values.js";

interface RunOptions extends EngineFlags, SamplingFlags {
  readonly logprobs?: number;
  readonly overflow?: "stop" | "shift";
  readonly schema?: string;
  readonly grammar?: string;
  readonly regex?: string;
  readonly file?: string;
  readonly chat?: true;
  readonly system?: string;
  readonly special?: true;
  readonly stats?: true;
}

const EXAMPLES = `
Examples:
  ternion run "The capital of France is" --max-tokens 20
  ternion run --chat "Why is the sky blue?" --temperature 0
  ternion run --chat --system "Answer in one sentence." --file question.txt --stats
  ternion run --chat "Name a city." --regex "[A-Z][a-z]{2,20}"
  echo '{"enum": ["yes", "no"]}' > answer.json; ternion run --chat "Is water wet?" --schema answer.json
  echo "Once upon a time" | ternion run --model model.gguf --seed 1 > story.txt

A file or stdin is UTF-8, or UTF-16 with its mark, and loses the line end at its end, if there is one. With --overflow
shift the older half of what follows the token that begins a text is dropped whenever the context is full.`;

export function registerRun(program: Command): void {
  const command = program
    .command("run")
    .description("continue or answer a prompt from the argument, a file, or stdin")
    .argument("[PROMPT]", "the text; without it --file, or stdin")
    .option("-f, --file <FILE>", "read the prompt from a file")
    .option("--chat", "apply the chat template of the model: the prompt is a message")
    .option("--system <TEXT>", "the system message, with --chat")
    .option("--special", "special tokens in the prompt become their ids; with --chat they never do")
    .addOption(choiceOption("--overflow <ACTION>", "when the context is full; default: stop", ["stop", "shift"]))
    .option("--schema <FILE>", "the answer is JSON that this JSON schema describes")
    .option("--grammar <FILE>", "the answer is what the rule root of this EBNF describes")
    .option("--regex <REGEX>", "the answer matches this regular expression, all of it")
    .addOption(
      integerOption("--logprobs <N>", "a line of JSON a token on stderr, with the N likeliest", { min: 0, max: 100 }),
    )
    .option("--stats", "print timings on stderr")
    .addHelpText("after", EXAMPLES)
    .action(run);
  addSamplingOptions(addEngineOptions(command));
}

async function run(prompt: string | undefined, options: RunOptions): Promise<void> {
  if (options.system !== undefined && !options.chat)
    throw new UsageError("--system: expected --chat with it, got none");
  const text = await promptText(prompt, options);
  const shape = await shapeOf(options);
  const signal = interruptSignal();
  await using engine = await loadEngine(await modelFile(options, signal), options, { signal, maxSessions: 1 });
  for await (const piece of answer(engine, text, { options, shape, signal })) {
    await print(piece.text);
    if (options.logprobs !== undefined && piece.id !== undefined) process.stderr.write(logprobLine(engine, piece));
    if (piece.finish === undefined) continue;
    // a shell's next prompt belongs on a line of its own; a file or pipe gets the answer as it is
    if (process.stdout.isTTY) await print("\n");
    if (options.stats) process.stderr.write(`${[...loadStats(engine), ...answerStats(piece.finish)].join("\n")}\n`);
  }
}

type Shape = Pick<GenerateOptions, "schema" | "grammar" | "regex">;
interface Answering {
  readonly options: RunOptions;
  readonly shape: Shape;
  readonly signal: AbortSignal;
}

function answer(engine: Engine, text: string, { options, shape, signal }: Answering): AsyncIterable<Piece> {
  const session = engine.session();
  const { special: parseSpecial, overflow, logprobs } = options;
  const generation: GenerateOptions = {
    ...generateOptions(options),
    ...shape,
    parseSpecial,
    overflow,
    logprobs,
    signal,
  };
  if (!options.chat) return session.generate(text, generation);
  const system = options.system === undefined ? [] : [{ role: "system", content: options.system }];
  return session.chat([...system, { role: "user", content: text }], generation);
}

/** What the answer is to be, with the files read. */
async function shapeOf({ schema, grammar, regex }: RunOptions): Promise<Shape> {
  const given = Object.entries({ schema, grammar, regex }).flatMap(([name, value]) =>
    value === undefined ? [] : [name],
  );
  if (given.length > 1) throw new UsageError(`--${given[0]}: expected without --${given[1]}, got both`);
  return {
    schema: schema === undefined ? undefined : parsedSchema(await readTextFile(schema, "--schema"), schema),
    grammar: grammar === undefined ? undefined : await readTextFile(grammar, "--grammar"),
    regex,
  };
}

function parsedSchema(text: string, file: string): object {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`--schema: expected JSON in ${file}, got other text: ${(error as Error).message}`);
  }
}

async function promptText(prompt: string | undefined, { file }: RunOptions): Promise<string> {
  if (prompt !== undefined && file !== undefined) throw new UsageError("expected PROMPT or --file, got both");
  if (prompt !== undefined) return prompt;
  if (file !== undefined) return withoutLineEnd(await readTextFile(file, "--file"));
  if (process.stdin.isTTY) throw new UsageError("expected PROMPT, --file or text on stdin, got none");
  return withoutLineEnd(await readStdin());
}

/** Editors and `echo` end a text with a line end that is not meant. */
function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, "");
}

function logprobLine({ tokenizer }: Engine, { id, logprob, top = [] }: Piece): string {
  const likeliest = top.map((token) => ({ id: token.id, piece: tokenizer.piece(token.id), logprob: token.logprob }));
  return `${JSON.stringify({ id, piece: tokenizer.piece(id as number), logprob, top: likeliest })}\n`;
}
