/**
 * The model in the box with another chat template, and one of its unused special tokens as the mark that opens calls. With
 * a bias for it (`toolMark`) a model that never saw a tool calls one.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readGguf } from "../src/engine/input.js";
import { writeGguf } from "../src/engine/write.js";
import type { GgufArray, GgufValue } from "../src/gguf/file.js";
import { keyValues } from "../src/gguf/write.js";
import { boxModel } from "../src/index.js";

const UNUSED = "<|start_header_id|>";
const CONTROL = 3;
const USER_DEFINED = 4;

export interface ToolModel {
  /** default: that of the model in the box */
  readonly template: string | undefined;
  readonly mark: string;
  /** the mark is a special token, or an added word */
  readonly special: boolean;
}

/** Writes it into `folder` and gives the path. */
export async function writeToolModel(folder: string, { template, mark, special }: ToolModel): Promise<string> {
  const [file, bytes] = [await readGguf(boxModel()), await readFile(boxModel())];
  const tokens = file.metadata.get("tokenizer.ggml.tokens") as GgufArray;
  const at = (tokens.values as readonly string[]).indexOf(UNUSED);
  const metadata = keyValues(file).map((each) => {
    const { key, value } = each;
    if (key === "tokenizer.chat_template") return { ...each, value: template ?? value };
    if (key === "tokenizer.ggml.tokens") return { ...each, value: withItem(value, at, mark) };
    if (key !== "tokenizer.ggml.token_type") return each;
    return { ...each, value: withItem(value, at, special ? CONTROL : USER_DEFINED) };
  });
  const tensors = Array.from(file.tensors.values(), ({ offset, byteLength, ...info }) => ({
    ...info,
    data: () => [bytes.subarray(offset, offset + byteLength)],
  }));
  const path = join(folder, "tools.gguf");
  await writeGguf(path, { metadata, tensors });
  return path;
}

function withItem(array: GgufValue, at: number, item: string | number): GgufArray {
  const { type, values } = array as GgufArray;
  const copy = Array.from<unknown>(values);
  copy[at] = item;
  return { type, values: typeof item === "string" ? (copy as string[]) : Int32Array.from(copy as number[]) };
}
