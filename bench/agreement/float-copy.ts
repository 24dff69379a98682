/** A GGUF file whose tensors are all F32, with the values that they have in another. */
import { readFile } from "node:fs/promises";
import { readGguf } from "../../src/engine/input.js";
import { writeGguf } from "../../src/engine/write.js";
import { decodeWeight } from "../../src/formats/decode.js";
import type { GgufTensor } from "../../src/gguf/file.js";
import { keyValues } from "../../src/gguf/write.js";
import { memoryBytes } from "../../src/platform/bytes.js";

export async function writeFloatCopy(from: string, to: string): Promise<void> {
  const [file, content] = await Promise.all([readGguf(from), readFile(from)]);
  const tensors = [...file.tensors.values()].map((tensor) => ({
    name: tensor.name,
    type: "F32" as const,
    dims: tensor.dims,
    data: () => [new Uint8Array(floatsOf(tensor, content).buffer)],
  }));
  await writeGguf(to, { metadata: keyValues(file), tensors });
}

function floatsOf({ name, type, dims, offset, byteLength }: GgufTensor, content: Buffer): Float32Array {
  const bytes = new Uint8Array(byteLength);
  content.copy(bytes, 0, offset, offset + byteLength);
  const [columns, rows = 1] = dims;
  const source = { name, type, rows, columns, bytes: memoryBytes(bytes), offset: 0, byteLength };
  const { dense, ternary } = decodeWeight(source as Parameters<typeof decodeWeight>[0], bytes);
  if (dense !== undefined) return dense;
  if (ternary === undefined) throw new TypeError(`${name}: expected weights, got none`);
  const { values, scales, group } = ternary;
  return Float32Array.from(values, (value, i) => value * scales[Math.floor(i / group)]);
}
