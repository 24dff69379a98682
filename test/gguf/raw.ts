/** Pieces of GGUF files as bytes, for files that the writer refuses to make. Says nothing about what is valid. */

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

export function str(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text as string);
  return Buffer.concat([u64(bytes.length), bytes]);
}

/** One key-value: key, type id, bytes of the value. */
export function kv(key: string, type: number, ...value: Buffer[]): Buffer {
  return Buffer.concat([str(key), u32(type), ...value]);
}

export interface RawTensor {
  name?: string;
  dims?: (number | bigint)[];
  type?: number;
  offset?: number | bigint;
}

/** One row of the tensor table; by default an F32 tensor "t" of 8 weights at 0. */
export function tensor({ name = "t", dims = [8], type = 0, offset = 0 }: RawTensor = {}): Buffer {
  return Buffer.concat([str(name), u32(dims.length), ...dims.map(u64), u32(type), u64(offset)]);
}

export interface RawFile {
  magic?: string;
  version?: number;
  tensorCount?: number | bigint;
  keyCount?: number | bigint;
  keys?: Buffer[];
  tensors?: Buffer[];
  /** bytes of data after the head, which is padded to 32 */
  data?: number;
}

/** A file of these parts; counts are those of the parts unless given. */
export function file(parts: RawFile = {}): Buffer {
  const { keys = [], tensors = [], data = 64 } = parts;
  const head = Buffer.concat([
    Buffer.from(parts.magic ?? "GGUF"),
    u32(parts.version ?? 3),
    u64(parts.tensorCount ?? tensors.length),
    u64(parts.keyCount ?? keys.length),
    ...keys,
    ...tensors,
  ]);
  return Buffer.concat([head, Buffer.alloc(-head.length & 31), Buffer.alloc(data)]);
}
