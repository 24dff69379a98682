/**
 * Makes a model of random ternary weights in the official format, for benchmarks and tests of load, memory and speed:
 *
 *   npm run make-model -- --shape 2B-4T big.gguf
 *
 * Shape, tensor types and metadata are those of bitnet-b1.58-2B-4T (1.2 GB) or smaller; the text that it generates is
 * noise. The same options always give the same bytes. `--format tq2_0` stores the same ternary weights as llama.cpp's
 * TQ2_0, with a Q6_K embedding that is the head too, for comparisons with engines made of it. Formats that begin with `llama` or
 * `qwen3` make models of those families; `--shape 1.1B` is that of TinyLlama, 1.7B and 8B are those of Qwen3, with a tied head.
 */
import { parseArgs } from "node:util";
import { readGguf } from "../src/engine/input.js";
import { writeGguf } from "../src/engine/write.js";
import { llama3Vocabulary } from "../test/vocabulary.js";
import { metadataOf } from "./make-model/metadata.js";
import { FORMATS, type FormatName, HEADS, type Head, SHAPES, type Shape, tensorsOf } from "./make-model/shapes.js";
import { randomTensor } from "./make-model/weights.js";

const USAGE = `usage: make-model [--shape ${SHAPES.map(({ name }) => name).join("|")}] [--seed N] [--head ${Object.keys(HEADS).join("|")}] [--format ${Object.keys(FORMATS).join("|")}] FILE`;

interface Options {
  readonly path: string;
  readonly shape: Shape;
  readonly seed: number;
  readonly head: Head | undefined;
  readonly format: FormatName;
}

/** Throws a TypeError with one line for the user. */
function parseOptions(args: string[]): Options {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      shape: { type: "string", default: "2B-4T" },
      seed: { type: "string", default: "1" },
      head: { type: "string" },
      format: { type: "string", default: "i2_s" },
    },
  });
  const [path, ...more] = positionals;
  if (path === undefined || more.length > 0) throw new TypeError(`expected one FILE, got ${positionals.length}`);

  const shape = SHAPES.find(({ name }) => name === values.shape);
  if (!shape) throw new TypeError(`unknown shape "${values.shape}"`);
  const { head, format } = values;
  if (head !== undefined && !isHead(head)) throw new TypeError(`unknown head type "${head}"`);
  if (!isFormat(format)) throw new TypeError(`unknown format "${format}"`);
  if (!/^\d{1,9}$/.test(values.seed)) throw new TypeError(`--seed: expected 0 to 999999999, got "${values.seed}"`);
  return { path, shape, seed: Number(values.seed), head, format };
}

function isHead(name: string): name is Head {
  return Object.hasOwn(HEADS, name);
}

function isFormat(name: string): name is FormatName {
  return Object.hasOwn(FORMATS, name);
}

async function make({ path, shape, seed, head, format }: Options): Promise<void> {
  const started = performance.now();
  const vocabulary = await readGguf(await llama3Vocabulary());
  const tensors = tensorsOf(shape, head, FORMATS[format]).map((tensor) => ({
    ...tensor,
    data: () => randomTensor(tensor, shape, seed),
  }));
  const metadata = metadataOf(shape, vocabulary, FORMATS[format]);
  const bytes = await writeGguf(path, { metadata, tensors }, { onProgress: report() });
  const seconds = (performance.now() - started) / 1000;
  const size = `${tensors.length} tensors, ${(bytes / 1e6).toFixed(1)} MB`;
  process.stderr.write(`\r${path}: ${shape.name}, seed ${seed}, ${size}, ${seconds.toFixed(1)} s\n`);
}

/** Progress on a terminal, in whole per cent; none in a log. */
function report(): (written: number, total: number) => void {
  let shown = -1;
  return (written, total) => {
    const percent = Math.floor((100 * written) / total);
    if (percent === shown || !process.stderr.isTTY) return;
    shown = percent;
    process.stderr.write(`\r${percent} %`);
  };
}

async function main(args: string[]): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(args);
  } catch (error) {
    const [problem] = (error as Error).message.split("\n"); // parseArgs adds advice in further lines
    process.stderr.write(`make-model: ${problem}; ${USAGE}\n`);
    return 2;
  }
  try {
    await make(options);
    return 0;
  } catch (error) {
    process.stderr.write(`make-model: ${(error as Error).message}\n`);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
