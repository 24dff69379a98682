/** Split models as llama.cpp's gguf-split writes them: all keys in the first part, split.* alone in the others. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readGguf } from "../src/engine/input.js";
import { writeGguf } from "../src/engine/write.js";
import { type GgufContents, type GgufKeyValue, keyValues } from "../src/gguf/write.js";

export const splitPartName = (name: string, number: number, count: number) =>
  `${name}-${String(number).padStart(5, "0")}-of-${String(count).padStart(5, "0")}.gguf`;

export interface SplitOptions {
  readonly count?: number;
  readonly name?: string;
  /** the first part holds metadata only, as with --no-tensor-first-split */
  readonly bareFirst?: boolean;
  /** changes part `number` before it is written */
  readonly change?: (contents: GgufContents, number: number) => GgufContents;
}

/** Splits the model at `path` into `folder`; gives the paths of the parts. */
export async function splitModel(
  path: string,
  folder: string,
  { count = 3, name = "model", bareFirst = false, change = (contents) => contents }: SplitOptions = {},
): Promise<string[]> {
  const [file, bytes] = [await readGguf(path), await readFile(path)];
  const tensors = Array.from(file.tensors.values(), ({ offset, byteLength, ...info }) => ({
    ...info,
    data: () => [bytes.subarray(offset, offset + byteLength)],
  }));
  const filled = bareFirst ? count - 1 : count;
  const size = Math.ceil(tensors.length / filled);
  const paths: string[] = [];
  for (let number = 1; number <= count; number++) {
    const keys: GgufKeyValue[] = [
      { key: "split.no", type: "U16", value: number - 1 },
      { key: "split.count", type: "U16", value: count },
      { key: "split.tensors.count", type: "I32", value: tensors.length },
    ];
    const nth = bareFirst ? number - 2 : number - 1;
    const contents = {
      metadata: number === 1 ? [...keyValues(file), ...keys] : keys,
      tensors: nth < 0 ? [] : tensors.slice(nth * size, (nth + 1) * size),
    };
    const part = join(folder, splitPartName(name, number, count));
    await writeGguf(part, change(contents, number));
    paths.push(part);
  }
  return paths;
}
