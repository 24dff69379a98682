/** `ternion tokenize`: a text as ids. Needs the vocabulary of a file only, so a GGUF without tensors will do. */
import type { Command } from "commander";
import { printable } from "../errors.js";
import { createTokenizer, type EncodeOptions, openHead, type Tokenizer } from "../index.js";
import { UsageError } from "./exit.js";
import { modelFile } from "./model.js";
import { addModelOptions, type ModelOptions } from "./options.js";
import { print } from "./streams.js";
import { readStdin, readTextFile, stdinLines } from "./text-input.js";

interface TokenizeOptions extends ModelOptions {
  readonly file?: string;
  readonly json?: true;
  readonly jsonl?: true;
  readonly special?: true;
  /** commander's form of --no-bos */
  readonly bos: boolean;
}

const EXAMPLES = `
Examples:
  ternion tokenize "Hello world" --model model.gguf
  ternion tokenize --json --no-bos --file text.txt
  printf '"one text"\\n"another\\\\n"\\n' | ternion tokenize --jsonl

Without --json and --jsonl: a line for each token, its id and its spelling in the vocabulary.
The text is taken as it is, with the line end at its end. A file or stdin is UTF-8, or UTF-16 with its mark.`;

export function registerTokenize(program: Command): void {
  const command = program
    .command("tokenize")
    .description("print the ids and pieces of a text")
    .argument("[TEXT]", "the text; without it --file, or stdin")
    .option("-f, --file <FILE>", "read the text from a file")
    .option("--json", 'print {"ids": [...], "pieces": [...]}')
    .option("--jsonl", 'for each line of stdin, a JSON string, print a line {"ids": [...]}')
    .option("--special", "special tokens in the text become their ids; else they are plain characters")
    .option("--no-bos", "leave out the token that begins a text; else the vocabulary decides")
    .addHelpText("after", EXAMPLES)
    .action(tokenize);
  addModelOptions(command);
}

async function tokenize(text: string | undefined, options: TokenizeOptions): Promise<void> {
  if (options.json && options.jsonl) throw new UsageError("expected --json or --jsonl, got both");
  if (options.jsonl && (text ?? options.file) !== undefined) {
    throw new UsageError(`--jsonl: expected lines on stdin, got ${text === undefined ? "--file" : "TEXT"}`);
  }
  const { metadata } = await openHead(await modelFile(options), { strict: options.strict });
  const tokenizer = createTokenizer(metadata);
  const encoding: EncodeOptions = { parseSpecial: options.special, ...(!options.bos && { addBos: false }) };
  if (options.jsonl) return printLines(tokenizer, encoding);
  const ids = tokenizer.encode(await textOf(text, options), encoding);
  const pieces = ids.map((id) => tokenizer.piece(id));
  if (options.json) return print(`${JSON.stringify({ ids, pieces })}\n`);
  return print(
    ids.map((id, i) => `${id}\t${printable(JSON.stringify(pieces[i]), Number.POSITIVE_INFINITY)}\n`).join(""),
  );
}

async function textOf(text: string | undefined, { file }: TokenizeOptions): Promise<string> {
  if (text !== undefined && file !== undefined) throw new UsageError("expected TEXT or --file, got both");
  if (text !== undefined) return text;
  if (file !== undefined) return readTextFile(file, "--file");
  if (process.stdin.isTTY) throw new UsageError("expected TEXT, --file or text on stdin, got none");
  return readStdin();
}

async function printLines(tokenizer: Tokenizer, encoding: EncodeOptions): Promise<void> {
  let number = 0;
  for await (const line of stdinLines()) {
    number++;
    await print(`${JSON.stringify({ ids: tokenizer.encode(jsonStringOf(line, number), encoding) })}\n`);
  }
}

function jsonStringOf(line: string, number: number): string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // said below
  }
  if (typeof value === "string") return value;
  throw new Error(`stdin, line ${number}: expected a JSON string, got ${JSON.stringify(line.slice(0, 60))}`);
}
