/** `ternion inspect`: what is in a GGUF, whether or not it is a model that can run here. */
import type { Command } from "commander";
import { type GgufArray, type GgufFile, type GgufValue, openHead, type Repair } from "../index.js";
import { UsageError } from "./exit.js";
import { modelFile } from "./model.js";
import { addModelOptions, type ModelOptions } from "./options.js";
import { interruptSignal, print } from "./streams.js";
import { formatTable } from "./table.js";

interface InspectOptions extends ModelOptions {
  readonly json?: true;
}

interface TypeTotal {
  readonly type: string;
  readonly tensors: number;
  readonly weights: number;
  readonly bytes: number;
}

/** Arrays beyond this are shown by their length and first elements. */
const MOST_ELEMENTS = 8;
const MOST_CHARACTERS = 100;

const EXAMPLES = `
Examples:
  ternion inspect model.gguf
  ternion inspect --model model.gguf --json | jq .types

With --strict it fails on a file whose metadata needs repair.`;

export function registerInspect(program: Command): void {
  const command = program
    .command("inspect")
    .description("print the metadata and tensors of a GGUF, and what of it needs repair")
    .argument("[FILE|URL]", "the GGUF, as with --model")
    .option("--json", "print one JSON object; long arrays as {type, length, first}")
    .addHelpText("after", EXAMPLES)
    .action(inspect);
  addModelOptions(command);
}

async function inspect(given: string | undefined, options: InspectOptions): Promise<void> {
  if (given !== undefined && options.model !== undefined) throw new UsageError("expected FILE or --model, got both");
  const signal = interruptSignal();
  const path = await modelFile({ model: given ?? options.model }, signal);
  const { file, repairs } = await openHead(path, { strict: options.strict, signal });
  await print(options.json ? `${JSON.stringify(asJson(file, repairs), null, 2)}\n` : asText(file, repairs));
}

function totals({ tensors }: GgufFile): TypeTotal[] {
  const byType = new Map<string, TypeTotal>();
  for (const { type, dims, byteLength } of tensors.values()) {
    const { tensors: count, weights, bytes } = byType.get(type) ?? { tensors: 0, weights: 0, bytes: 0 };
    byType.set(type, { type, tensors: count + 1, weights: weights + weightsOf(dims), bytes: bytes + byteLength });
  }
  return [...byType.values()];
}

const weightsOf = (dims: readonly number[]) => dims.reduce((product, dim) => product * dim, 1);

function asJson(file: GgufFile, repairs: readonly Repair[]) {
  const { name: path, version, byteLength, alignment, dataOffset } = file;
  return {
    path,
    version,
    bytes: byteLength,
    alignment,
    data_offset: dataOffset,
    metadata: Object.fromEntries(Array.from(file.metadata, ([key, value]) => [key, jsonValue(value)])),
    tensors: Array.from(file.tensors.values(), (tensor) => ({
      name: tensor.name,
      type: tensor.type,
      dims: tensor.dims,
      offset: tensor.offset,
      bytes: tensor.byteLength,
    })),
    types: totals(file),
    repairs,
  };
}

/** Integers that a double cannot hold become strings. */
function jsonValue(value: GgufValue): unknown {
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object") return value;
  const { type, values } = value;
  const first = firstOf(values).map(jsonValue);
  return values.length <= MOST_ELEMENTS ? first : { type, length: values.length, first };
}

function firstOf(values: GgufArray["values"]): (number | bigint | boolean | string)[] {
  return [...(values.slice(0, MOST_ELEMENTS) as Iterable<number | bigint | boolean | string>)];
}

function asText(file: GgufFile, repairs: readonly Repair[]): string {
  const tensors = Array.from(file.tensors.values(), ({ name, type, dims, offset, byteLength }) => {
    return [name, type, dims.join(" x "), offset, byteLength];
  });
  const types = totals(file).map(({ type, tensors: count, weights, bytes }) => [type, count, weights, bytes]);
  const sections = [
    `${file.name}: GGUF version ${file.version}, ${file.byteLength} bytes, data from byte ${file.dataOffset} on`,
    section(
      "metadata",
      formatTable(
        ["key", "value"],
        Array.from(file.metadata, ([k, v]) => [k, shortValue(v)]),
      ),
    ),
    section("tensors", formatTable(["name", "type", "dims", "offset", "bytes"], tensors)),
    section("types", formatTable(["type", "tensors", "weights", "bytes"], types)),
    section("repaired while loading", formatTable(["key", "problem", "used instead"], repairs.map(repairRow))),
  ];
  return sections.join("\n");
}

const section = (title: string, table: string) => `${title}\n${table === "" ? "  none\n" : table}`;

const repairRow = ({ key, problem, replacement }: Repair) => [key, problem, replacement];

function shortValue(value: GgufValue): string {
  if (typeof value !== "object") return shortText(value);
  const { type, values } = value;
  const first = firstOf(values).map(shortText).join(", ");
  return `${type}[${values.length}] ${first}${values.length > MOST_ELEMENTS ? ", ..." : ""}`;
}

function shortText(value: Exclude<GgufValue, object>): string {
  if (typeof value !== "string") return String(value);
  return JSON.stringify(value.length > MOST_CHARACTERS ? `${value.slice(0, MOST_CHARACTERS)}...` : value);
}
