/** Byte sources that every host has: memory, and Blobs (of which a File is one). */
import type { ByteSource } from "../backend/backend.js";
import { TernionError } from "../errors.js";

/** The bytes of an array, which are read from it and not copied: they must not change. */
export function memoryBytes(bytes: Uint8Array, name = "(bytes)"): ByteSource {
  return {
    name,
    size: bytes.byteLength,
    async read(offset, into) {
      checkRange(this, offset, into.byteLength);
      into.set(bytes.subarray(offset, offset + into.byteLength));
    },
  };
}

export function blobBytes(blob: Blob): ByteSource {
  const name = (blob as Partial<File>).name || "(Blob)";
  return {
    name,
    size: blob.size,
    async read(offset, into) {
      checkRange(this, offset, into.byteLength);
      const part = await blob.slice(offset, offset + into.byteLength).arrayBuffer();
      if (part.byteLength < into.byteLength) throw endsEarly(name, offset, into.byteLength, part.byteLength);
      into.set(new Uint8Array(part));
    },
  };
}

/** Throws where the source has not so many bytes from `offset` on. */
export function checkRange({ name, size }: ByteSource, offset: number, length: number): void {
  if (offset + length > size) throw endsEarly(name, offset, length, Math.max(0, size - offset));
}

export function endsEarly(name: string, offset: number, expected: number, got: number): TernionError {
  return new TernionError(
    "GGUF_TRUNCATED",
    `${name}: expected ${expected} bytes at ${offset}, got ${got}: it ends there. Get it again.`,
  );
}
