/**
 * The safetensors container, written: 8 bytes of little-endian header length, a JSON header (name → dtype, shape,
 * data_offsets), then the data, each tensor right after the one before. No kept npm package writes it;
 * @huggingface/hub reads headers.
 */
import { writeOutput } from "./output.js";

export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** row-major; written as little-endian F32, the byte order of every platform that Node.js runs on */
  readonly data: Float32Array;
}

/** `metadata` is free text by key, as the format has it. */
export async function writeSafetensors(
  path: string,
  tensors: readonly NamedTensor[],
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  await writeOutput(path, async (file) => {
    await file.writeFile(header(tensors, metadata));
    for (const { data } of tensors) await file.writeFile(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  });
}

function header(tensors: readonly NamedTensor[], metadata: Readonly<Record<string, string>>): Buffer {
  const entries: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  for (const { name, shape, data } of tensors) {
    const start = end;
    end += data.byteLength;
    entries[name] = { dtype: "F32", shape, data_offsets: [start, end] };
  }
  const json = Buffer.from(JSON.stringify(entries));
  const padded = Math.ceil(json.byteLength / 8) * 8; // readers map the file: data begins at a multiple of 8
  const bytes = Buffer.alloc(8 + padded, " ");
  bytes.writeBigUInt64LE(BigInt(padded));
  json.copy(bytes, 8);
  return bytes;
}
